"""The voxels inside a box."""

from __future__ import annotations

import numpy as np

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from MedSAMSegmentLib.geometry.voxel_range import extent_around


def block_in_box(roi: OrientedBox, grid: VolumeGeometry) -> MaskBlock | None:
    """The voxels whose centre lies in a box, however it is turned; None where there is none."""
    extent = extent_around(roi.corners_ras, grid)
    if extent is None:
        return None
    part = grid.crop(extent)
    # In units of the box's half sides, so that it becomes the cube from -1 to 1.
    ijk_to_unit = np.linalg.inv(roi.object_to_ras) @ part.ijk_to_ras
    ijk_to_unit = ijk_to_unit[:3] / (roi.size_mm[:, None] / 2)
    depth, height, width = part.shape_kji
    mask_kji = np.ones(part.shape_kji, dtype=bool)
    columns, rows = np.arange(width), np.arange(height)[:, None]
    for along_i, along_j, along_k, offset in ijk_to_unit:
        # Where the box's sides are parallel to the layers, one layer speaks for all; else layer by layer: the
        # coordinates of all voxels at once would take far more memory than the mask.
        along_layer = along_i * columns + along_j * rows + offset
        if abs(along_k) * depth < 1e-6:
            mask_kji &= np.abs(along_layer) <= 1 + 1e-5
            continue
        for k in range(depth):
            mask_kji[k] &= np.abs(along_layer + along_k * k) <= 1 + 1e-5
    return MaskBlock(mask_kji, extent, grid) if mask_kji.any() else None
