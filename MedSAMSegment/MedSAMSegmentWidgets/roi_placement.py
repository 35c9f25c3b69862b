"""Placing a new ROI, or a markup that stands for one, with the mouse while an effect stays active."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_selection import ROI_CLASS, SOURCE_CLASSES


def is_placing_roi(interaction_node: Any) -> bool:
    """Whether the mouse places an ROI, or a markup that can stand for one, now."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    return (
        interaction_node.GetCurrentInteractionMode() == interaction_node.Place
        and selection.GetActivePlaceNodeClassName() in SOURCE_CLASSES
    )


def add_roi_around_segment(segmentation: Any, segment_id: str, margin_mm: float) -> Any:
    """Add an ROI around what is in a segment; the ROI.

    Raises:
        InvalidPromptError: the segment is empty.
    """
    from MedSAMSegmentSlicer.roi_nodes import add_roi_node
    from MedSAMSegmentSlicer.roi_sources import roi_from_segment

    node = add_roi_node(slicer.mrmlScene, roi_from_segment(segmentation, segment_id, margin_mm))
    _show_handles(node.GetDisplayNode())
    return node


def start_placing_roi(class_name: str = ROI_CLASS) -> Any:
    """Add a markup to the scene and let the user's next clicks place it; the markup.

    Args:
        class_name: one of `SOURCE_CLASSES`.
    """
    node = slicer.mrmlScene.AddNewNodeByClass(class_name, slicer.mrmlScene.GenerateUniqueName(_("Structure")))
    node.CreateDefaultDisplayNodes()
    if class_name == ROI_CLASS:
        _show_handles(node.GetDisplayNode())
    else:
        node.GetDisplayNode().SetFillVisibility(False)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName(class_name)
    selection.SetActivePlaceNodeID(node.GetID())
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(0)
    interaction.SetCurrentInteractionMode(interaction.Place)
    return node


def _show_handles(display: Any) -> None:
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(True)
    # Its rings would lie over the structure, and take the drags of boxes. The module Markups shows them.
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
