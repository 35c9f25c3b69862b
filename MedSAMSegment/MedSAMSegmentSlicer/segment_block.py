"""What a segment holds, as a mask."""

from __future__ import annotations

from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from MedSAMSegmentSlicer.matrices import node_to_world, to_numpy


def segment_block(segmentation: Any, segment_id: str) -> MaskBlock | None:
    """A segment's voxels on the grid of its own labelmap, in the world; None if it is empty.

    A segment without a labelmap (a closed surface) is converted; the segmentation is not changed.

    Args:
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: not its name.

    Raises:
        InvalidPromptError: there is no such segment, or it cannot be converted.
        InvalidImageError: the segmentation's parent transform is not linear.
    """
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise InvalidPromptError(f"There is no segment {segment_id!r} in {segmentation.GetName()!r}. Choose another.")
    to_world = node_to_world(segmentation)
    image = slicer.vtkOrientedImageData()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.GetSegmentBinaryLabelmapRepresentation(segmentation, segment_id, image, False):
        raise InvalidPromptError(
            f"The segment {segment.GetName()!r} of {segmentation.GetName()!r} cannot be converted to a binary "
            "labelmap. Do that in the module Segmentations, section Representations, or choose another one."
        )
    if image.IsEmpty():
        return None
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    i_min, _, j_min, _, k_min, _ = image.GetExtent()
    ijk_to_ras = to_world @ to_numpy(matrix)
    # A grid starts at index 0, an image's extent need not.
    ijk_to_ras[:3, 3] = (ijk_to_ras @ (i_min, j_min, k_min, 1.0))[:3]
    depth, height, width = image.GetDimensions()[::-1]
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(depth, height, width)
    grid = VolumeGeometry((depth, height, width), ijk_to_ras)
    # Segments that do not overlap share a labelmap, which this one's value picks out.
    return MaskBlock(voxels == segment.GetLabelValue(), (0, width - 1, 0, height - 1, 0, depth - 1), grid).trimmed()
