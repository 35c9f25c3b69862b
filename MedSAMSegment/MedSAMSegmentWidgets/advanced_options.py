"""The effect's options that most users leave alone: intensities, clean-up of the mask, previews."""

from __future__ import annotations

from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from MedSAMSegmentLib.intensity.presets import PRESETS
from MedSAMSegmentSlicer.effect_settings import CUSTOM, DISPLAYED
from MedSAMSegmentWidgets.named_widgets import check_box, choose_quietly, combo_box, named, row, set_quietly, spin_box


class AdvancedOptions:
    """A collapsed section. Its widgets, what they say, and what the model saw."""

    def __init__(self) -> None:
        self.frame = named(ctk.ctkCollapsibleButton(), "advancedButton")
        self.frame.text = _("Advanced")
        self.frame.collapsed = True
        layout = qt.QFormLayout(self.frame)
        self.window = combo_box(
            "windowComboBox",
            [
                (_("Automatic (from the box)"), "auto", _("From the voxels in the box; 8-bit images as they are")),
                (_("As displayed"), DISPLAYED, _("Window and level of the slice views")),
                (_("From the box"), "roi", _("Percentiles 1 to 99 of the voxels in the box")),
                (_("Percentiles of the volume"), "percentile", _("Percentiles 0.5 to 99.5 of the non-zero voxels")),
                *[
                    (f"CT {name}: {level:g} / {width:g}", name, _("Level and width in Hounsfield units"))
                    for name, (level, width) in PRESETS.items()
                ],
                (_("Level, width"), CUSTOM, _("Your own numbers")),
            ],
            _("Which intensities the model sees; the volume itself is not changed"),
        )
        self.custom_window = named(qt.QLineEdit(), "customWindowLineEdit", _("Level, width: such as 40,400"))
        layout.addRow(_("Window:"), row(self.window, self.custom_window, stretch=self.window))
        self.threshold = named(
            ctk.ctkSliderWidget(), "thresholdSlider", _("Probability from which a pixel belongs to the structure")
        )
        self.threshold.minimum = 0.05
        self.threshold.maximum = 0.95
        self.threshold.decimals = 2
        self.threshold.singleStep = 0.05
        self.threshold.value = 0.5
        layout.addRow(_("Threshold:"), self.threshold)
        self.fill_holes = check_box("fillHolesCheckBox", _("Fill holes"), _("Background inside the mask joins it"))
        self.keep_largest = check_box("keepLargestCheckBox", _("Largest part only"), _("Other parts are dropped"))
        layout.addRow("", row(self.fill_holes, self.keep_largest))
        self.smoothing = spin_box(
            qt.QDoubleSpinBox, "smoothingSpinBox", _("Radius of a median filter"), maximum=20.0, step=0.5, suffix=" mm"
        )
        self.smoothing.specialValueText = _("off")
        self.smoothing.decimals = 1
        layout.addRow(_("Smoothing:"), self.smoothing)
        self.level = combo_box(
            "levelComboBox",
            [
                (_("Automatic"), "auto", _("Best on a GPU, fast elsewhere")),
                (_("Fast"), "fast", _("About one encoder pass a slice")),
                (_("Best"), "best", _("Several passes, averaged")),
            ],
            _("How much is computed for a whole structure"),
        )
        layout.addRow(_("3D quality:"), self.level)
        self.live_preview = check_box(
            "livePreviewCheckBox", _("Live preview"), _("Show the mask while an ROI's handle is dragged")
        )
        self.encode_ahead = check_box(
            "encodeAheadCheckBox",
            _("Prepare slices"),
            _("Encode slices before, and while, a box is drawn: masks come sooner, and are the same"),
        )
        layout.addRow("", row(self.live_preview, self.encode_ahead))
        self.thumbnail = named(
            qt.QLabel(), "thumbnailLabel", _("What the model saw of the slice, with the box and the mask's outline")
        )
        self.thumbnail.setAlignment(qt.Qt.AlignCenter)
        layout.addRow(_("Model sees:"), self.thumbnail)

    def signals(self) -> list[tuple[Any, str]]:
        """What tells of a change by the user."""
        checks = (self.live_preview, self.encode_ahead, self.fill_holes, self.keep_largest)
        return [
            (self.window, "activated(int)"),
            (self.level, "activated(int)"),
            *((check, "clicked(bool)") for check in checks),
            (self.threshold, "valueChanged(double)"),
            (self.smoothing, "valueChanged(double)"),
            (self.custom_window, "editingFinished()"),
        ]

    def values(self) -> dict[str, str | int | float]:
        """What the widgets say, by parameter name."""
        return {
            "Window": self.window.currentData,
            "CustomWindow": self.custom_window.text,
            "Level": self.level.currentData,
            "Threshold": self.threshold.value,
            "FillHoles": int(self.fill_holes.checked),
            "KeepLargest": int(self.keep_largest.checked),
            "SmoothingMm": self.smoothing.value,
            "LivePreview": int(self.live_preview.checked),
            "EncodeAhead": int(self.encode_ahead.checked),
        }

    def show(self, values: dict[str, Any]) -> None:
        """Make the widgets say what is stored; no signal comes of it."""
        choose_quietly(self.window, str(values["Window"]))
        choose_quietly(self.level, str(values["Level"]))
        for check, name in (
            (self.fill_holes, "FillHoles"),
            (self.keep_largest, "KeepLargest"),
            (self.live_preview, "LivePreview"),
            (self.encode_ahead, "EncodeAhead"),
        ):
            set_quietly(check, "checked", bool(values[name]))
        set_quietly(self.threshold, "value", float(values["Threshold"]))
        set_quietly(self.smoothing, "value", float(values["SmoothingMm"]))
        set_quietly(self.custom_window, "text", str(values["CustomWindow"]))
        self.custom_window.setVisible(values["Window"] == CUSTOM)

    def show_picture(self, ppm: bytes) -> None:
        """Show what the model saw."""
        pixmap = qt.QPixmap()
        if ppm and pixmap.loadFromData(qt.QByteArray(ppm), "PPM"):
            self.thumbnail.setPixmap(pixmap)
