"""From a mask on a slice's pixels to the voxels of a grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry

# A voxel centre on the border of two pixels, or a plane half-way between two layers, goes with the lower R, A or S: to
# the same side of the patient however the grid is stored. The direction is parallel to no grid that occurs.
_TIE_DIRECTION_RAS = np.array([-0.37, -0.61, -0.7])
_TIE = 1e-5


def block_from_plane_mask(mask_hw: npt.NDArray[np.bool_], plane: SlicePlane, grid: VolumeGeometry) -> MaskBlock | None:
    """The voxels that a mask on a plane stands for.

    They are those that the plane passes through, that is, whose centre is within half a voxel's thickness of it (both
    measured along the plane's normal; a voxel's thickness there is the sum of its three edges' extents), and whose
    centre projects along the normal into a pixel of the mask. So the voxels leave no gap in the plane wherever it is
    cut, and a plane that coincides with a layer of the grid gives that layer's voxels alone.

    The cost depends on the mask's bounding box, not on the grid's size.

    Args:
        mask_hw: ``plane.shape_hw`` bool.
        plane: where the pixels lie.
        grid: the voxels; they need not have to do with the plane.

    Returns:
        A block that is as small as possible; None if there is no such voxel.
    """
    used_rows, used_columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    if used_rows.size == 0:
        return None
    normal = plane.normal_ras if plane.normal_ras @ _TIE_DIRECTION_RAS < 0 else -plane.normal_ras
    edges_along_normal = normal @ grid.ijk_to_ras[:3, :3]
    thickness = float(np.abs(edges_along_normal).sum())

    # Every voxel that can matter lies over the bounding box of the mask, within half a thickness.
    box_pixels = np.array(
        [
            (column, row, height, 1.0)
            for column in (used_columns[0] - 0.5, used_columns[-1] + 0.5)
            for row in (used_rows[0] - 0.5, used_rows[-1] + 0.5)
            for height in (-thickness / 2, thickness / 2)
        ]
    )
    box_ijk = box_pixels @ (grid.ras_to_ijk @ plane.pixel_to_ras)[:3].T
    shape_ijk = np.array(grid.shape_kji[::-1])
    first = np.maximum(np.floor(box_ijk.min(axis=0)), 0).astype(int)
    last = np.minimum(np.ceil(box_ijk.max(axis=0)), shape_ijk - 1).astype(int)
    if (last < first).any():
        return None

    # Along the axis that is steepest to the plane, each line of voxels meets it in a few neighbours.
    steep = int(np.argmax(np.abs(edges_along_normal)))
    flat = [axis for axis in range(3) if axis != steep]
    lines = np.zeros((3, last[flat[0]] - first[flat[0]] + 1, last[flat[1]] - first[flat[1]] + 1))
    lines[flat[0]] = np.arange(first[flat[0]], last[flat[0]] + 1)[:, None]
    lines[flat[1]] = np.arange(first[flat[1]], last[flat[1]] + 1)
    height_at_zero = (
        edges_along_normal[flat[0]] * lines[flat[0]]
        + edges_along_normal[flat[1]] * lines[flat[1]]
        + (normal @ grid.ijk_to_ras[:3, 3] - normal @ plane.origin_ras)
    )
    step = edges_along_normal[steep]
    reach = thickness / 2 / abs(step)
    lowest = np.ceil(-height_at_zero / step - reach - _TIE)
    found: list[npt.NDArray[np.intp]] = []
    nudge = _TIE * float(min(plane.spacing_mm)) * _TIE_DIRECTION_RAS
    ijk_to_pixel = (plane.ras_to_pixel @ grid.ijk_to_ras)[:2]
    shift = plane.ras_to_pixel[:2, :3] @ nudge + 0.5
    for above in range(int(np.floor(2 * reach + 2 * _TIE)) + 1):
        lines[steep] = lowest + above
        height = height_at_zero + lines[steep] * step
        near = (height >= -(0.5 + _TIE) * thickness) & (height < (0.5 - _TIE) * thickness)
        near &= (lines[steep] >= 0) & (lines[steep] < shape_ijk[steep])
        voxels_ijk = lines[:, near]
        column, row = (
            np.floor(along[:3] @ voxels_ijk + (along[3] + offset)).astype(np.intp)
            for along, offset in zip(ijk_to_pixel, shift, strict=True)
        )
        rows, columns = plane.shape_hw
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        inside[inside] = mask_hw[row[inside], column[inside]]
        found.append(voxels_ijk[:, inside].astype(np.intp))
    voxels_ijk = np.concatenate(found, axis=1)
    if voxels_ijk.shape[1] == 0:
        return None
    first, last = voxels_ijk.min(axis=1), voxels_ijk.max(axis=1)
    mask_kji = np.zeros((last - first + 1)[::-1], dtype=bool)
    mask_kji[tuple((voxels_ijk - first[:, None])[::-1])] = True
    i, j, k = ((int(low), int(high)) for low, high in zip(first, last, strict=True))
    return MaskBlock(mask_kji, (*i, *j, *k), grid)
