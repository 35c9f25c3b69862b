"""What the voxels' own brightness says, once it is roughly known where the structure is.

Histograms inside and outside of a first answer, as in GrabCut (Rother et al. 2004), weighed by its probabilities: where
the model hesitates, brightness decides.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_BINS = 32
_SIGMA_PIXELS = 0.7
"""Of the Gaussians that take noise from the image before, and from the answer after."""
_SIGMA_BINS = 1.5
_LARGEST = 2.0
"""Logits: brightness alone is never sure."""
_SOFTNESS = 2.0
"""By which logits are divided before they become probabilities: averages of logits exaggerate."""
_SLAB = 16
"""Layers at a time, so that intermediate arrays stay small."""


def brightness_bins(volume: Volume, region: RoiSlices) -> npt.NDArray[np.uint8]:
    """(layers, rows, columns) histogram bin of every pixel; the middle half spans the ROI's percentiles 1 to 99."""
    grey = np.empty((len(region.layers), len(region.rows), len(region.columns)), dtype=np.float32)
    inside = np.empty(grey.shape, dtype=bool)
    for n in range(len(grey)):
        plane = region.plane(n).crop(int(region.columns[0]), int(region.rows[0]), grey.shape[1:])
        pixels = sample(volume, plane).astype(np.float32)
        grey[n] = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
        inside[n] = region.is_inside(n)
    within = grey[inside]
    within = within[np.isfinite(within)]
    lower, upper = np.percentile(within, (1, 99)) if within.size else (0.0, 1.0)
    np.nan_to_num(grey, copy=False, nan=lower, posinf=upper, neginf=lower)
    span = max(float(upper - lower), 1e-6 * max(abs(float(lower)), 1.0))
    bins = np.empty(grey.shape, dtype=np.uint8)
    for n in range(len(grey)):
        place = np.clip((grey[n] - lower) / span, -0.5, 1.5)
        bins[n] = np.clip((blurred(place, _SIGMA_PIXELS) + 0.5) * (_BINS / 2), 0, _BINS - 1)
    return bins


def brightness_logits(
    bins: npt.NDArray[np.uint8], logits: npt.NDArray[np.float32], region: RoiSlices
) -> npt.NDArray[np.float32]:
    """How much more frequent each pixel's brightness is inside of an answer than outside.

    Args:
        bins: from `brightness_bins`.
        logits: (layers, rows, columns) the answer so far.
        region: outside of its ROI everything counts as outside.

    Returns:
        (layers, rows, columns) logits.
    """
    inside_counts, outside_counts = np.zeros(_BINS), np.zeros(_BINS)
    for n in range(len(bins)):
        probability = 1 / (1 + np.exp(-logits[n] / _SOFTNESS)) * region.is_inside(n)
        inside_counts += np.bincount(bins[n].ravel(), probability.ravel(), _BINS)
        outside_counts += np.bincount(bins[n].ravel(), (1 - probability).ravel(), _BINS)
    ratio = np.log(_frequencies(inside_counts) / _frequencies(outside_counts))
    table = np.clip(ratio, -_LARGEST, _LARGEST).astype(np.float32)
    result = np.empty(bins.shape, dtype=np.float32)
    for start in range(0, len(bins), _SLAB):
        result[start : start + _SLAB] = blurred(table[bins[start : start + _SLAB]], _SIGMA_PIXELS)
    return result


def blurred(values: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float32]:
    """Gaussian along the last two axes; the border pixels are repeated beyond the border."""
    radius = max(1, round(4 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (values.ndim - 2, values.ndim - 1):
        places = np.arange(values.shape[axis])
        values = sum(
            weight * values.take(np.clip(places + offset, 0, len(places) - 1), axis=axis)
            for offset, weight in zip(range(-radius, radius + 1), kernel, strict=True)
        )
    return values


def _frequencies(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Smoothed over neighbouring bins; no bin is impossible."""
    total = counts.sum()
    offsets = np.subtract.outer(np.arange(_BINS), np.arange(_BINS))
    weights = np.exp(-0.5 * (offsets / _SIGMA_BINS) ** 2)
    smooth = (weights / weights.sum(axis=1, keepdims=True)) @ counts + 1e-3 * total + 0.5
    return smooth / smooth.sum()
