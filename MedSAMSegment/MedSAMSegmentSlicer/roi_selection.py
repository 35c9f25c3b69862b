"""Which ROI markups the user has chosen: kept as node references, so that they survive saving and reloading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROI_CLASS = "vtkMRMLMarkupsROINode"
DRAWN_BOX = "MedSAMSegment.DrawnBox"
"""Attribute of the ROI that holds the rectangle drawn last: it is a prompt, and not offered as an ROI."""


def chosen_rois(owner: Any, role: str) -> list[Any]:
    """The ROI nodes that a node refers to in a role, in the order they were chosen; removed ones are left out."""
    nodes = [owner.GetNthNodeReference(role, n) for n in range(owner.GetNumberOfNodeReferences(role))]
    return [node for node in nodes if node is not None and node.IsA(ROI_CLASS)]


def choose_rois(owner: Any, role: str, nodes: Sequence[Any]) -> None:
    """Make a node refer to these ROIs, and to no others, in a role."""
    if chosen_rois(owner, role) == list(nodes):
        return
    owner.RemoveNodeReferenceIDs(role)
    for node in nodes:
        owner.AddNodeReferenceID(role, node.GetID())


def rois_of_scene(scene: Any) -> list[Any]:
    """All placed ROIs of a scene that a user can mean."""
    nodes = scene.GetNodesByClass(ROI_CLASS)
    nodes.UnRegister(None)
    every = [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
    return [
        node for node in every if node.GetAttribute(DRAWN_BOX) is None and node.GetNumberOfDefinedControlPoints() > 0
    ]


def pointer_is_on_a_handle(scene: Any) -> bool:
    """Whether some ROI says that the pointer is on one of its handles or lines, and will move if it is dragged."""
    nodes = scene.GetNodesByClass(ROI_CLASS)
    nodes.UnRegister(None)
    for n in range(nodes.GetNumberOfItems()):
        display = nodes.GetItemAsObject(n).GetDisplayNode()
        if display is not None and display.GetVisibility():
            component = display.GetActiveComponentType()
            if component != display.ComponentNone:
                return True
    return False


def remembered_pose(node: Any) -> tuple[list[float], list[float]]:
    """An ROI's object-to-node matrix, 16 numbers, and its size: what `restore_pose` needs to put it back."""
    matrix = node.GetObjectToNodeMatrix()
    return [matrix.GetElement(row, column) for row in range(4) for column in range(4)], list(node.GetSize())


def restore_pose(node: Any, pose: tuple[list[float], list[float]]) -> None:
    """Put an ROI back to where it was."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(pose[0])
    was_modifying = node.StartModify()
    node.SetAndObserveObjectToNodeMatrix(matrix)
    node.SetSize(pose[1])
    node.EndModify(was_modifying)
