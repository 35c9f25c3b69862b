"""Placing a new ROI, or a markup that stands for one, with the mouse while an effect stays active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentSlicer.roi_selection import ROI_CLASS, SOURCE_CLASSES
from MedSAMSegmentWidgets.shortcuts import EscapeKey


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
    interaction = _interaction_node()
    interaction.SetPlaceModePersistence(0)
    interaction.SetCurrentInteractionMode(interaction.Place)
    return node


class Placement:
    """Placing one markup at a time while an effect is active. Escape gives it up, as it gives up drawing a box.

    Args:
        ended: called with the markup once it is placed, or with None if it was given up.
    """

    def __init__(self, ended: Callable[[Any], None]) -> None:
        self._ended = ended
        self._node: Any = None
        self._escape = EscapeKey(self._give_up)

    def begin(self, class_name: str) -> Any:
        """Let the user's next clicks place a new markup; the markup. One that waits to be placed is given up."""
        self._drop()
        self._node = start_placing_roi(class_name)
        slicer.app.installEventFilter(self._escape)
        return self._node

    def mode_changed(self, interaction_node: Any) -> None:
        """The mouse does something else now, or the same: placing may have ended."""
        if self._node is not None and not is_placing_roi(interaction_node):
            self._ended(self._drop())

    def close(self) -> None:
        """Whatever the mouse still places is its own affair from now on."""
        if is_placing_roi(_interaction_node()):
            self._node = None
        self._drop()

    def _give_up(self) -> None:
        node = self._drop()
        _interaction_node().SwitchToViewTransformMode()
        if node is not None and not _is_usable(node):
            slicer.mrmlScene.RemoveNode(node)
            node = None
        self._ended(node)

    def _drop(self) -> Any:
        """Wait for the markup no longer; it stays if anything of it is placed."""
        slicer.app.removeEventFilter(self._escape)
        node, self._node = self._node, None
        if node is None or node.GetScene() is None:
            return None
        if node.GetNumberOfDefinedControlPoints() > 0:
            return node
        slicer.mrmlScene.RemoveNode(node)
        return None


def _interaction_node() -> Any:
    return slicer.app.applicationLogic().GetInteractionNode()


def _is_usable(node: Any) -> bool:
    from MedSAMSegmentSlicer.roi_sources import roi_from_markup

    try:
        roi_from_markup(node)
    except MedSAMSegmentError:
        return False
    return True


def _show_handles(display: Any) -> None:
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(True)
    # Its rings would lie over the structure, and take the drags of boxes. The module Markups shows them.
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
