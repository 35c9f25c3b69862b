"""Which slices somebody who scrolls will look at next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentSlicer.prompt_work import layer_thickness

AHEAD_COUNT = 3
"""Slices in the direction of scrolling: about as many as are passed before the view rests again."""

_TOLERANCE = 1e-3
"""Of directions, and of a layer's thickness."""


class NeighbourSlices:
    """Remembers the slice that was looked at last; from it and the new one comes the direction."""

    def __init__(self) -> None:
        self._last: SlicePlane | None = None
        self._sign = 0

    def after(self, plane: SlicePlane, geometry: VolumeGeometry) -> tuple[SlicePlane, ...]:
        """The next slices in the direction of scrolling, the nearest first; none before it is known.

        Args:
            plane: what is looked at now.
            geometry: of the volume; slices outside of it are left out.
        """
        last, self._last = self._last, plane
        if last is None or not np.allclose(last.normal_ras, plane.normal_ras, atol=_TOLERANCE):
            self._sign = 0
            return ()
        step = layer_thickness(plane, geometry)
        moved = float(plane.normal_ras @ (plane.origin_ras - last.origin_ras)) / step
        if abs(moved) > _TOLERANCE:
            self._sign = 1 if moved > 0 else -1
        if self._sign == 0:
            return ()
        shift = self._sign * step * plane.normal_ras
        following = [replace(plane, origin_ras=plane.origin_ras + n * shift) for n in range(1, AHEAD_COUNT + 1)]
        return tuple(each for each in following if _is_inside(each, geometry))


def _is_inside(plane: SlicePlane, geometry: VolumeGeometry) -> bool:
    """Whether the middle of a plane lies in the volume along the plane's normal."""
    counts = np.array(geometry.shape_kji[::-1])
    corners_ijk = np.array(np.meshgrid(*([-0.5, count - 0.5] for count in counts))).reshape(3, -1)
    heights = plane.normal_ras @ (geometry.ijk_to_ras[:3, :3] @ corners_ijk + geometry.ijk_to_ras[:3, 3:])
    return bool(heights.min() <= plane.offset_mm <= heights.max())
