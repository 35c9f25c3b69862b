"""From the model's answers on single slices to one structure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_PRIOR_WEIGHT = 3.0
"""Logits between the ROI's centre and its ellipsoid's surface. See ``Testing/Benchmarks``, "Whole structures"."""

_SMOOTHING_MM = 2.0
"""Sigma of the Gaussian across slices: neighbours that lie much further apart have no say."""


def ellipsoid_prior(region: RoiSlices) -> npt.NDArray[np.float32]:
    """(layers, rows, columns) logits: what is likely before any voxel has been looked at."""
    prior = np.empty((len(region.layers), len(region.rows), len(region.columns)), dtype=np.float32)
    for n in range(len(region.layers)):
        prior[n] = _PRIOR_WEIGHT * np.clip(1 - region.squared_radius(n), -1, 1)
    return prior


def smoothed_across(
    logits: npt.NDArray[np.float32], layers: tuple[int, ...], thickness_mm: float
) -> npt.NDArray[np.float32]:
    """Average each layer with its neighbours in space, by their distance.

    Args:
        logits: (layers, rows, columns).
        layers: indices into the stack, increasing; gaps are distances.
        thickness_mm: of a layer.
    """
    distance_mm = np.subtract.outer(layers, layers) * thickness_mm
    weights = np.exp(-0.5 * (distance_mm / _SMOOTHING_MM) ** 2)
    weights[np.abs(distance_mm) > 3 * _SMOOTHING_MM] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    result = np.zeros_like(logits)
    for n, m in zip(*np.nonzero(weights), strict=True):
        result[n] += np.float32(weights[n, m]) * logits[m]
    return result


def fused(
    logits: npt.NDArray[np.float32], region: RoiSlices, prior: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """(layers, rows, columns) logits of the structure; minus infinity outside the ROI."""
    result = smoothed_across(logits, region.layers, region.stack.thickness_mm) + prior
    for n in range(len(region.layers)):
        result[n, ~region.is_inside(n)] = -np.inf
    return result
