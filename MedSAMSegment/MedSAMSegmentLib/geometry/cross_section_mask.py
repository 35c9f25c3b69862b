"""The pixels of a slice that an ROI holds, however it is turned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.convex_polygon import clip_to_rectangle
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane

_TOLERANCE = 1e-3
"""In pixels: a centre on a face of the ROI is inside."""

_FULL = 0.99
"""Share of its bounding rectangle from which a cross-section counts as that rectangle."""


def pixels_in_roi(roi: OrientedBox, plane: SlicePlane, thickness_mm: float = 0.0) -> npt.NDArray[np.bool_]:
    """The pixels whose centre lies in the cut of a plane with an ROI.

    Where the plane misses the ROI, in its silhouette on the plane; where that holds no centre, as it is thinner than a
    pixel, those that come within half a pixel of it.

    Args:
        roi: around the structure.
        plane: the slice.
        thickness_mm: of the slice: of the part of the ROI that casts the silhouette.

    Returns:
        ``plane.shape_hw`` bool.
    """
    polygon = roi.cross_section(plane)
    if len(polygon) == 0:
        polygon = roi.cross_section(plane, thickness_mm)
    inside = _pixels_near(polygon, plane, _TOLERANCE)
    return inside if inside.any() else _pixels_near(polygon, plane, 0.5)


def kept_in_turned_roi(
    mask_hw: npt.NDArray[np.bool_], roi: OrientedBox, plane: SlicePlane, thickness_mm: float = 0.0
) -> npt.NDArray[np.bool_]:
    """A mask without what the bounding rectangle of a turned ROI has beyond the ROI itself.

    The model is asked with that rectangle, as it knows no turned ones. Where the ROI is not turned in the plane, the
    mask stays as the model gave it, which may reach beyond the box that it was asked with.

    Args:
        mask_hw: ``plane.shape_hw`` bool; not changed.
        roi: that was asked with.
        plane: the slice.
        thickness_mm: as in `pixels_in_roi`.
    """
    rows, columns = plane.shape_hw
    cut = roi.cross_section(plane)
    polygon = cut if len(cut) else roi.cross_section(plane, thickness_mm)
    polygon = clip_to_rectangle(polygon, (-0.5, -0.5), (columns - 0.5, rows - 0.5))
    if len(polygon) == 0 or _area(polygon) >= _FULL * float(np.prod(np.ptp(polygon, axis=0))):
        return mask_hw
    return mask_hw & pixels_in_roi(roi, plane, thickness_mm)


def _pixels_near(polygon: npt.NDArray[np.float64], plane: SlicePlane, distance: float) -> npt.NDArray[np.bool_]:
    """Pixels whose centre is no further outside any side of a convex polygon than a distance, in pixels."""
    rows, columns = plane.shape_hw
    inside = np.zeros(plane.shape_hw, dtype=bool)
    if len(polygon) == 0:
        return inside
    (left, top), (right, bottom) = polygon.min(axis=0) - distance, polygon.max(axis=0) + distance
    x = np.arange(max(int(np.ceil(left)), 0), min(int(np.floor(right)), columns - 1) + 1)
    y = np.arange(max(int(np.ceil(top)), 0), min(int(np.floor(bottom)), rows - 1) + 1)
    if x.size == 0 or y.size == 0:
        return inside
    near = np.ones((y.size, x.size), dtype=bool)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = end - start
        length = float(np.hypot(*along))
        if length > 0:
            near &= along[0] * (y[:, None] - start[1]) - along[1] * (x - start[0]) >= -distance * length
    inside[y[0] : y[-1] + 1, x[0] : x[-1] + 1] = near
    return inside


def _area(polygon: npt.NDArray[np.float64]) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
