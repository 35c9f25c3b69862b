"""The effect's options: widgets only. What they mean is stored in MRML, and read back from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.intensity.presets import PRESETS
from MedSAMSegmentLib.models.description import load_descriptions
from MedSAMSegmentSlicer.effect_settings import CUSTOM, DISPLAYED
from MedSAMSegmentSlicer.roi_selection import ROI_CLASS
from MedSAMSegmentWidgets.review_list import ReviewList


class EffectPanel:
    """All widgets of the effect. Each has a name, for tests and for styles.

    Args:
        scripted_effect: whose options frame the widgets go into.
        changed: called when the user has changed an option.
    """

    def __init__(self, scripted_effect: Any, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._connected: list[tuple[Any, str, Callable[..., None]]] = []

        self.status = _named(qt.QLabel(), "statusLabel")
        self.status.wordWrap = True
        self.status.textInteractionFlags = qt.Qt.TextSelectableByMouse
        self.set_up_button = _button("setUpButton", _("Set up…"), _("Open the module MedSAMSegment"))
        scripted_effect.addOptionsWidget(_row(self.status, self.set_up_button, stretch=self.status))

        self.model = _combo(
            "modelComboBox", [(each.title, each.id, each.suits) for each in load_descriptions().values()]
        )
        scripted_effect.addLabeledOptionsWidget(_("Model:"), self.model)
        self.mode = _combo(
            "modeComboBox",
            [
                (_("Add to segment"), "add", _("The mask is added to the selected segment")),
                (_("Replace in slice"), "replace", _("On its slices, the segment becomes the mask")),
                (_("Subtract from segment"), "subtract", _("The mask is taken away from the selected segment")),
            ],
        )
        scripted_effect.addLabeledOptionsWidget(_("Result:"), self.mode)

        self.roi = _named(slicer.qMRMLNodeComboBox(), "roiSelector")
        self.roi.nodeTypes = [ROI_CLASS]
        self.roi.addEnabled = False
        self.roi.removeEnabled = True
        self.roi.renameEnabled = True
        self.roi.noneEnabled = True
        self.roi.setMRMLScene(slicer.mrmlScene)
        self.roi.setToolTip(_("ROI around the structure. Or simply draw a box in a slice view"))
        self.new_roi = _button("newRoiButton", _("New ROI"), _("Place an ROI in a slice view: two opposite corners"))
        scripted_effect.addLabeledOptionsWidget(_("ROI:"), _row(self.roi, self.new_roi, stretch=self.roi))
        self.more_rois = _named(slicer.qMRMLCheckableNodeComboBox(), "roisSelector")
        self.more_rois.nodeTypes = [ROI_CLASS]
        self.more_rois.addEnabled = False
        self.more_rois.removeEnabled = False
        self.more_rois.setMRMLScene(slicer.mrmlScene)
        self.more_rois.setToolTip(_("With two or more checked, each ROI gets a segment with its name and colour"))
        scripted_effect.addLabeledOptionsWidget(_("Several ROIs:"), self.more_rois)
        self.scope = _combo(
            "scopeComboBox",
            [
                (_("Current slice"), "slice", _("Only the slice in view")),
                (_("All slices the ROI crosses"), "slices", _("All slices parallel to the one in view")),
                (_("Whole structure (3D)"), "structure", _("All slices, put together in 3D")),
            ],
        )
        scripted_effect.addLabeledOptionsWidget(_("Apply to:"), self.scope)
        self.apply = _button("applyButton", _("Apply"), _("Segment what is in the ROI (Ctrl+Return)"))
        self.revert = _button("revertButton", _("Revert"), _("Put the ROI back and drop the preview (Ctrl+Backspace)"))
        self.cancel = _button("cancelButton", _("Cancel"), _("Stop computing; nothing is written"))
        scripted_effect.addOptionsWidget(_row(self.apply, self.revert, self.cancel))
        self.progress = _named(qt.QProgressBar(), "progressBar")
        self.progress.setVisible(False)
        scripted_effect.addOptionsWidget(self.progress)
        self.confidence = _named(qt.QLabel(), "confidenceLabel")
        self.confidence.setToolTip(_("The model's own estimate of the overlap of its mask with the true structure"))
        scripted_effect.addLabeledOptionsWidget(_("Confidence:"), self.confidence)
        table = _named(qt.QTableWidget(), "reviewTable")
        table.setToolTip(_("Slices that the model was not sure about: click one to look at it"))
        self.review = ReviewList(table)
        self._connect(table, "cellClicked(int,int)", self.review.jump)
        scripted_effect.addOptionsWidget(table)
        self._set_up_advanced(scripted_effect)

        for combo in (self.model, self.mode, self.scope, self.window, self.level):
            self._connect(combo, "activated(int)", self._option_changed)
        for check in (self.live_preview, self.encode_ahead, self.fill_holes, self.keep_largest):
            self._connect(check, "clicked(bool)", self._option_changed)
        self._connect(self.threshold, "valueChanged(double)", self._option_changed)
        self._connect(self.smoothing, "valueChanged(double)", self._option_changed)
        self._connect(self.custom_window, "editingFinished()", self._option_changed)

    def _set_up_advanced(self, scripted_effect: Any) -> None:
        frame = _named(ctk.ctkCollapsibleButton(), "advancedButton")
        frame.text = _("Advanced")
        frame.collapsed = True
        layout = qt.QFormLayout(frame)
        self.window = _combo(
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
        )
        self.custom_window = _named(qt.QLineEdit(), "customWindowLineEdit")
        self.custom_window.setToolTip(_("Level, width: such as 40,400"))
        layout.addRow(_("Window:"), _row(self.window, self.custom_window, stretch=self.window))
        self.threshold = _named(ctk.ctkSliderWidget(), "thresholdSlider")
        self.threshold.minimum = 0.05
        self.threshold.maximum = 0.95
        self.threshold.decimals = 2
        self.threshold.singleStep = 0.05
        self.threshold.value = 0.5
        self.threshold.setToolTip(_("Probability from which a pixel belongs to the structure"))
        layout.addRow(_("Threshold:"), self.threshold)
        self.fill_holes = _check("fillHolesCheckBox", _("Fill holes"), _("Background inside the mask joins it"))
        self.keep_largest = _check("keepLargestCheckBox", _("Largest part only"), _("Other parts are dropped"))
        layout.addRow("", _row(self.fill_holes, self.keep_largest))
        self.smoothing = _named(qt.QDoubleSpinBox(), "smoothingSpinBox")
        self.smoothing.maximum = 20.0
        self.smoothing.singleStep = 0.5
        self.smoothing.suffix = " mm"
        self.smoothing.specialValueText = _("off")
        self.smoothing.setToolTip(_("Radius of a median filter"))
        layout.addRow(_("Smoothing:"), self.smoothing)
        self.level = _combo(
            "levelComboBox",
            [
                (_("Automatic"), "auto", _("Best on a GPU, fast elsewhere")),
                (_("Fast"), "fast", _("One encoder pass a slice")),
                (_("Best"), "best", _("Several passes, averaged")),
            ],
        )
        layout.addRow(_("3D quality:"), self.level)
        self.live_preview = _check(
            "livePreviewCheckBox", _("Live preview"), _("Show the mask while an ROI's handle is dragged")
        )
        self.encode_ahead = _check(
            "encodeAheadCheckBox", _("Prepare slices"), _("Encode the slice in view before a box is drawn")
        )
        layout.addRow("", _row(self.live_preview, self.encode_ahead))
        self.thumbnail = _named(qt.QLabel(), "thumbnailLabel")
        self.thumbnail.setAlignment(qt.Qt.AlignCenter)
        self.thumbnail.setToolTip(_("What the model saw of the slice, with the box and the mask's outline"))
        layout.addRow(_("Model sees:"), self.thumbnail)
        scripted_effect.addOptionsWidget(frame)
        self.advanced = frame

    def values(self) -> dict[str, str | int | float]:
        """What the widgets say, by parameter name."""
        return {
            "Model": self.model.currentData,
            "Mode": self.mode.currentData,
            "Scope": self.scope.currentData,
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
        for combo, name in (
            (self.model, "Model"),
            (self.mode, "Mode"),
            (self.scope, "Scope"),
            (self.window, "Window"),
            (self.level, "Level"),
        ):
            index = combo.findData(values[name])
            if index < 0:
                # A model given by its path, or a window of a later version: shown as it is.
                combo.addItem(str(values[name]), values[name])
                index = combo.count - 1
            _quietly(combo, "currentIndex", index)
        for check, name in (
            (self.fill_holes, "FillHoles"),
            (self.keep_largest, "KeepLargest"),
            (self.live_preview, "LivePreview"),
            (self.encode_ahead, "EncodeAhead"),
        ):
            _quietly(check, "checked", bool(values[name]))
        _quietly(self.threshold, "value", float(values["Threshold"]))
        _quietly(self.smoothing, "value", float(values["SmoothingMm"]))
        _quietly(self.custom_window, "text", str(values["CustomWindow"]))
        self.custom_window.setVisible(values["Window"] == CUSTOM)

    def show_picture(self, ppm: bytes) -> None:
        """Show what the model saw."""
        pixmap = qt.QPixmap()
        if ppm and pixmap.loadFromData(qt.QByteArray(ppm), "PPM"):
            self.thumbnail.setPixmap(pixmap)

    def on(self, widget: Any, signal: str, callback: Callable[..., None]) -> None:
        """Connect something that is not an option, until `close`."""
        self._connect(widget, signal, callback)

    def close(self) -> None:
        """Cut every connection, so that Qt can delete the widgets and Python this object."""
        for widget, signal, callback in self._connected:
            widget.disconnect(signal, callback)
        self._connected = []

    def _connect(self, widget: Any, signal: str, callback: Callable[..., None]) -> None:
        if not widget.connect(signal, callback):
            raise RuntimeError(f"{widget.objectName} has no signal {signal}.")
        self._connected.append((widget, signal, callback))

    def _option_changed(self, *_: Any) -> None:
        self._changed()


def _quietly(widget: Any, name: str, value: Any) -> None:
    if getattr(widget, name) == value:
        return
    was_blocked = widget.blockSignals(True)
    try:
        setattr(widget, name, value)
    finally:
        widget.blockSignals(was_blocked)


def _named(widget: Any, name: str) -> Any:
    widget.objectName = name
    return widget


def _button(name: str, text: str, tip: str) -> Any:
    button = _named(qt.QPushButton(text), name)
    button.setToolTip(tip)
    return button


def _check(name: str, text: str, tip: str) -> Any:
    check = _named(qt.QCheckBox(text), name)
    check.setToolTip(tip)
    return check


def _combo(name: str, items: list[tuple[str, str, str]]) -> Any:
    combo = _named(qt.QComboBox(), name)
    for index, (text, data, tip) in enumerate(items):
        combo.addItem(text, data)
        combo.setItemData(index, tip, qt.Qt.ToolTipRole)
    combo.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
    return combo


def _row(*widgets: Any, stretch: Any = None) -> Any:
    row = qt.QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1 if widget is stretch else 0)
    return row
