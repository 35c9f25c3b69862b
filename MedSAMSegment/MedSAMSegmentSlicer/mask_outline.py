"""The border of a mask as lines, to be drawn over a slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane


def outline_ras(mask_hw: npt.NDArray[np.bool_], plane: SlicePlane) -> npt.NDArray[np.float64]:
    """The pixel edges between a mask and what is not in it.

    Args:
        mask_hw: ``plane.shape_hw`` bool.
        plane: where the pixels lie.

    Returns:
        (n, 2, 3) RAS mm: two ends of each of n straight pieces.
    """
    padded = np.pad(mask_hw, 1)
    row, column = np.nonzero(padded[1:, :] != padded[:-1, :])
    # Between rows r - 1 and r of the mask lies y = r - 0.5; a pixel spans half a pixel about its centre.
    across = np.stack((np.column_stack((column - 1.5, row - 0.5)), np.column_stack((column - 0.5, row - 0.5))), axis=1)
    row, column = np.nonzero(padded[:, 1:] != padded[:, :-1])
    down = np.stack((np.column_stack((column - 0.5, row - 1.5)), np.column_stack((column - 0.5, row - 0.5))), axis=1)
    pixels = np.concatenate((across, down)).reshape(-1, 2)
    homogeneous = np.column_stack((pixels, np.zeros(len(pixels)), np.ones(len(pixels))))
    return (homogeneous @ plane.pixel_to_ras.T)[:, :3].reshape(-1, 2, 3)
