"""Placing a new ROI with the mouse while an effect stays active."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_selection import ROI_CLASS


def is_placing_roi(interaction_node: Any) -> bool:
    """Whether the mouse places an ROI now."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    return (
        interaction_node.GetCurrentInteractionMode() == interaction_node.Place
        and selection.GetActivePlaceNodeClassName() == ROI_CLASS
    )


def start_placing_roi() -> Any:
    """Add an ROI to the scene and let the user's next clicks place it; the ROI."""
    node = slicer.mrmlScene.AddNewNodeByClass(ROI_CLASS, slicer.mrmlScene.GenerateUniqueName(_("Structure")))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(True)
    # Its rings would lie over the structure, and take the drags of boxes. The module Markups shows them.
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName(ROI_CLASS)
    selection.SetActivePlaceNodeID(node.GetID())
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(0)
    interaction.SetCurrentInteractionMode(interaction.Place)
    return node
