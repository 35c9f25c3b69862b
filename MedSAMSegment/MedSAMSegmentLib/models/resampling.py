"""Bilinear upscaling of logits, with numpy alone: a region of the result can be computed alone, bit for bit equal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Region = tuple[slice, slice]
"""Rows and columns, each a slice with start and stop inside the image."""
Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray]
"""Per output sample: two input samples, and the share of the second."""


def upscale_bilinear(values: FloatArray, shape_hw: tuple[int, int], region: Region | None = None) -> FloatArray:
    """(…, h, w) to (…, H, W) as torch's ``interpolate(mode="bilinear", align_corners=False)`` does it.

    Args:
        values: float32.
        shape_hw: rows and columns of the whole result.
        region: the part of the result that is wanted; its values are those of the whole result, bit for bit.
    """
    rows, columns = (slice(0, shape_hw[0]), slice(0, shape_hw[1])) if region is None else region
    return interpolate(values, taps(values.shape[-2], shape_hw[0], rows), taps(values.shape[-1], shape_hw[1], columns))


def interpolate(values: FloatArray, row_taps: Taps, column_taps: Taps) -> FloatArray:
    """(…, h, w) float32 to (…, number of row taps, number of column taps)."""
    upper, lower, fraction = row_taps
    along_rows = values[..., upper, :] * (1 - fraction[:, None])
    along_rows += values[..., lower, :] * fraction[:, None]
    left, right, fraction = column_taps
    result = np.take(along_rows, left, axis=-1)
    result *= 1 - fraction
    weighted = np.take(along_rows, right, axis=-1)
    weighted *= fraction
    result += weighted
    return result


def taps(n_in: int, n_out: int, wanted: slice) -> Taps:
    """Of the wanted output samples of bilinear interpolation from ``n_in`` to ``n_out`` samples."""
    centres = np.maximum((np.arange(wanted.start, wanted.stop) + 0.5) * (n_in / n_out) - 0.5, 0.0)
    first = np.minimum(centres.astype(np.intp), n_in - 1)
    return first, np.minimum(first + 1, n_in - 1), (centres - first).astype(np.float32)
