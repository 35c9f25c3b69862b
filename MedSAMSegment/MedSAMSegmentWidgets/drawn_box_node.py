"""The rectangle drawn last, as an ROI markup: it stays in the scene, and its handles correct it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_selection import DRAWN_BOX, ROI_CLASS

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.oriented_box import OrientedBox

REFERENCE = "DrawnBox"
"""Name of the effect's node reference."""


def drawn_box_node(scripted_effect: Any) -> Any:
    """The ROI of an effect's last rectangle; None if none was drawn, or if it was deleted."""
    if scripted_effect.parameterSetNode() is None:
        return None
    return scripted_effect.nodeReference(REFERENCE)


def show_drawn_box(scripted_effect: Any, box: OrientedBox) -> Any:
    """Put a rectangle into the scene in place of the one before; its ROI."""
    from MedSAMSegmentSlicer.matrices import to_vtk

    node = drawn_box_node(scripted_effect) or _new_node(scripted_effect)
    node.SetAndObserveTransformNodeID(None)
    was_modifying = node.StartModify()
    node.SetAndObserveObjectToNodeMatrix(to_vtk(box.object_to_ras))
    node.SetSize([float(side) for side in box.size_mm])
    node.EndModify(was_modifying)
    set_drawn_box_visible(scripted_effect, True)
    return node


def _new_node(scripted_effect: Any) -> Any:
    """An ROI that cannot be seen yet.

    It and its display node are as they shall be before the scene, and all that observes it, gets to know them: the main
    thread is held a fraction of the time that changing them one by one in the scene takes.
    """
    scene = slicer.mrmlScene
    display = scene.CreateNodeByClass("vtkMRMLMarkupsROIDisplayNode")
    display.UnRegister(None)
    display.SetVisibility(False)
    display.SetFillVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)
    display.SetVisibility3D(False)
    display.SetHandlesInteractive(True)
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
    display.SetSelectedColor(*COLOR)
    display.SetColor(*COLOR)
    node = scene.CreateNodeByClass(ROI_CLASS)
    node.UnRegister(None)
    node.SetName(scene.GenerateUniqueName(_("MedSAM box")))
    # Not offered in node selectors: it belongs to the effect.
    node.SetHideFromEditors(True)
    node.SetAttribute(DRAWN_BOX, "1")
    scene.AddNode(display)
    node.SetAndObserveDisplayNodeID(display.GetID())
    scene.AddNode(node)
    scripted_effect.setNodeReference(REFERENCE, node)
    return node


def set_drawn_box_visible(scripted_effect: Any, visible: bool) -> None:
    """Show the rectangle, or keep it in the scene unseen while the effect is not active."""
    node = drawn_box_node(scripted_effect)
    display = node.GetDisplayNode() if node is not None else None
    if display is not None and bool(display.GetVisibility()) != visible:
        display.SetVisibility(visible)


COLOR = (1.0, 0.81, 0.25)
