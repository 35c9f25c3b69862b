"""Where the slices of a DICOM series or file lie, and whether one grid of voxels describes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError

_ROUNDING_MM = 0.06
"""Positions may have been written with one decimal."""
_UNEVEN, _UNEVEN_AT_MOST = 0.05, 0.25
"""Of the distance of neighbouring slices: how far a slice may lie from its layer, and how far if it was rounded."""
_SAME_PLACE_MM = 1e-3
_PIXELS_OF_SHEAR = 0.25
"""Below this drift over all slices, slices are stacked along their normal, as 3D Slicer does."""
_REMEDY = (
    "3D Slicer can resample a series with one file per slice: load it (module DICOM, acquisition geometry "
    "regularization: apply transform), harden the transform, and save the volume."
)


@dataclass(frozen=True)
class FrameGrid:
    """Parallel slices at equal distances.

    Attributes:
        order: which slice is the first along the normal, the second, and so on.
        origin_lps: (3,) mm, first pixel of the first slice.
        step_lps: (3,) mm, from one slice to the next. Not along the normal if the gantry was tilted.
        tilt_degrees: angle between the two.
    """

    order: list[int]
    origin_lps: npt.NDArray[np.float64]
    step_lps: npt.NDArray[np.float64]
    tilt_degrees: float


def regular_grid(
    positions_lps: npt.NDArray[np.float64],
    axes_lps: npt.NDArray[np.float64],
    pixel_mm: float,
    names: list[str],
    what: str,
) -> FrameGrid:
    """Sort slices along their normal, and check that they are evenly spaced.

    The distance is that of the first and the last slice divided by the number of steps, as in 3D Slicer and ITK.

    Args:
        positions_lps: (n, 3) mm, n ≥ 2, in any order.
        axes_lps: (2, 3) unit vectors along rows and columns, the same for all.
        pixel_mm: the smaller distance of pixels.
        names: of the slices, for messages.
        what: the series or file, for messages.

    Raises:
        InvalidImageError: two slices are at one place, or the distances differ: the message says which and how much.
    """
    normal = np.cross(*axes_lps)
    depths = positions_lps @ normal
    order = [int(n) for n in np.argsort(depths, kind="stable")]
    sorted_lps = positions_lps[order]
    gaps = np.diff(depths[order])
    _check_places(gaps, order, names, what)
    step = (sorted_lps[-1] - sorted_lps[0]) / (len(order) - 1)
    distance = float(step @ normal)
    expected = sorted_lps[0] + np.outer(np.arange(len(order)), step)
    off = np.linalg.norm(sorted_lps - expected, axis=1)
    if off.max() > min(max(_UNEVEN * distance, _ROUNDING_MM * 2), _UNEVEN_AT_MOST * distance):
        _refuse_uneven(gaps, sorted_lps, order, names, what)
    in_plane = step - distance * normal
    if np.linalg.norm(in_plane) * (len(order) - 1) <= _PIXELS_OF_SHEAR * pixel_mm:
        return FrameGrid(order, sorted_lps[0], distance * normal, 0.0)
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(in_plane), distance)))
    return FrameGrid(order, sorted_lps[0], step, tilt)


def _check_places(gaps: npt.NDArray[np.float64], order: list[int], names: list[str], what: str) -> None:
    twice = np.flatnonzero(gaps < _SAME_PLACE_MM)
    if not twice.size:
        return
    first = int(twice[0])
    places = len(order) - twice.size
    raise InvalidImageError(
        f"{what} has {len(order)} slices at only {places} places ({names[order[first]]} and {names[order[first + 1]]} "
        "are at the same one): it holds several time points, echoes or other images, or some slices twice. Export one "
        "of them alone; or load it in 3D Slicer (module DICOM), and save the volume to be segmented."
    )


def _refuse_uneven(
    gaps: npt.NDArray[np.float64], sorted_lps: npt.NDArray[np.float64], order: list[int], names: list[str], what: str
) -> None:
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    between = f"between {names[order[worst]]} and {names[order[worst + 1]]}"
    if abs(gaps[worst] - usual) <= _UNEVEN * usual:
        steps = np.diff(sorted_lps, axis=0)
        worst = int(np.argmax(np.linalg.norm(steps - np.median(steps, axis=0), axis=1)))
        raise InvalidImageError(
            f"The slices of {what} are shifted sideways against each other: {names[order[worst]]} and "
            f"{names[order[worst + 1]]} by {np.linalg.norm(steps[worst]):.2f} mm, elsewhere {usual:.2f} mm. {_REMEDY}"
        )
    raise InvalidImageError(
        f"The slices of {what} are not evenly spaced: {between} are {gaps[worst]:.2f} mm, elsewhere {usual:.2f} mm. If "
        f"a slice is missing, export the series again. {_REMEDY}"
    )
