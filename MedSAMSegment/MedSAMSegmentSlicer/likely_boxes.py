"""Where somebody will draw the next box: the guesses that slices are encoded ahead for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane

_OTHER_SIZES = (1.12, 0.88)
"""A box around the same structure on the next slice is as much larger or smaller: where the window of a box lies near a
border of the grid that windows are rounded to, one of these gives the window beyond it."""

_MIDDLE = 0.5
"""Share of the view, along either direction, that its middle is."""


def likely_boxes(plane: SlicePlane, known: Sequence[OrientedBox], middle: OrientedBox) -> tuple[OrientedBox, ...]:
    """The boxes that a slice may be asked about, the likeliest first.

    Args:
        plane: the slice.
        known: a chosen ROI, and the box that was drawn last, as far as there are any. An ROI counts where it crosses
            the slice; a flat box of a parallel slice is moved there, because structures go on.
        middle: of the view, where one looks; it counts last.
    """
    there = [moved for box in known if (moved := moved_onto(box, plane)) is not None]
    sizes = [replace(box, size_mm=box.size_mm * (factor, factor, 1.0)) for box in there[:1] for factor in _OTHER_SIZES]
    return tuple(box for box in (*there, *sizes, middle) if box.box_on(plane) is not None)


def moved_onto(box: OrientedBox, plane: SlicePlane) -> OrientedBox | None:
    """A box where it crosses a slice, or moved along the slice's normal if it lies flat beside it; else None."""
    if box.box_on(plane) is not None:
        return box
    across = box.object_to_ras[:3, 2] / np.linalg.norm(box.object_to_ras[:3, 2])
    if abs(float(across @ plane.normal_ras)) < 1 - 1e-6:
        return None
    object_to_ras = box.object_to_ras.copy()
    object_to_ras[:3, 3] += (plane.offset_mm - plane.normal_ras @ box.center_ras) * plane.normal_ras
    moved = replace(box, object_to_ras=object_to_ras)
    return moved if moved.box_on(plane) is not None else None


def middle_of_view(
    slice_to_ras: npt.NDArray[np.float64], field_of_view_mm: tuple[float, float], thickness_mm: float
) -> OrientedBox:
    """The middle of what a slice view shows.

    Args:
        slice_to_ras: (4, 4) the view's pose: its centre, and the directions to the right and upwards.
        field_of_view_mm: width and height.
        thickness_mm: of the slice.
    """
    width, height = field_of_view_mm
    return OrientedBox(slice_to_ras, np.array([width * _MIDDLE, height * _MIDDLE, thickness_mm]))
