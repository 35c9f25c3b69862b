"""Voxels of a volume on the pixels of a plane."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import Volume

COINCIDENCE_TOLERANCE = 0.01
"""In voxels: a plane's pixels that are all this close to voxel centres are those voxels.

Far below what an image shows, and far above the rounding of matrices that were stored in single precision.
"""


def sample(volume: Volume, plane: SlicePlane, fill: float | None = None) -> npt.NDArray:
    """The image that a volume shows on a plane.

    Where every pixel coincides with a voxel centre, the voxels themselves are taken, without interpolation and without
    copying them: do not write to the result. Otherwise trilinear interpolation between voxel centres; the outer half
    of the outermost voxels, beyond their centres, has their value.

    Args:
        volume: any dtype, or RGB.
        plane: may lie anywhere.
        fill: value of pixels outside the volume: ``Volume.air_value`` if not given.

    Returns:
        ``plane.shape_hw`` (× 3 for RGB). The volume's dtype where the voxels are taken, and for RGB; else float32, or
        float64 where the voxels may have more digits than that has.
    """
    view = _coinciding_voxels(volume, plane, fill)
    return _interpolated(volume, plane, fill) if view is None else view


def _coinciding_voxels(volume: Volume, plane: SlicePlane, fill: float | None) -> npt.NDArray | None:
    """The voxels that the pixels coincide with, or None where they do not."""
    pixel_to_ijk = volume.geometry.ras_to_ijk @ plane.pixel_to_ras
    rows, columns = plane.shape_hw
    exact = np.round(pixel_to_ijk[:3])
    error = np.abs(pixel_to_ijk[:3] - exact)
    # A step that only one row or column would take has no say.
    steps = [(exact[:, 0], error[:, 0] * (columns - 1)), (exact[:, 1], error[:, 1] * (rows - 1))]
    if (steps[0][1] + steps[1][1] + error[:, 3] > COINCIDENCE_TOLERANCE).any():
        return None
    if any(np.abs(step).sum() != 1 for step, _ in steps) or steps[0][0] @ steps[1][0] != 0:
        return None
    column_axis, row_axis = (int(np.flatnonzero(step)[0]) for step, _ in steps)
    layer_axis = 3 - column_axis - row_axis
    first = [int(value) for value in exact[:, 3]]
    shape_ijk = volume.geometry.shape_kji[::-1]
    layer = first[layer_axis]

    pieces: dict[int, slice] = {}
    places: dict[int, slice] = {}
    for axis, step, count in ((column_axis, steps[0][0], columns), (row_axis, steps[1][0], rows)):
        sense = int(step[axis])
        # Pixel p lies at voxel first + sense × p: those with 0 ≤ voxel < size.
        voxel_bounds = (0, shape_ijk[axis] - 1) if sense > 0 else (shape_ijk[axis] - 1, 0)
        start, stop = (sense * (bound - first[axis]) for bound in voxel_bounds)
        start, stop = max(start, 0), min(stop, count - 1) + 1
        if stop <= start or not 0 <= layer < shape_ijk[layer_axis]:
            return _filled(volume, plane, fill)
        low, high = sorted((first[axis] + sense * start, first[axis] + sense * (stop - 1)))
        reversed_stop = low - 1 if low > 0 else None
        pieces[axis] = slice(low, high + 1) if sense > 0 else slice(high, reversed_stop, -1)
        places[axis] = slice(start, stop)
    index = tuple(layer if axis == layer_axis else pieces[axis] for axis in (2, 1, 0))
    voxels = volume.voxels_kji[index]
    if column_axis > row_axis:
        # Numpy's axes go K, J, I: the higher voxel axis comes first, and rows must.
        voxels = voxels.swapaxes(0, 1)
    if voxels.shape[:2] == plane.shape_hw:
        return voxels
    slice_hw = _filled(volume, plane, fill)
    slice_hw[places[row_axis], places[column_axis]] = voxels
    return slice_hw


def _filled(volume: Volume, plane: SlicePlane, fill: float | None) -> npt.NDArray:
    dtype = volume.voxels_kji.dtype
    value = _fill_value(volume, fill)
    if dtype.kind in "iu":
        value = int(np.clip(value, np.iinfo(dtype).min, np.iinfo(dtype).max))
    return np.full(plane.shape_hw + volume.voxels_kji.shape[3:], value, dtype)


def _fill_value(volume: Volume, fill: float | None) -> float:
    return volume.air_value if fill is None else fill


def _interpolated(volume: Volume, plane: SlicePlane, fill: float | None) -> npt.NDArray:
    """Trilinear interpolation that touches no voxel but the pixels' neighbours."""
    rows, columns = plane.shape_hw
    pixel_to_ijk = volume.geometry.ras_to_ijk @ plane.pixel_to_ras
    channels = volume.voxels_kji.shape[3:]
    stored = volume.voxels_kji.dtype
    is_precise = stored.itemsize > 2 and stored != np.float32
    result = np.empty((rows, columns, *channels), dtype=np.float64 if is_precise else np.float32)
    gather = _Gather(volume.voxels_kji, result.dtype)
    column_numbers = np.arange(columns)
    # A few rows at a time, so that the intermediate arrays stay in the processor's cache.
    step = max(1, 16384 // columns)
    for top in range(0, rows, step):
        row_numbers = np.arange(top, min(top + step, rows))[:, None]
        part = result[top : top + step]
        inside: npt.NDArray[np.bool_] | None = None
        neighbours: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]] = []
        for axis, size in enumerate(volume.geometry.shape_kji[::-1]):
            along = pixel_to_ijk[axis, 0] * column_numbers + pixel_to_ijk[axis, 1] * row_numbers + pixel_to_ijk[axis, 3]
            corners = along[:: len(along) - 1 or 1, :: columns - 1 or 1]
            if corners.min() < -0.5 or corners.max() > size - 0.5:
                within = (along >= -0.5) & (along <= size - 0.5)
                inside = within if inside is None else inside & within
            np.clip(along, 0, size - 1, out=along)
            lower = np.minimum(along.astype(np.intp), max(size - 2, 0))
            share = (along - lower).astype(np.float32)
            neighbours.append((lower, share.reshape(share.shape + (1,) * len(channels))))
        if inside is not None and not inside.any():
            part[...] = _fill_value(volume, fill)
            continue
        part[...] = gather.trilinear(neighbours)
        if inside is not None:
            part[~inside] = _fill_value(volume, fill)
    if volume.is_rgb:
        return np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return result


