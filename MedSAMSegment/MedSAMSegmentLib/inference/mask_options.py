"""From logits to a mask: threshold, and the clean-up that a user may ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError

MAX_SMOOTHING_MM = 100.0
"""More would leave nothing of any organ."""
_LARGEST_RADIUS = 10**5
"""Voxels: the counts of a three-dimensional neighbourhood then fit 64 bits."""


@dataclass(frozen=True)
class MaskOptions:
    """How logits become a mask. The defaults are the models' own: logits above zero, nothing else.

    Attributes:
        threshold: probability from which a pixel belongs to the structure, between 0 and 1, both excluded.
        fill_holes: background that is enclosed by the mask becomes part of it.
        keep_largest: only the largest connected part is kept (pixels that touch with an edge or a corner).
        smoothing_mm: radius of a median filter, up to `MAX_SMOOTHING_MM`; 0 for none.

    Raises:
        InvalidOptionError: the threshold or the radius is out of range.
    """

    threshold: float = 0.5
    fill_holes: bool = False
    keep_largest: bool = False
    smoothing_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise InvalidOptionError(f"Threshold {self.threshold} is not a probability between 0 and 1. Use 0.5.")
        if not 0.0 <= self.smoothing_mm <= MAX_SMOOTHING_MM:
            raise InvalidOptionError(
                f"Smoothing of {self.smoothing_mm} mm is not possible. Use 0 to {MAX_SMOOTHING_MM:g} mm."
            )

    @property
    def logit_threshold(self) -> float:
        return math.log(self.threshold / (1.0 - self.threshold))


def mask_from_logits(
    logits: npt.NDArray[np.float32], options: MaskOptions, spacing_mm: tuple[float, ...]
) -> npt.NDArray[np.bool_]:
    """Threshold logits, then smooth, keep the largest part and fill holes, in this order and as far as asked for.

    Args:
        logits: (rows, columns) or (k, j, i) float.
        options: what to do.
        spacing_mm: of neighbouring columns and rows, or of i, j and k: the reverse of the array's axis order.

    Returns:
        bool array of the same shape.
    """
    return clean_mask(logits > options.logit_threshold, options, spacing_mm)


def clean_mask(
    mask: npt.NDArray[np.bool_], options: MaskOptions, spacing_mm: tuple[float, ...]
) -> npt.NDArray[np.bool_]:
    """Smooth, keep the largest part and fill holes of a mask, as far as asked for; shapes as in `mask_from_logits`."""
    if not mask.any() or not (options.smoothing_mm or options.keep_largest or options.fill_holes):
        return mask
    radius = [round(min(options.smoothing_mm / step, _LARGEST_RADIUS)) for step in reversed(spacing_mm)]
    if any(radius):
        mask = _median(mask, radius)
    if not (options.keep_largest or options.fill_holes):
        return mask
    import SimpleITK as sitk  # only here, and only when asked for

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    if options.keep_largest:
        # Components are numbered by decreasing size.
        image = sitk.RelabelComponent(sitk.ConnectedComponent(image, True)) == 1
    if options.fill_holes:
        image = sitk.BinaryFillhole(image)
    return sitk.GetArrayFromImage(image).astype(bool)


def _median(mask: npt.NDArray[np.bool_], radius: Sequence[int]) -> npt.NDArray[np.bool_]:
    """A voxel is set if more than half of its neighbourhood is; beyond its edges the array goes on as at them.

    The same as ITK's BinaryMedianImageFilter, whose time grows with the neighbourhood: 10 s for a radius of 50 voxels.
    Here sums run along one axis after the other, and the time does not depend on the radius.

    Args:
        mask: bool, of any shape.
        radius: of the neighbourhood, in voxels, for each axis.
    """
    counts = mask.astype(np.int64)
    for axis, reach in enumerate(radius):
        if reach == 0:
            continue
        length = counts.shape[axis]
        along = np.moveaxis(counts, axis, -1)
        sums = np.concatenate([np.zeros((*along.shape[:-1], 1), np.int64), along.cumsum(axis=-1)], axis=-1)
        place = np.arange(length)
        first, last = np.maximum(place - reach, 0), np.minimum(place + reach, length - 1)
        before, after = first - (place - reach), place + reach - last
        within = sums[..., last + 1] - sums[..., first] + before * along[..., :1] + after * along[..., -1:]
        counts = np.moveaxis(within, -1, axis)
    neighbours = math.prod(2 * reach + 1 for reach in radius)
    return 2 * counts > neighbours
