"""Nodes that scene tests share, and an independent look at what a segment holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry


@dataclass(frozen=True)
class Desk:
    """What lies on the desk: a scene with a volume and a segmentation."""

    scene: Any
    volume: Volume
    volume_node: Any
    segmentation: Any

    def voxels(self, segment_id: str) -> npt.NDArray[np.bool_]:
        """A segment on the volume's grid, (K, J, I), by Slicer's own resampling, which ignores parent transforms."""
        import slicer
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        labelmap = slicer.vtkOrientedImageData()
        self.segmentation.GetBinaryLabelmapRepresentation(segment_id, labelmap)
        if labelmap.IsEmpty():
            return np.zeros(self.volume.geometry.shape_kji, dtype=bool)
        grid = slicer.vtkOrientedImageData()
        grid.ShallowCopy(self.volume_node.GetImageData())
        matrix = vtk.vtkMatrix4x4()
        self.volume_node.GetIJKToRASMatrix(matrix)
        grid.SetGeometryFromImageToWorldMatrix(matrix)
        on_grid = slicer.vtkOrientedImageData()
        slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(labelmap, grid, on_grid)
        voxels = vtk_to_numpy(on_grid.GetPointData().GetScalars())
        return voxels.reshape(self.volume.geometry.shape_kji) > 0


def block(grid: VolumeGeometry, k: slice, j: slice, i: slice) -> MaskBlock:
    """A mask that fills a range of voxels."""
    mask_kji = np.ones((k.stop - k.start, j.stop - j.start, i.stop - i.start), dtype=bool)
    return MaskBlock(mask_kji, (i.start, i.stop - 1, j.start, j.stop - 1, k.start, k.stop - 1), grid)


def filled(shape_kji: tuple[int, int, int], k: slice, j: slice, i: slice) -> npt.NDArray[np.bool_]:
    """The same range as a mask on the whole grid."""
    mask = np.zeros(shape_kji, dtype=bool)
    mask[k, j, i] = True
    return mask


def parent_transform(scene: Any, node: Any, matrix: npt.NDArray[np.float64]) -> Any:
    """Put a node under a linear transform."""
    from MedSAMSegmentSlicer.matrices import to_vtk

    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Transform")
    transform.SetMatrixTransformToParent(to_vtk(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def shift_reference_grid(desk: Desk, by_columns: int) -> None:
    """Move the segmentation's reference geometry along I; its segments stay where they are, on the grid before."""
    import slicer

    depth, height, width = desk.volume.geometry.shape_kji
    i, j, k = desk.volume.geometry.spacing_ijk
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, width - 1, 0, height - 1, 0, depth - 1)
    image.SetSpacing(i, j, k)
    image.SetOrigin(by_columns * i, 0.0, 0.0)
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
    desk.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