class _Gather:
    """Reads scattered voxels: from memory as one line where it is one, whatever the order of its axes."""

    def __init__(self, voxels_kji: npt.NDArray, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._voxels = voxels_kji
        channels = voxels_kji.shape[3:]
        by_stride = sorted(range(3), key=lambda axis: -abs(voxels_kji.strides[axis]))
        memory = voxels_kji.transpose(*by_stride, *range(3, voxels_kji.ndim))
        self._line = memory.reshape(-1, *channels) if memory.flags.c_contiguous else None
        item = voxels_kji.itemsize * int(np.prod(channels, dtype=int))
        # A single layer has no next one: stay on it.
        self._steps_ijk = [
            (voxels_kji.strides[axis] // item if voxels_kji.shape[axis] > 1 else 0) for axis in (2, 1, 0)
        ]

    def trilinear(self, neighbours: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]) -> npt.NDArray:
        """Interpolate between lower neighbours (indices along I, J, K) and the next ones, with the next one's share."""
        (i, share_i), (j, share_j), (k, share_k) = neighbours
        if self._line is not None:
            step_i, step_j, step_k = self._steps_ijk
            start = i * step_i + j * step_j + k * step_k

            def read(di: int, dj: int, dk: int) -> npt.NDArray:
                place = start + (di * step_i + dj * step_j + dk * step_k)
                return self._line.take(place, axis=0, mode="clip").astype(self._dtype)  # type: ignore[union-attr]

        else:
            last_k, last_j, last_i = (size - 1 for size in self._voxels.shape[:3])

            def read(di: int, dj: int, dk: int) -> npt.NDArray:
                place = np.minimum(k + dk, last_k), np.minimum(j + dj, last_j), np.minimum(i + di, last_i)
                return self._voxels[place].astype(self._dtype)

        def between(a: npt.NDArray, b: npt.NDArray, share: npt.NDArray) -> npt.NDArray:
            b -= a
            b *= share
            b += a
            return b

        faces = []
        for dk in (0, 1):
            edges = [between(read(0, dj, dk), read(1, dj, dk), share_i) for dj in (0, 1)]
            faces.append(between(edges[0], edges[1], share_j))
        return between(faces[0], faces[1], share_k)
