"""Sizes of a segmented structure, as a radiologist reports them."""

from __future__ import annotations

import numpy as np

from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock


def largest_axial_diameter_mm(block: MaskBlock) -> float:
    """The longest distance between two voxel centres of the same axial slice, in mm; 0 for single voxels."""
    axis = SliceStack.of(block.grid, "axial").voxel_axis
    layers = np.moveaxis(block.mask_kji, 2 - axis, 0)
    # After the move, an array index of a layer counts these two voxel axes, slower one first.
    slow, fast = (other for other in (2, 1, 0) if other != axis)
    step_slow, step_fast = (block.grid.ijk_to_ras[:3, other] for other in (slow, fast))
    longest = 0.0
    for layer in layers:
        rows = np.flatnonzero(layer.any(axis=1))
        if rows.size == 0:
            continue
        # The farthest points of a shape are among the ends of its rows.
        first = layer[rows].argmax(axis=1)
        last = layer.shape[1] - 1 - layer[rows][:, ::-1].argmax(axis=1)
        ends = np.concatenate((np.column_stack((rows, first)), np.column_stack((rows, last)))).astype(float)
        points = ends[:, :1] * step_slow + ends[:, 1:] * step_fast
        squares = (points**2).sum(axis=1)
        distances = squares[:, None] + squares[None, :] - 2 * points @ points.T
        longest = max(longest, float(distances.max()))
    return float(np.sqrt(max(longest, 0.0)))
