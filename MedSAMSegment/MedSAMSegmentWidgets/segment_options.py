"""The effect's options for a segment that has something in it: an ROI around it, and growing it."""

from __future__ import annotations

from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from MedSAMSegmentWidgets.named_widgets import button, named, row, set_quietly, spin_box


class SegmentOptions:
    """A collapsed section. Its widgets and what they say."""

    def __init__(self) -> None:
        self.frame = named(ctk.ctkCollapsibleButton(), "segmentButton")
        self.frame.text = _("From the selected segment")
        self.frame.collapsed = True
        layout = qt.QFormLayout(self.frame)
        self.margin = spin_box(
            qt.QDoubleSpinBox,
            "marginSpinBox",
            _("Added to the segment's box on every side"),
            maximum=200.0,
            suffix=" mm",
        )
        self.margin.decimals = 1
        self.roi_around = button(
            "roiFromSegmentButton",
            _("ROI around segment"),
            _("Place an ROI around what is in the selected segment, and choose it"),
        )
        layout.addRow(_("Margin:"), row(self.margin, self.roi_around, stretch=self.margin))
        self.below = spin_box(
            qt.QSpinBox, "growBelowSpinBox", _("Slices to the inferior, posterior or left side"), maximum=500
        )
        self.above = spin_box(
            qt.QSpinBox, "growAboveSpinBox", _("Slices to the superior, anterior or right side"), maximum=500
        )
        counts = row(self.below, qt.QLabel(_("below,")), self.above, qt.QLabel(_("above")))
        layout.addRow(_("Slices:"), counts)
        self.grow = button(
            "growButton",
            _("Grow to neighbouring slices"),
            _("Find the selected segment's structure on the slices next to it, until it ends; its own slices stay"),
        )
        layout.addRow(self.grow)

    def signals(self) -> list[tuple[Any, str]]:
        """What tells of a change by the user."""
        return [
            (self.margin, "valueChanged(double)"),
            (self.below, "valueChanged(int)"),
            (self.above, "valueChanged(int)"),
        ]

    def values(self) -> dict[str, str | int | float]:
        """What the widgets say, by parameter name."""
        return {"MarginMm": self.margin.value, "GrowBelow": self.below.value, "GrowAbove": self.above.value}

    def show(self, values: dict[str, Any]) -> None:
        """Make the widgets say what is stored; no signal comes of it."""
        set_quietly(self.margin, "value", float(values["MarginMm"]))
        set_quietly(self.below, "value", int(values["GrowBelow"]))
        set_quietly(self.above, "value", int(values["GrowAbove"]))
