"""What the user has chosen for an effect: read from MRML whenever it is asked, and kept nowhere else."""

from __future__ import annotations

from typing import Any

from MedSAMSegmentSlicer.editor_requests import EditorNodes
from MedSAMSegmentSlicer.effect_settings import EffectSettings, read_settings
from MedSAMSegmentSlicer.roi_selection import chosen_rois
from MedSAMSegmentWidgets.drawn_box_node import drawn_box_node
from MedSAMSegmentWidgets.effect_parameters import ROI_ROLE


class EffectChoices:
    """The effect's options, nodes and ROIs, as they are now.

    Args:
        scripted_effect: ``qSlicerSegmentEditorScriptedEffect``.
    """

    def __init__(self, scripted_effect: Any) -> None:
        self._effect = scripted_effect

    @property
    def has_editor(self) -> bool:
        """Whether the effect's editor is there still."""
        return self._effect.parameterSetNode() is not None

    def settings(self) -> EffectSettings:
        """The effect's parameters."""
        return read_settings(self._parameter)

    def roi(self) -> Any:
        """The ROI that is chosen, or None."""
        return self._effect.nodeReference("ROI")

    def choose_roi(self, node: Any) -> None:
        """Choose an ROI."""
        self._effect.setNodeReference("ROI", node)

    def rois(self) -> list[Any]:
        """The ROIs that Apply segments: those that are checked if there are several, else the chosen one."""
        checked = chosen_rois(self._effect.parameterSetNode(), ROI_ROLE)
        if len(checked) > 1:
            return checked
        roi = self.roi()
        return [roi] if roi is not None else checked

    def drawn_box(self) -> Any:
        """The markup of the box that was drawn last, or None."""
        return drawn_box_node(self._effect)

    def markups(self) -> list[Any]:
        """Those with handles that matter: the chosen ROI, and the drawn box."""
        return [node for node in (self.roi(), self.drawn_box()) if node is not None]

    def toggle_live_preview(self) -> None:
        """Switch the option."""
        self._effect.setParameter("LivePreview", 0 if self.settings().live_preview else 1)

    def nodes(self) -> EditorNodes | None:
        """What the editor works on; None if a node is missing, or the effect is not active."""
        parameters = self._effect.parameterSetNode()
        if parameters is None or not self._effect.active():
            return None
        segmentation, volume = parameters.GetSegmentationNode(), parameters.GetSourceVolumeNode()
        segment_id = parameters.GetSelectedSegmentID()
        if segmentation is None or volume is None or not segment_id:
            return None
        if segmentation.GetSegmentation().GetSegment(segment_id) is None:
            return None
        return EditorNodes(segmentation, segment_id, volume)

    def _parameter(self, name: str) -> str:
        return self._effect.parameter(name) if self._effect.parameterDefined(name) else ""
