"""Boxes around what is already known of a structure: its mask, its longest diameter, its outline on one slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import MaskBlock

_TIE = 1e-6
"""Cosines that differ by less are equal."""

_FLAT = 1e-6
"""Share of an outline's length below which its width is rounding."""


def rectangular_box(box: OrientedBox) -> OrientedBox:
    """The tight box with right angles and a size in mm: the same box, unless a transform has sheared it.

    A sheared box keeps its first edge's direction, and the plane of its first two edges.
    """
    axes, upper = np.linalg.qr(box.object_to_ras[:3, :3])
    axes = axes * np.sign(np.diag(upper))
    if np.linalg.det(axes) < 0:
        axes[:, 2] = -axes[:, 2]
    size, center = _extents(axes, box.corners_ras)
    return _placed(axes, size, center)


def box_around_mask(block: MaskBlock, margin_mm: float = 0.0) -> OrientedBox:
    """The box of a mask's voxels, up to their outer faces, along the axes of their grid.

    Args:
        block: the mask.
        margin_mm: added on every side.

    Raises:
        InvalidPromptError: no voxel is set, or the margin is negative or not a number.
    """
    if not (np.isfinite(margin_mm) and margin_mm >= 0):
        raise InvalidPromptError(f"A margin of {margin_mm} mm is not possible. Use 0 or more.")
    trimmed = block.trimmed()
    if trimmed is None:
        raise InvalidPromptError("There is no voxel to put an ROI around. Choose a segment that is not empty.")
    box = rectangular_box(OrientedBox.around_grid(trimmed.geometry))
    return OrientedBox(box.object_to_ras, box.size_mm + 2 * margin_mm)


def box_along_line(start_ras: npt.ArrayLike, end_ras: npt.ArrayLike) -> OrientedBox:
    """The cube around a lesion whose longest diameter (the long axis of RECIST) is a line.

    The lesion is taken to be as long in the other two directions as along the line, which is the most that it can be
    across it and, for want of a second line, along the third direction too. The cube's first edge runs along the line;
    another one runs as nearly as possible along S, or, where A or R is nearer to being perpendicular to the line,
    along that: a line that was drawn in an axial, coronal or sagittal slice gives a cube with faces parallel to it.

    Args:
        start_ras: (3,) mm.
        end_ras: (3,) mm.

    Raises:
        InvalidPromptError: both ends are the same point, or not numbers.
    """
    start, end = np.asarray(start_ras, dtype=np.float64), np.asarray(end_ras, dtype=np.float64)
    length = float(np.linalg.norm(end - start))
    if not (np.isfinite(length) and length > 0):
        raise InvalidPromptError(f"A line from {start.tolist()} to {end.tolist()} mm has no length. Draw it again.")
    along = (end - start) / length
    # Of S, A and R, in this order.
    across = 2 - int(np.argmin(np.round(np.abs(along[::-1]) / _TIE)))
    third = np.eye(3)[across] - along[across] * along
    third /= np.linalg.norm(third)
    axes = np.column_stack((along, np.cross(third, along), third))
    return _placed(axes, np.full(3, length), (start + end) / 2)


def box_around_outline(points_ras: npt.NDArray[np.float64], thickness_mm: float | None = None) -> OrientedBox:
    """The box around an outline that was drawn on one plane.

    Its third edge runs across the plane that fits the points best; its first runs along the world's axis, R, A or S,
    that lies most nearly in that plane: on an axial, coronal or sagittal slice the box is parallel to the slice's
    edges.

    Args:
        points_ras: (n, 3) mm, at least three, not all on one line.
        thickness_mm: of the box across the plane; None for the shorter of its other two sides. It is never thinner
            than an outline that leaves the plane.

    Raises:
        InvalidPromptError: the points do not surround anything, or the thickness is not longer than zero.
    """
    check_thickness(thickness_mm)
    points = np.asarray(points_ras, dtype=np.float64).reshape(-1, 3)
    if len(points) < 3 or not np.isfinite(points).all():
        raise InvalidPromptError(f"An outline of {len(points)} points surrounds nothing. Draw at least three.")
    _, lengths, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=True)
    if lengths[1] <= _FLAT * lengths[0]:
        raise InvalidPromptError(
            f"The outline's {len(points)} points lie on one line and surround nothing. Draw it again."
        )
    normal = directions[2]
    nearest = int(np.argmin(np.round(np.abs(normal) / _TIE)))
    first = np.eye(3)[nearest] - normal[nearest] * normal
    first /= np.linalg.norm(first)
    axes = np.column_stack((first, np.cross(normal, first), normal))
    size, center = _extents(axes, points)
    size[2] = max(size[2], size[:2].min() if thickness_mm is None else thickness_mm)
    return _placed(axes, size, center)


def box_on_rectangle(
    center_ras: npt.ArrayLike,
    edges_ras: npt.NDArray[np.float64],
    thickness_mm: float | None = None,
) -> OrientedBox:
    """The box with a rectangle in its middle.

    Args:
        center_ras: (3,) mm, of the rectangle.
        edges_ras: (3, 2): two edges of the rectangle as columns, in mm.
        thickness_mm: of the box across the rectangle; None for the rectangle's shorter side.

    Raises:
        InvalidPromptError: the rectangle has no area, or the thickness is not longer than zero.
    """
    check_thickness(thickness_mm)
    edges = np.asarray(edges_ras, dtype=np.float64)
    lengths = np.linalg.norm(edges, axis=0)
    normal = np.cross(edges[:, 0], edges[:, 1])
    area = float(np.linalg.norm(normal))
    if not area > _FLAT * float(lengths.max()) ** 2:
        raise InvalidPromptError(
            f"A rectangle with sides of {lengths[0]:g} and {lengths[1]:g} mm has no area. Draw it again."
        )
    thickness = float(lengths.min()) if thickness_mm is None else thickness_mm
    axes = np.column_stack((edges / lengths, normal / area))
    return _placed(axes, np.array([*lengths, thickness]), center_ras)


def check_thickness(thickness_mm: float | None) -> None:
    """Refuse a thickness that no structure has.

    Raises:
        InvalidPromptError: it is not.
    """
    if thickness_mm is not None and not 1e-3 <= thickness_mm <= 1e4:
        raise InvalidPromptError(f"A thickness of {thickness_mm} mm is not possible. Use 0.001 to 10000 mm.")


def _extents(
    axes: npt.NDArray[np.float64], points_ras: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lengths along the axes, and centre, of the tight box of points."""
    along = points_ras @ axes
    lower, upper = along.min(axis=0), along.max(axis=0)
    return upper - lower, axes @ ((lower + upper) / 2)


def _placed(axes: npt.NDArray[np.float64], size_mm: npt.NDArray[np.float64], center_ras: npt.ArrayLike) -> OrientedBox:
    object_to_ras = np.eye(4)
    object_to_ras[:3, :3] = axes
    object_to_ras[:3, 3] = center_ras
    return OrientedBox(object_to_ras, size_mm)
