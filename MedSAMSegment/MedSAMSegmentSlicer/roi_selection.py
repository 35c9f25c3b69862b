"""Which markups the user has chosen as ROIs: node references, so that they survive saving and reloading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROI_CLASS = "vtkMRMLMarkupsROINode"
SOURCE_CLASSES = (
    ROI_CLASS,
    "vtkMRMLMarkupsLineNode",
    "vtkMRMLMarkupsPlaneNode",
    "vtkMRMLMarkupsClosedCurveNode",
)
"""Markups that an ROI can be made of, see `roi_sources.roi_from_markup`."""

MARKUPS_CLASS = "vtkMRMLMarkupsNode"
DRAWN_BOX = "MedSAMSegment.DrawnBox"
"""Attribute of the ROI that holds the rectangle drawn last: it is a prompt, and not offered as an ROI."""


def is_roi_source(node: Any) -> bool:
    """Whether an ROI can be made of a node, if it has been placed."""
    return any(node.IsA(name) for name in SOURCE_CLASSES)


def chosen_rois(owner: Any, role: str) -> list[Any]:
    """The markups that a node refers to in a role, in the order they were chosen; removed ones are left out."""
    nodes = [owner.GetNthNodeReference(role, n) for n in range(owner.GetNumberOfNodeReferences(role))]
    return [node for node in nodes if node is not None and is_roi_source(node)]


def choose_rois(owner: Any, role: str, nodes: Sequence[Any]) -> None:
    """Make a node refer to these markups, and to no others, in a role."""
    if chosen_rois(owner, role) == list(nodes):
        return
    owner.RemoveNodeReferenceIDs(role)
    for node in nodes:
        owner.AddNodeReferenceID(role, node.GetID())


def rois_of_scene(scene: Any) -> list[Any]:
    """All placed ROIs of a scene that a user can mean.

    Lines, planes and curves are not among them: most are there for another reason, such as measurements.
    """
    return [
        node
        for node in _nodes(scene, ROI_CLASS)
        if node.GetAttribute(DRAWN_BOX) is None and node.GetNumberOfDefinedControlPoints() > 0
    ]


def roi_sources_of_scene(scene: Any) -> list[Any]:
    """All markups of a scene that can be checked as ROIs, placed or not."""
    return [
        node for node in _nodes(scene, MARKUPS_CLASS) if is_roi_source(node) and node.GetAttribute(DRAWN_BOX) is None
    ]


def pointer_is_on_a_handle(scene: Any) -> bool:
    """Whether some markup says that the pointer is on one of its handles, and will move if that is dragged.

    Its lines and faces do not count: they reach across the view. The control point in the middle of an ROI does: Slicer
    picks it, and not the handle that is drawn there, where the pointer is exactly on it.
    """
    for node in _nodes(scene, MARKUPS_CLASS):
        display = node.GetDisplayNode()
        if display is not None and display.GetVisibility():
            handles = {
                display.ComponentControlPoint,
                display.ComponentCenterPoint,
                display.ComponentTranslationHandle,
                display.ComponentRotationHandle,
                display.ComponentScaleHandle,
            }
            if display.GetActiveComponentType() in handles:
                return True
    return False


def remembered_pose(node: Any) -> Any:
    """Where a markup is, whatever its kind: what `restore_pose` needs to put it back."""
    copy = node.NewInstance()
    copy.CopyContent(node)
    return copy


def restore_pose(node: Any, pose: Any) -> None:
    """Put a markup back to where it was."""
    node.CopyContent(pose)


def _nodes(scene: Any, class_name: str) -> list[Any]:
    nodes = scene.GetNodesByClass(class_name)
    nodes.UnRegister(None)
    return [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
