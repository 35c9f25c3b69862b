"""Which part of a grid a shape can reach, so that nothing else is touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.volume import VolumeGeometry

Extent = tuple[int, int, int, int, int, int]


def extent_around(points_ras: npt.NDArray[np.float64], grid: VolumeGeometry) -> Extent | None:
    """The voxels whose centres can lie in the convex hull of points.

    Args:
        points_ras: (n, 3) mm.
        grid: the voxels.

    Returns:
        VTK's inclusive extent (i_min, i_max, j_min, j_max, k_min, k_max) within the grid; None if no voxel can.
    """
    points_ijk = points_ras @ grid.ras_to_ijk[:3, :3].T + grid.ras_to_ijk[:3, 3]
    # Rounding must not lose a voxel whose centre lies on the hull.
    first = np.maximum(np.ceil(points_ijk.min(axis=0) - 1e-4), 0).astype(int)
    last = np.minimum(np.floor(points_ijk.max(axis=0) + 1e-4), np.array(grid.shape_kji[::-1]) - 1).astype(int)
    if (last < first).any():
        return None
    i, j, k = ((int(low), int(high)) for low, high in zip(first, last, strict=True))
    return (*i, *j, *k)
