"""Resizing as the published preprocessings do it, with numpy alone.

Nearly all of these are linear and separable, so they are a matrix (n_out, n_in) per axis. Bilinear upscaling of logits
has two taps per sample only and is done with these, so that a region of the result can be computed alone, bit for bit
equal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Region = tuple[slice, slice]
"""Rows and columns, each a slice with start and stop inside the image."""
Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray]
"""Per output sample: two input samples, and the share of the second."""

_PILLOW_ONE = 2.0**22
"""Pillow's fixed-point weights; exact in float64."""
_KEPT = 32
"""Matrices that stay in memory, at most 4 MiB each for a slice of 1024 pixels: a study has few shapes."""


def resize_area(image: npt.NDArray[np.uint8], shape_hw: tuple[int, int]) -> FloatArray:
    """(H, W) or (H, W, C) to whole values as OpenCV's ``resize(…, INTER_AREA)`` gives for 8-bit images.

    The area average when both axes shrink; when they grow, a blend of two neighbours in OpenCV's fixed-point arithmetic
    (a model of 256 pixels notices the difference to rounding: a mask of a 197-pixel slice lost one hundredth of Dice).
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == shape_hw:
        return image.astype(np.float32)
    if shape_hw[0] <= rows and shape_hw[1] <= columns:
        values = _resize(image, shape_hw, _area_matrix)
        halved = (rows, columns) == (2 * shape_hw[0], 2 * shape_hw[1])
        # OpenCV halves with integers, rounding ties up, and averages otherwise with floats, rounding ties to even.
        return np.floor(values + 0.5) if halved else np.rint(values)
    trailing = (1,) * (image.ndim - 2)
    left, right, left_weight, right_weight = _enlarging_taps(columns, shape_hw[1])
    whole = image.astype(np.int32)
    along_columns = whole[:, left] * left_weight.reshape(-1, *trailing) + whole[:, right] * right_weight.reshape(
        -1, *trailing
    )
    upper, lower, upper_weight, lower_weight = _enlarging_taps(rows, shape_hw[0])
    shifted = along_columns >> 4
    above = (shifted[upper] * upper_weight.reshape(-1, 1, *trailing)) >> 16
    below = (shifted[lower] * lower_weight.reshape(-1, 1, *trailing)) >> 16
    return ((above + below + 2) >> 2).astype(np.float32)


def resize_spline(image: npt.NDArray[np.uint8], shape_hw: tuple[int, int]) -> FloatArray:
    """(H, W) or (H, W, C) as scikit-image's ``resize(order=3, anti_aliasing=True, clip=False)``, not rounded."""
    return _resize(image, shape_hw, _spline_matrix)


def resize_triangle(image: npt.NDArray[np.uint8], shape_hw: tuple[int, int]) -> FloatArray:
    """(H, W) or (H, W, C) to whole values as Pillow's ``resize(…, BILINEAR)`` gives for 8-bit images.

    Pillow resizes columns first, rounds, then rows, and rounds again, with weights in 1/2²²: ties depend on it.
    """
    values = image.astype(np.float64)
    if values.shape[1] != shape_hw[1]:
        values = values.swapaxes(0, 1)
        values = _rounded_along_rows(values, shape_hw[1]).swapaxes(0, 1)
    if values.shape[0] != shape_hw[0]:
        values = _rounded_along_rows(values, shape_hw[0])
    return values.astype(np.float32)


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


def _resize(image: npt.NDArray, shape_hw: tuple[int, int], matrix: Callable[[int, int], FloatArray]) -> FloatArray:
    """(H, W) or (H, W, C) to (h, w) or (h, w, C) float32, with the weights that ``matrix`` gives for each axis."""
    values = np.asarray(image, dtype=np.float32)
    if values.shape[1] != shape_hw[1]:
        along_columns = matrix(values.shape[1], shape_hw[1])
        values = values @ along_columns.T if values.ndim == 2 else np.matmul(along_columns, values)
    return _along_rows(values, shape_hw[0], matrix)


def _along_rows(values: FloatArray, n_out: int, matrix: Callable[[int, int], FloatArray]) -> FloatArray:
    if values.shape[0] == n_out:
        return values
    flat = values.reshape(values.shape[0], -1)
    return (matrix(values.shape[0], n_out) @ flat).reshape(n_out, *values.shape[1:])


