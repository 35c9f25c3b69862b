"""Convex polygons in a plane: hull of points, part inside a rectangle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def convex_hull(points: npt.NDArray[np.float64], tolerance: float = 0.0) -> npt.NDArray[np.float64]:
    """Corners of the convex hull, in order around it (Andrew's monotone chain).

    Args:
        points: (n, 2).
        tolerance: a corner that stands out by no more than this length is left out.

    Returns:
        (m, 2); m is 0 where the points lie on one line or there are fewer than three.
    """
    ordered = sorted({(float(x), float(y)) for x, y in points})
    if len(ordered) < 3:
        return np.empty((0, 2))

    def chain(sequence: list[tuple[float, float]]) -> list[tuple[float, float]]:
        corners: list[tuple[float, float]] = []
        for x, y in sequence:
            while len(corners) >= 2:
                (x0, y0), (x1, y1) = corners[-2], corners[-1]
                twice_area = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
                if twice_area > tolerance * float(np.hypot(x - x0, y - y0)):
                    break
                corners.pop()
            corners.append((x, y))
        return corners

    hull = chain(ordered)[:-1] + chain(ordered[::-1])[:-1]
    return np.array(hull) if len(hull) >= 3 else np.empty((0, 2))


def clip_to_rectangle(
    polygon: npt.NDArray[np.float64], lower: tuple[float, float], upper: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """The part of a convex polygon inside a rectangle (Sutherland and Hodgman's algorithm).

    Args:
        polygon: (n, 2) corners in order.
        lower: the rectangle's smallest x and y.
        upper: its largest x and y.

    Returns:
        (m, 2) corners in order; m is 0 where nothing is inside.
    """
    for axis in (0, 1):
        for sign, bound in ((1.0, lower[axis]), (-1.0, upper[axis])):
            if len(polygon) == 0:
                return polygon
            depth = sign * (polygon[:, axis] - bound)
            kept: list[npt.NDArray[np.float64]] = []
            for n in range(len(polygon)):
                before, after = depth[n - 1], depth[n]
                if (before < 0) != (after < 0):
                    kept.append(polygon[n - 1] + before / (before - after) * (polygon[n] - polygon[n - 1]))
                if after >= 0:
                    kept.append(polygon[n])
            polygon = np.array(kept).reshape(-1, 2)
    return polygon
