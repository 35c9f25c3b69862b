"""Resizing slices as the published preprocessings do it, on the device where the model is.

A GPU that waits for the CPU to resize waits longer than it computes: 30 ms for a slice of 1024 × 1024 pixels. Nearly
all of these are linear and separable, so they are a matrix (n_out, n_in) per axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

_Weights = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_PILLOW_ONE = 2.0**22
"""Pillow's fixed-point weights; exact in float64."""
_NEGLIGIBLE = 1e-12
"""Of a weight: far below what float32 keeps of a sum."""
_KEPT = 32
"""Matrices that stay in memory, at most 4 MiB each for a slice of 1024 pixels: a study has few shapes."""


def resize_area(image: torch.Tensor, shape_hw: tuple[int, int]) -> torch.Tensor:
    """(H, W) or (H, W, C) uint8 to whole values, float32, as OpenCV's ``resize(…, INTER_AREA)`` gives for 8-bit images.

    The area average when both axes shrink; when they grow, a blend of two neighbours in OpenCV's fixed-point arithmetic
    (a model of 256 pixels notices the difference to rounding: a mask of a 197-pixel slice lost one hundredth of Dice).
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == shape_hw:
        return image.float()
    if shape_hw[0] <= rows and shape_hw[1] <= columns:
        values = _resized(image, shape_hw, _area_matrix)
        halved = (rows, columns) == (2 * shape_hw[0], 2 * shape_hw[1])
        # OpenCV halves with integers, rounding ties up, and averages otherwise with floats, rounding ties to even.
        return torch.floor(values + 0.5) if halved else torch.round(values)
    trailing = (1,) * (image.ndim - 2)
    left, right, left_weight, right_weight = _enlarging_taps(columns, shape_hw[1], image.device)
    whole = image.to(torch.int32)
    along_columns = whole[:, left] * left_weight.view(-1, *trailing) + whole[:, right] * right_weight.view(
        -1, *trailing
    )
    upper, lower, upper_weight, lower_weight = _enlarging_taps(rows, shape_hw[0], image.device)
    shifted = along_columns >> 4
    above = (shifted[upper] * upper_weight.view(-1, 1, *trailing)) >> 16
    below = (shifted[lower] * lower_weight.view(-1, 1, *trailing)) >> 16
    return ((above + below + 2) >> 2).float()


def resize_spline(image: torch.Tensor, shape_hw: tuple[int, int]) -> torch.Tensor:
    """(H, W) or (H, W, C) as scikit-image's ``resize(order=3, anti_aliasing=True, clip=False)``, not rounded."""
    return _resized(image, shape_hw, _spline_matrix)


def resize_triangle(image: torch.Tensor, shape_hw: tuple[int, int]) -> torch.Tensor:
    """(H, W) or (H, W, C) to whole values, float32, as Pillow's ``resize(…, BILINEAR)`` gives for 8-bit images.

    Pillow resizes columns first, rounds, then rows, and rounds again, with weights in 1/2²²: ties depend on it.
    """
    values = image.double()
    if values.shape[1] != shape_hw[1]:
        values = _rounded_along_rows(values.transpose(0, 1), shape_hw[1]).transpose(0, 1)
    if values.shape[0] != shape_hw[0]:
        values = _rounded_along_rows(values, shape_hw[0])
    return values.float()


def _resized(image: torch.Tensor, shape_hw: tuple[int, int], matrix: Callable[[int, int], _Weights]) -> torch.Tensor:
    """(H, W) or (H, W, C) to (h, w) or (h, w, C) float32, with the weights that ``matrix`` gives for each axis."""
    values = image.float()
    if values.shape[1] != shape_hw[1]:
        along_columns = _on_device(matrix, values.shape[1], shape_hw[1], values.device)
        values = values @ along_columns.T if values.ndim == 2 else along_columns @ values
    if values.shape[0] != shape_hw[0]:
        along_rows = _on_device(matrix, values.shape[0], shape_hw[0], values.device)
        values = (along_rows @ values.flatten(1)).view(shape_hw[0], *values.shape[1:])
    return values


def _rounded_along_rows(values: torch.Tensor, n_out: int) -> torch.Tensor:
    product = _on_device(_triangle_matrix, values.shape[0], n_out, values.device) @ values.flatten(1)
    whole = torch.floor(product / _PILLOW_ONE + 0.5).clamp(0, 255)
    return whole.view(n_out, *values.shape[1:])


@lru_cache(maxsize=_KEPT)
def _on_device(matrix: Callable[[int, int], _Weights], n_in: int, n_out: int, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(matrix(n_in, n_out)).to(device)


@lru_cache(maxsize=_KEPT)
def _enlarging_taps(n_in: int, n_out: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Two neighbours of each output pixel, and their weights in 1/2048, int32."""
    target = np.arange(n_out)
    left = np.floor(target * (n_in / n_out)).astype(np.int64)
    fraction = np.maximum(0.0, (target + 1) - (left + 1) * (n_out / n_in)).astype(np.float32)
    fraction -= np.floor(fraction)
    right = np.minimum(left + 1, n_in - 1)
    weights = (np.rint(weight * 2048).astype(np.int32) for weight in (1 - fraction, fraction))
    return tuple(torch.from_numpy(values).to(device) for values in (left, right, *weights))


def _area_matrix(n_in: int, n_out: int) -> npt.NDArray[np.float32]:
    """(n_out, n_in): the share of each input pixel in each larger output pixel."""
    edges = np.arange(n_out + 1) * (n_in / n_out)
    pixels = np.arange(n_in)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    matrix = np.maximum(overlap, 0.0)
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def _triangle_matrix(n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """(n_out, n_in) weights in 1/2²²: a triangle, two input pixels wide, or two output pixels when shrinking."""
    factor = n_in / n_out
    width = max(factor, 1.0)
    centres = (np.arange(n_out)[:, None] + 0.5) * factor
    matrix = np.maximum(0.0, 1.0 - np.abs((np.arange(n_in) + 0.5 - centres) / width))
    matrix = np.rint(matrix / matrix.sum(axis=1, keepdims=True) * _PILLOW_ONE)
    return matrix


def _spline_matrix(n_in: int, n_out: int) -> npt.NDArray[np.float32]:
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
    # Splines reach over the whole image, ever weaker. Processors are slow at numbers that are next to nothing.
    matrix[np.abs(matrix) < _NEGLIGIBLE] = 0.0
    return matrix.astype(np.float32)


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
