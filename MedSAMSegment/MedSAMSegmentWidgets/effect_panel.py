"""The effect's options: widgets only. What they mean is stored in MRML, and read back from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.models.description import load_descriptions
from MedSAMSegmentSlicer.roi_selection import SOURCE_CLASSES
from MedSAMSegmentWidgets.advanced_options import AdvancedOptions
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.named_widgets import button, choose_quietly, combo_box, named, row
from MedSAMSegmentWidgets.review_list import ReviewList
from MedSAMSegmentWidgets.roi_button import RoiButton
from MedSAMSegmentWidgets.segment_options import SegmentOptions
from MedSAMSegmentWidgets.wrapping_label import WrappingLabel


class EffectPanel:
    """All widgets of the effect. Each has a name, for tests and for styles.

    Args:
        scripted_effect: whose options frame the widgets go into.
        changed: called when the user has changed an option.
    """

    def __init__(self, scripted_effect: Any, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._connections = Connections()

        self.status = named(qt.QLabel(), "statusLabel")
        self.status_text = WrappingLabel(self.status)
        self.status.textInteractionFlags = qt.Qt.TextSelectableByMouse
        self.set_up_button = button("setUpButton", _("Set up…"), _("Open the module MedSAM Segment"))
        scripted_effect.addOptionsWidget(row(self.status, self.set_up_button, stretch=self.status))

        self.model = combo_box(
            "modelComboBox",
            [(each.title, each.id, each.suits) for each in load_descriptions().values()],
            _("Which model answers"),
        )
        scripted_effect.addLabeledOptionsWidget(_("Model:"), self.model)
        self.mode = combo_box(
            "modeComboBox",
            [
                (_("Add to segment"), "add", _("The mask is added to the selected segment")),
                (_("Replace in slice"), "replace", _("On its slices, the segment becomes the mask")),
                (_("Subtract from segment"), "subtract", _("The mask is taken away from the selected segment")),
            ],
            _("What the mask does to the selected segment"),
        )
        scripted_effect.addLabeledOptionsWidget(_("Result:"), self.mode)
        self._set_up_rois(scripted_effect)
        self.confidence = named(
            qt.QLabel("–"),
            "confidenceLabel",
            _("The model's own estimate of the overlap of its mask with the true structure, 0 to 1"),
        )
        scripted_effect.addLabeledOptionsWidget(_("Confidence:"), self.confidence)
        table = named(
            qt.QTableWidget(), "reviewTable", _("Slices that the model was not sure about: click one to look at it")
        )
        self.review = ReviewList(table)
        self.on(table, "cellClicked(int,int)", self.review.jump)
        scripted_effect.addOptionsWidget(table)
        self.segment = SegmentOptions()
        scripted_effect.addOptionsWidget(self.segment.frame)
        self.advanced = AdvancedOptions()
        scripted_effect.addOptionsWidget(self.advanced.frame)

        for combo in (self.model, self.mode, self.scope):
            self.on(combo, "activated(int)", self._option_changed)
        for widget, signal in self.segment.signals() + self.advanced.signals():
            self.on(widget, signal, self._option_changed)

    def _set_up_rois(self, scripted_effect: Any) -> None:
        self.roi = named(
            slicer.qMRMLNodeComboBox(),
            "roiSelector",
            _(
                "Around the structure: an ROI; a line along its longest diameter; a plane or a closed curve around it "
                "on one slice. Or simply draw a box in a slice view"
            ),
        )
        self.roi.nodeTypes = list(SOURCE_CLASSES)
        self.roi.addEnabled = False
        self.roi.removeEnabled = True
        self.roi.renameEnabled = True
        self.roi.noneEnabled = True
        self.roi.setMRMLScene(slicer.mrmlScene)
        self.new_roi = RoiButton()
        scripted_effect.addLabeledOptionsWidget(_("ROI:"), row(self.roi, self.new_roi.button, stretch=self.roi))
        self.more_rois = named(
            slicer.qMRMLCheckableNodeComboBox(),
            "roisSelector",
            _("With two or more checked, each becomes a segment with its name and colour"),
        )
        self.more_rois.nodeTypes = list(SOURCE_CLASSES)
        self.more_rois.addEnabled = False
        self.more_rois.removeEnabled = False
        self.more_rois.setMRMLScene(slicer.mrmlScene)
        scripted_effect.addLabeledOptionsWidget(_("Several ROIs:"), self.more_rois)
        self.scope = combo_box(
            "scopeComboBox",
            [
                (_("Current slice"), "slice", _("Only the slice in view")),
                (_("All slices the ROI crosses"), "slices", _("All slices parallel to the one in view")),
                (_("Whole structure (3D)"), "structure", _("All slices, put together in 3D")),
            ],
            _("How far Apply goes; a drawn box is always for its own slice"),
        )
        scripted_effect.addLabeledOptionsWidget(_("Apply to:"), self.scope)
        self.apply = button("applyButton", _("Apply"), _("Segment what is in the ROI (Ctrl+Return)"))
        self.revert = button("revertButton", _("Revert"), _("Put the ROI back and drop the preview (Ctrl+Backspace)"))
        self.cancel = button("cancelButton", _("Cancel"), _("Stop computing; nothing is written"))
        self.cancel.setVisible(False)  # there is nothing to cancel
        scripted_effect.addOptionsWidget(row(self.apply, self.revert, self.cancel))
        # In thousandths. Never without a share, which would be an animation: where OpenGL is software, each of its
        # frames composes the whole window, and the model has to wait.
        self.progress = named(qt.QProgressBar(), "progressBar")
        self.progress.maximum = 1000
        self.progress.setVisible(False)
        scripted_effect.addOptionsWidget(self.progress)

    def values(self) -> dict[str, str | int | float]:
        """What the widgets say, by parameter name."""
        own = {"Model": self.model.currentData, "Mode": self.mode.currentData, "Scope": self.scope.currentData}
        return own | self.segment.values() | self.advanced.values()

    def show(self, values: dict[str, Any]) -> None:
        """Make the widgets say what is stored; no signal comes of it."""
        for combo, name in ((self.model, "Model"), (self.mode, "Mode"), (self.scope, "Scope")):
            choose_quietly(combo, str(values[name]))
        self.segment.show(values)
        self.advanced.show(values)

    def on(self, widget: Any, signal: str, callback: Callable[..., None]) -> None:
        """Connect a signal, until `close`."""
        self._connections.add(widget, signal, callback)

    def close(self) -> None:
        """Cut every connection, so that Qt can delete the widgets and Python this object."""
        self._connections.remove_all()
        self.status_text.close()
        self.new_roi.close()

    def _option_changed(self, *_: Any) -> None:
        self._changed()
