"""ROI markups and boxes in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.box_around import rectangular_box
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentSlicer.matrices import node_to_world, to_numpy, to_vtk
from MedSAMSegmentSlicer.roi_selection import DRAWN_BOX

ROI_SUFFIX = ".mrk.json"


@dataclass(frozen=True)
class Roi:
    """What a segment is made from and named after.

    Attributes:
        name: of the markup.
        box: in the world, parent transforms included.
        color: red, green and blue, 0 to 1: as the markup is shown when selected, which is how it is placed.
    """

    name: str
    box: OrientedBox
    color: tuple[float, float, float]


def roi_from_node(node: Any) -> Roi:
    """A ``vtkMRMLMarkupsROINode`` as it lies in the world.

    Raises:
        InvalidPromptError: it has not been placed, or a side is not longer than zero.
        InvalidImageError: its parent transform is not linear.
    """
    name = node.GetName()
    if node.GetNumberOfDefinedControlPoints() == 0:
        raise InvalidPromptError(f"The ROI {name!r} has not been placed yet. Place it in a slice view.")
    node_to_world(node)  # raises for a transform that is not linear, which the matrix below would ignore
    try:
        box = OrientedBox(to_numpy(node.GetObjectToWorldMatrix()), node.GetSize())
    except InvalidPromptError as error:
        if node.GetAttribute(DRAWN_BOX):  # which is no ROI of the user's, and whose name nobody knows
            raise InvalidPromptError("The box has no width or no height. Draw the box again.") from error
        raise InvalidPromptError(f"The ROI {name!r} cannot be used. {error}") from error
    return Roi(name, box, markup_color(node))


def markup_color(node: Any) -> tuple[float, float, float]:
    """Red, green and blue of a ``vtkMRMLMarkupsNode`` as it is shown when selected, which is how it is placed."""
    display = node.GetDisplayNode()
    color = (1.0, 0.5, 0.5) if display is None else display.GetSelectedColor()
    return float(color[0]), float(color[1]), float(color[2])


def add_roi_node(scene: Any, roi: Roi) -> Any:
    """Show an ROI as a markup that can be edited.

    Args:
        scene: ``vtkMRMLScene``.
        roi: a box that a transform has sheared is shown as the tight one with right angles, as markups have no others.

    Returns:
        ``vtkMRMLMarkupsROINode`` without a parent transform.
    """
    box = rectangular_box(roi.box)
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", roi.name)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is not None:
        display.SetSelectedColor(*roi.color)
    # The centre is the control point that makes it a placed ROI; the matrix, which holds it too, turns the box.
    node.SetCenter(*box.center_ras)
    node.SetAndObserveObjectToNodeMatrix(to_vtk(box.object_to_ras))
    node.SetSize(*box.size_mm)
    return node
