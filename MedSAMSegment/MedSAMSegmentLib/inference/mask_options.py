"""From logits to a mask: threshold, and the clean-up that a user may ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError


@dataclass(frozen=True)
class MaskOptions:
    """How logits become a mask. The defaults are the models' own: logits above zero, nothing else.

    Attributes:
        threshold: probability from which a pixel belongs to the structure, between 0 and 1, both excluded.
        fill_holes: background that is enclosed by the mask becomes part of it.
        keep_largest: only the largest connected part is kept (pixels that touch with an edge or a corner).
        smoothing_mm: radius of a median filter; 0 for none.

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
        if not (math.isfinite(self.smoothing_mm) and self.smoothing_mm >= 0.0):
            raise InvalidOptionError(f"Smoothing of {self.smoothing_mm} mm is not possible. Use 0 or more.")

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
    import SimpleITK as sitk  # only here, and only when asked for

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    radius = [round(options.smoothing_mm / step) for step in spacing_mm]
    if any(radius):
        image = sitk.BinaryMedian(image, radius)
    if options.keep_largest:
        # Components are numbered by decreasing size.
        image = sitk.RelabelComponent(sitk.ConnectedComponent(image, True)) == 1
    if options.fill_holes:
        image = sitk.BinaryFillhole(image)
    return sitk.GetArrayFromImage(image).astype(bool)
