"""A mask from one voxel grid to another."""

from __future__ import annotations

import numpy as np

from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from MedSAMSegmentLib.geometry.voxel_range import extent_around

# A centre on the border of two voxels goes with the lower R, A or S, however either grid is stored.
_NUDGE_RAS = 1e-5 * np.array([-0.37, -0.61, -0.7])


def block_on_grid(block: MaskBlock, grid: VolumeGeometry) -> MaskBlock | None:
    """The voxels of another grid whose centre lies in a voxel of the mask.

    This is how Slicer resamples labelmaps (nearest neighbour): exact between grids that differ in storage order only,
    and unbiased in volume otherwise. A mask thinner than the target's voxels may fall between their centres: bring the
    mask of a single slice to a grid with ``block_from_plane_mask`` instead.

    Args:
        block: the mask.
        grid: where it is wanted.

    Returns:
        A block that is as small as possible; None if no centre lies in the mask.
    """
    if block.grid.is_same_as(grid):
        return MaskBlock(block.mask_kji, block.extent_ijk, grid).trimmed()
    source = block.geometry
    extent = extent_around(source.corners_ras, grid)
    if extent is None:
        return None
    target = grid.crop(extent)
    smallest = min(source.spacing_ijk)
    target_to_source = source.ras_to_ijk @ target.ijk_to_ras
    # Index of the source voxel that holds a point: one half more than a coordinate that is whole at its centre.
    start = target_to_source[:3, 3] + source.ras_to_ijk[:3, :3] @ (smallest * _NUDGE_RAS) + 0.5
    depth, height, width = target.shape_kji
    shape_ijk = source.shape_kji[::-1]
    mask_kji = np.zeros(target.shape_kji, dtype=bool)
    columns, rows = np.arange(width), np.arange(height)[:, None]
    for k in range(depth):
        # Layer by layer: a whole structure's coordinates would take far more memory than its mask.
        inside = np.ones((height, width), dtype=bool)
        indices = []
        for axis in range(3):
            along_i, along_j, along_k = target_to_source[axis, :3]
            index = np.floor(along_i * columns + along_j * rows + (along_k * k + start[axis])).astype(np.intp)
            inside &= (index >= 0) & (index < shape_ijk[axis])
            indices.append(index)
        i, j, k_source = (index[inside] for index in indices)
        mask_kji[k, inside] = block.mask_kji[k_source, j, i]
    return MaskBlock(mask_kji, extent, grid).trimmed()
