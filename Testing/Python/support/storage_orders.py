"""The same image, stored differently."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry


def stored_otherwise(volume: Volume, order: tuple[int, int, int], flipped: tuple[bool, bool, bool]) -> Volume:
    """The same voxels at the same places in RAS.

    Args:
        volume: as it is stored now.
        order: the present axes (0 I, 1 J, 2 K) that become I, J and K.
        flipped: the new axes that count from the other end.
    """
    voxels_ijk = volume.voxels_kji.swapaxes(0, 2).transpose(*order, *range(3, volume.voxels_kji.ndim))
    new_to_old_ijk = np.zeros((4, 4))
    new_to_old_ijk[3, 3] = 1.0
    for new, old in enumerate(order):
        new_to_old_ijk[old, new] = -1.0 if flipped[new] else 1.0
        if flipped[new]:
            new_to_old_ijk[old, 3] = voxels_ijk.shape[new] - 1
            voxels_ijk = np.flip(voxels_ijk, new)
    voxels_kji = voxels_ijk.swapaxes(0, 2)
    shape_kji = (voxels_kji.shape[0], voxels_kji.shape[1], voxels_kji.shape[2])
    return Volume(voxels_kji, VolumeGeometry(shape_kji, volume.geometry.ijk_to_ras @ new_to_old_ijk))


def all_storage_orders(volume: Volume) -> Iterator[Volume]:
    """All 48 ways: six orders of the axes, each axis in either sense."""
    for order in permutations((0, 1, 2)):
        for flipped in product((False, True), repeat=3):
            yield stored_otherwise(volume, order, flipped)
