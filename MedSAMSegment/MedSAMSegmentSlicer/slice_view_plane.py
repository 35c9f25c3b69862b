"""Where a slice view is: a slice node's pose as numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAMSegmentSlicer.matrices import to_numpy


def slice_to_ras(slice_node: Any) -> npt.NDArray[np.float64]:
    """(4, 4): directions to the right and upwards on the screen, the normal, and the slice's centre, in RAS mm."""
    return to_numpy(slice_node.GetSliceToRAS())


def ras_of_display_point(slice_node: Any, xy: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(3,) RAS mm of a display pixel of a slice view, on the plane that it shows."""
    return (to_numpy(slice_node.GetXYToRAS()) @ (xy[0], xy[1], 0.0, 1.0))[:3]


def display_points_of(slice_node: Any, points_ras: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n, 3): display x, y and the depth in the view's own units of points (n, 3) in RAS mm."""
    points = np.asarray(points_ras, dtype=np.float64).reshape(-1, 3)
    ras_to_xy = np.linalg.inv(to_numpy(slice_node.GetXYToRAS()))
    return (np.column_stack((points, np.ones(len(points)))) @ ras_to_xy.T)[:, :3]


def distance_from_view(slice_node: Any, point_ras: npt.ArrayLike) -> float:
    """Distance, in mm, of a point from the plane that a slice view shows."""
    pose = slice_to_ras(slice_node)
    normal = pose[:3, 2] / np.linalg.norm(pose[:3, 2])
    return abs(float((np.asarray(point_ras, dtype=np.float64) - pose[:3, 3]) @ normal))
