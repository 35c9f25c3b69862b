"""Whether an ROI cuts a structure off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_BEYOND_AN_ELLIPSOID = 0.25
"""Share of the largest cross-section by which the one at a face must exceed an ellipsoid's to count as cut off."""


def is_cut_off(masks: npt.NDArray[np.bool_], region: RoiSlices) -> bool:
    """Whether a structure goes on beyond a face of the ROI, rather than ending there.

    A tight ROI is always touched. But the cross-section of what ends at a face is small there: in the outermost of n
    layers an ellipsoid has (2n - 1) / n² of its largest one.

    Args:
        masks: (layers, rows, columns) on ``region``.
        region: with its ROI.
    """
    unit_per_voxel = np.abs(
        np.linalg.inv(region.ellipsoid.unit_to_ras)[:3, :3] @ region.stack.geometry.ijk_to_ras[:3, :3]
    )
    layers_across = np.maximum(np.floor(2 / unit_per_voxel.sum(axis=1) + 1e-6).astype(int), 1)
    counts = [np.zeros(count, dtype=np.int64) for count in layers_across]
    for n in range(len(region.layers)):
        if not masks[n].any():
            continue
        unit = region.ellipsoid.unit_coordinates(region.plane(n), region.rows, region.columns)[:, masks[n]]
        for axis, count in enumerate(layers_across):
            bins = np.clip(((unit[axis] + 1) / 2 * count).astype(int), 0, count - 1)
            counts[axis] += np.bincount(bins, minlength=count)
    for count, along in zip(layers_across, counts, strict=True):
        if count < 3 or not along.any():
            continue
        limit = (2 * count - 1) / count**2 + _BEYOND_AN_ELLIPSOID
        if max(along[0], along[-1]) > limit * along.max():
            return True
    return False