def _rounded_along_rows(values: npt.NDArray[np.float64], n_out: int) -> npt.NDArray[np.float64]:
    product = _triangle_matrix(values.shape[0], n_out) @ values.reshape(values.shape[0], -1)
    whole = np.clip(np.floor(product / _PILLOW_ONE + 0.5), 0, 255)
    return whole.reshape(n_out, *values.shape[1:])


@lru_cache(maxsize=_KEPT)
def _area_matrix(n_in: int, n_out: int) -> FloatArray:
    """(n_out, n_in): the share of each input pixel in each larger output pixel."""
    edges = np.arange(n_out + 1) * (n_in / n_out)
    pixels = np.arange(n_in)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    matrix = np.maximum(overlap, 0.0)
    return _frozen(matrix / matrix.sum(axis=1, keepdims=True))


def _enlarging_taps(
    n_in: int, n_out: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Two neighbours of each output pixel, and their weights in 1/2048."""
    target = np.arange(n_out)
    left = np.floor(target * (n_in / n_out)).astype(np.intp)
    fraction = np.maximum(0.0, (target + 1) - (left + 1) * (n_out / n_in)).astype(np.float32)
    fraction -= np.floor(fraction)
    right = np.minimum(left + 1, n_in - 1)
    return left, right, _in_2048ths(1 - fraction), _in_2048ths(fraction)


def _in_2048ths(weight: FloatArray) -> npt.NDArray[np.int32]:
    return np.rint(weight * 2048).astype(np.int32)


@lru_cache(maxsize=_KEPT)
def _triangle_matrix(n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """(n_out, n_in) weights in 1/2²²: a triangle, two input pixels wide, or two output pixels when shrinking."""
    factor = n_in / n_out
    width = max(factor, 1.0)
    centres = (np.arange(n_out)[:, None] + 0.5) * factor
    matrix = np.maximum(0.0, 1.0 - np.abs((np.arange(n_in) + 0.5 - centres) / width))
    matrix = np.rint(matrix / matrix.sum(axis=1, keepdims=True) * _PILLOW_ONE)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=_KEPT)
def _spline_matrix(n_in: int, n_out: int) -> FloatArray:
    """(n_out, n_in) weights of `resize_spline`.

    A Gaussian of sigma (n_in / n_out - 1) / 2 when shrinking, then the interpolating cubic B-spline, both with the
    image mirrored at the centres of its border pixels, sampled at the centres of the output pixels.
    """
    factor = n_in / n_out
    centres = (np.arange(n_out) + 0.5) * factor - 0.5
    first = np.floor(centres).astype(int) - 1
    weights = np.zeros((n_out, n_in))
    for tap in range(4):
        distance = np.abs(centres - (first + tap))
        kernel = np.where(
            distance < 1, (4 - 6 * distance**2 + 3 * distance**3) / 6, np.maximum(2 - distance, 0) ** 3 / 6
        )
        np.add.at(weights, (np.arange(n_out), _mirrored(first + tap, n_in)), kernel)
    samples_of_coefficients = np.zeros((n_in, n_in))
    for offset, weight in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6)):
        np.add.at(samples_of_coefficients, (np.arange(n_in), _mirrored(np.arange(n_in) + offset, n_in)), weight)
    matrix = np.linalg.solve(samples_of_coefficients.T, weights.T).T
    if factor > 1:
        matrix = matrix @ _gaussian_matrix(n_in, (factor - 1) / 2)
    return _frozen(matrix)


def _gaussian_matrix(n: int, sigma: float) -> npt.NDArray[np.float64]:
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    matrix = np.zeros((n, n))
    for offset, weight in zip(offsets, kernel, strict=True):
        np.add.at(matrix, (np.arange(n), _mirrored(np.arange(n) + offset, n)), weight)
    return matrix


def _mirrored(index: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.intp]:
    """Indices inside 0…n-1 of an image that is mirrored at the centres of its border pixels."""
    if n == 1:
        return np.zeros_like(index)
    folded = np.mod(index, 2 * (n - 1))
    return np.minimum(folded, 2 * (n - 1) - folded)


def _frozen(matrix: npt.NDArray[np.float64]) -> FloatArray:
    weights = matrix.astype(np.float32)
    weights.flags.writeable = False
    return weights
