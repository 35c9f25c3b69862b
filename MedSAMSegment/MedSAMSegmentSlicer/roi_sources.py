"""ROIs from what a user has already drawn or segmented: lines, planes, closed curves, segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.box_around import box_along_line, box_around_mask, box_around_outline, box_on_rectangle
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentSlicer.matrices import node_to_world, to_numpy
from MedSAMSegmentSlicer.roi_nodes import Roi, markup_color, roi_from_node
from MedSAMSegmentSlicer.segment_block import segment_block


def roi_from_markup(node: Any, thickness_mm: float | None = None) -> Roi:
    """The ROI that a markup stands for: its name and colour, and a box around what it marks.

    Args:
        node: one of `roi_selection.SOURCE_CLASSES`. An ROI is taken as it is; a line is the longest diameter of a
            lesion (`box_along_line`); a plane's rectangle and a closed curve get a thickness (`box_on_rectangle`,
            `box_around_outline`).
        thickness_mm: across a plane or closed curve; None for its shorter side.

    Raises:
        InvalidPromptError: another markup, one that has not been placed, or one that surrounds nothing.
        InvalidImageError: an ROI or plane under a parent transform that is not linear.
    """
    if node.IsA("vtkMRMLMarkupsROINode"):
        return roi_from_node(node)
    name = node.GetName()
    try:
        if node.IsA("vtkMRMLMarkupsLineNode"):
            box = _box_of_line(node)
        elif node.IsA("vtkMRMLMarkupsPlaneNode"):
            box = _box_of_plane(node, thickness_mm)
        elif node.IsA("vtkMRMLMarkupsClosedCurveNode"):
            box = _box_of_closed_curve(node, thickness_mm)
        else:
            raise InvalidPromptError("An ROI can be made of a line, a plane, a closed curve or another ROI: place one.")
    except InvalidPromptError as error:
        raise InvalidPromptError(f"The markup {name!r} cannot be used as an ROI. {error}") from error
    return Roi(name, box, markup_color(node))


def roi_from_segment(segmentation: Any, segment_id: str, margin_mm: float = 0.0) -> Roi:
    """The box around a segment, along the axes of its voxels, with its name and colour.

    Args:
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: not its name.
        margin_mm: added on every side.

    Raises:
        InvalidPromptError: there is no such segment, it is empty, or the margin is negative.
        InvalidImageError: the segmentation's parent transform is not linear.
    """
    block = segment_block(segmentation, segment_id)
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if block is None:
        raise InvalidPromptError(f"The segment {segment.GetName()!r} is empty: there is nothing to put an ROI around.")
    red, green, blue = segment.GetColor()
    return Roi(segment.GetName(), box_around_mask(block, margin_mm), (red, green, blue))


def _box_of_line(node: Any) -> OrientedBox:
    if node.GetNumberOfDefinedControlPoints() < 2:
        raise InvalidPromptError("It has not been placed yet. Place both ends in a slice view.")
    start, end = (np.array(node.GetNthControlPointPositionWorld(n)) for n in (0, 1))
    return box_along_line(start, end)


def _box_of_plane(node: Any, thickness_mm: float | None) -> OrientedBox:
    import vtk

    if not node.GetIsPlaneValid():
        raise InvalidPromptError("It has not been placed yet. Place it in a view.")
    node_to_world(node)  # raises for a transform that is not linear, which the matrix below would ignore
    matrix = vtk.vtkMatrix4x4()
    node.GetObjectToWorldMatrix(matrix)
    object_to_world = to_numpy(matrix)
    x_min, x_max, y_min, y_max = node.GetPlaneBounds()
    center = (object_to_world @ ((x_min + x_max) / 2, (y_min + y_max) / 2, 0.0, 1.0))[:3]
    return box_on_rectangle(center, object_to_world[:3, :2] * (x_max - x_min, y_max - y_min), thickness_mm)


def _box_of_closed_curve(node: Any, thickness_mm: float | None) -> OrientedBox:
    from vtk.util.numpy_support import vtk_to_numpy

    points = node.GetCurvePointsWorld()
    if node.GetNumberOfDefinedControlPoints() < 3 or points is None:
        raise InvalidPromptError("It has not been placed yet. Place at least three points in a slice view.")
    return box_around_outline(vtk_to_numpy(points.GetData()), thickness_mm)
