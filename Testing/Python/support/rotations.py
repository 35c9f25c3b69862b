"""Directions and matrices for tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane


def rotation(x_degrees: float, y_degrees: float, z_degrees: float) -> npt.NDArray[np.float64]:
    """(3, 3): about X, then Y, then Z."""
    matrix = np.eye(3)
    for axis, degrees in enumerate((x_degrees, y_degrees, z_degrees)):
        angle = np.deg2rad(degrees)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def pose(directions: npt.ArrayLike, scale: npt.ArrayLike = 1.0, origin: npt.ArrayLike = 0.0) -> npt.NDArray[np.float64]:
    """(4, 4): columns are ``directions``' columns, ``scale`` times as long."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(directions) * np.asarray(scale)
    matrix[:3, 3] = origin
    return matrix


def plane_about(
    center_ras: npt.ArrayLike, directions: npt.NDArray, spacing_mm: float, shape_hw: tuple[int, int]
) -> SlicePlane:
    """A plane with a given middle, its columns and rows along the first two columns of ``directions``."""
    column, row = directions[:, 0], directions[:, 1]
    single = SlicePlane(np.zeros(3), column, row, (spacing_mm, spacing_mm), (1, 1))
    return single.view(center_ras, (shape_hw[1] * spacing_mm, shape_hw[0] * spacing_mm), (spacing_mm, spacing_mm))


angles = st.integers(-180, 180).map(float)
rotations = st.builds(rotation, angles, angles, angles)
