"""Sizes of a segmented structure, as a radiologist reports them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock

_SAMPLES_PER_PIXEL = 8
_MOST_SAMPLES = 1024
"""Along each direction: a slice of 512 × 512 pixels that is filled is measured to within half a pixel."""


@dataclass(frozen=True)
class AxialDiameters:
    """The two diameters that RECIST and WHO ask for, on the axial slice where the structure is longest.

    Attributes:
        longest_mm: the largest distance between two points of the structure's outline on one axial slice.
        perpendicular_mm: on the same slice, the longest line across that runs in the structure from end to end.
    """

    longest_mm: float
    perpendicular_mm: float


def axial_diameters(block: MaskBlock | None) -> AxialDiameters:
    """The diameters of a structure on its axial slices (the layers nearest to axial, of a turned volume).

    The outline runs half-way between the centres of voxels inside and outside, as the meshes do on which the image
    biomarker standardisation initiative measures diameters (Zwanenburg et al. 2020): a voxel alone is one voxel long.

    Args:
        block: the structure; None for one without voxels, whose diameters are 0.
    """
    trimmed = None if block is None else block.trimmed()
    if trimmed is None:
        return AxialDiameters(0.0, 0.0)
    axis = SliceStack.of(trimmed.grid, "axial").voxel_axis
    layers = np.moveaxis(trimmed.mask_kji, 2 - axis, 0)
    # After the move, an array index of a layer counts these two voxel axes, slower one first.
    slow, fast = (other for other in (2, 1, 0) if other != axis)
    steps = trimmed.grid.ijk_to_ras[:3, (slow, fast)]
    longest_mm, longest_layer, direction = 0.0, layers[0], steps[:, 0]
    for layer in layers:
        ends = _outline_ends(layer)
        points = ends @ steps.T
        if np.linalg.norm(np.ptp(points, axis=0)) <= longest_mm:
            continue
        squares = (points**2).sum(axis=1)
        distances = squares[:, None] + squares[None, :] - 2 * points @ points.T
        first, second = np.unravel_index(distances.argmax(), distances.shape)
        length = float(np.linalg.norm(points[second] - points[first]))
        if length > longest_mm:
            longest_mm, longest_layer, direction = length, layer, (points[second] - points[first]) / length
    return AxialDiameters(longest_mm, _longest_line_across(longest_layer, steps, direction))


def _outline_ends(layer: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(n, 2) row and column of the outline's outermost points on every row and column that has voxels.

    The farthest points of an outline are among them.
    """
    ends = []
    for across, mask in ((0, layer), (1, layer.T)):
        lines = np.flatnonzero(mask.any(axis=1))
        first = mask[lines].argmax(axis=1) - 0.5
        last = mask.shape[1] - 1 - mask[lines][:, ::-1].argmax(axis=1) + 0.5
        pairs = np.concatenate((np.column_stack((lines, first)), np.column_stack((lines, last))))
        ends.append(pairs if across == 0 else pairs[:, ::-1])
    points = np.concatenate(ends)
    return points if len(points) else np.zeros((1, 2))


def _longest_line_across(
    layer: npt.NDArray[np.bool_], steps: npt.NDArray[np.float64], direction: npt.NDArray[np.float64]
) -> float:
    """The longest line in a layer's mask at right angles to a direction, in mm.

    Args:
        layer: (rows, columns).
        steps: (3, 2) mm, from a row to the next and from a column to the next.
        direction: (3,) unit vector in the layer's plane.
    """
    across = np.cross(np.cross(steps[:, 0], steps[:, 1]), direction)
    across /= np.linalg.norm(across)
    rows, columns = layer.shape
    corners = np.array([(row, column) for row in (-1, rows) for column in (-1, columns)]) @ steps.T
    extents = [(float((corners @ axis).min()), float((corners @ axis).max())) for axis in (direction, across)]
    finest = float(np.linalg.norm(steps, axis=0).min()) / _SAMPLES_PER_PIXEL
    step = max(finest, max(high - low for low, high in extents) / _MOST_SAMPLES)
    # Each sample stands for the step around it, so that a row of n voxels counts n voxels long.
    along_u, along_v = (np.arange(low + step / 2, high, step) for low, high in extents)
    # Row and column of each sample, in a mask with an empty border.
    to_index = np.linalg.pinv(steps) @ np.column_stack((direction, across))
    indices = [to_index[n, 0] * along_u[:, None] + to_index[n, 1] * along_v[None, :] + 1 for n in (0, 1)]
    inside = _interpolated(np.pad(layer, 1).astype(np.float32), *indices) >= 0.5
    changes = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.nonzero(changes == 1)[1], np.nonzero(changes == -1)[1]
    return float((ends - starts).max() * step) if len(starts) else 0.0


def _interpolated(
    values: npt.NDArray[np.float32], row: npt.NDArray[np.float64], column: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Values between the pixels, linearly; those of the border beyond it."""
    row, column = np.clip(row, 0, values.shape[0] - 1), np.clip(column, 0, values.shape[1] - 1)
    r = np.minimum(row.astype(np.intp), values.shape[0] - 2)
    c = np.minimum(column.astype(np.intp), values.shape[1] - 2)
    down, right = row - r, column - c
    above = values[r, c] * (1 - right) + values[r, c + 1] * right
    below = values[r + 1, c] * (1 - right) + values[r + 1, c + 1] * right
    return above * (1 - down) + below * down
