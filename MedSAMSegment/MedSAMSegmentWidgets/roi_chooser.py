"""Which ROIs the module segments: all of the scene, or those that are checked; and placing new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import InvalidPromptError, MedSAMSegmentError
from MedSAMSegmentSlicer.roi_selection import ROI_CLASS, roi_sources_of_scene, rois_of_scene
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.roi_button import RoiButton
from MedSAMSegmentWidgets.roi_placement import add_roi_around_segment, start_placing_roi


class RoiChooser:
    """Its choice is in the parameter node.

    Args:
        ui: the module's widgets.
        say: shows a sentence.
    """

    def __init__(self, ui: Any, say: Callable[[str], None]) -> None:
        self._ui = ui
        self._say = say
        self._parameters: Any = None
        self._new_roi = RoiButton(ui.newRoiButton)
        self._new_roi.chosen = self._place
        self._connections = Connections()
        self._connections.add(ui.aroundButton, "clicked()", self._around_segments)
        self._connections.add(ui.allRoisCheckBox, "toggled(bool)", self._all_toggled)
        self._connections.add(ui.roisSelector, "checkedNodesChanged()", self._checked)

    def close(self) -> None:
        self._connections.remove_all()
        self._new_roi.close()

    def set_parameter_node(self, parameters: Any) -> None:
        """Read from, and write to, another parameter node, or none."""
        self._parameters = parameters
        if parameters is not None:
            self._all_toggled(parameters.allRois)

    def chosen(self) -> list[Any]:
        """The markups to segment.

        Raises:
            InvalidPromptError: there is none, or none is checked.
        """
        if self._parameters.allRois:
            rois = rois_of_scene(slicer.mrmlScene)
            if not rois:
                raise InvalidPromptError(
                    _("There is no ROI in the scene. Place one around the structure with New ROI, or uncheck All ROIs "
                      "and check a line, a plane or a closed curve.")
                )  # fmt: skip
            return rois
        checked = [node for node in self._parameters.rois if node is not None]
        if not checked:
            raise InvalidPromptError(_("No ROI is checked. Check those to segment, or all ROIs of the scene."))
        return checked

    def choose(self, nodes: list[Any]) -> None:
        """Check these markups, and no others."""
        self._ui.allRoisCheckBox.checked = False
        self._parameters.rois = nodes
        self._show()

    def _place(self, class_name: str) -> None:
        node = start_placing_roi(class_name)
        self._say(_("Click in a slice view to place it, then click Segment."))
        if self._parameters is None or (self._parameters.allRois and class_name == ROI_CLASS):
            return  # once it is placed, it is one of all
        self.choose([*([] if self._parameters.allRois else self._parameters.rois), node])

    def _around_segments(self) -> None:
        """An ROI for each segment that has voxels."""
        if self._parameters is None:
            return
        try:
            nodes = self._add_around_segments(self._parameters.segmentation, self._parameters.marginMm)
        except MedSAMSegmentError as error:
            self._say(str(error))
            return
        self.choose(nodes)
        self._say(_("ROIs placed and checked: {count}.").format(count=len(nodes)))

    def _add_around_segments(self, segmentation: Any, margin_mm: float) -> list[Any]:
        from MedSAMSegmentSlicer.segment_block import segment_block

        if segmentation is None:
            raise InvalidPromptError(_("Choose a segmentation: ROIs are placed around its segments."))
        segments = segmentation.GetSegmentation()
        ids = [segments.GetNthSegmentID(n) for n in range(segments.GetNumberOfSegments())]
        ids = [segment_id for segment_id in ids if segment_block(segmentation, segment_id) is not None]
        if not ids:
            raise InvalidPromptError(
                _("All segments of {name} are empty: there is nothing to place an ROI around.").format(
                    name=segmentation.GetName()
                )
            )
        return [add_roi_around_segment(segmentation, segment_id, margin_mm) for segment_id in ids]

    def _all_toggled(self, every: bool) -> None:
        self._ui.roisSelector.enabled = not every
        self._show()

    def _checked(self) -> None:
        if self._parameters is not None:
            self._parameters.rois = list(self._ui.roisSelector.checkedNodes())

    def _show(self) -> None:
        if self._parameters is None:
            return
        chosen = list(self._parameters.rois)
        selector = self._ui.roisSelector
        was_blocked = selector.blockSignals(True)
        try:
            for node in roi_sources_of_scene(slicer.mrmlScene):
                selector.setCheckState(node, qt.Qt.Checked if node in chosen else qt.Qt.Unchecked)
        finally:
            selector.blockSignals(was_blocked)
