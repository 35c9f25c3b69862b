"""Planes that need not follow a volume's axes: of a slice view as it is turned, or from a normal and a point."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.sampling import COINCIDENCE_TOLERANCE
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, SliceStack
from MedSAMSegmentLib.geometry.volume import VolumeGeometry

LONGEST_SIDE = 1024
"""Pixels: the input side of SAM and MedSAM (Kirillov et al. 2023); more would be shrunk again before the encoder."""

_SAME_DIRECTION = 1e-3
"""Radians within which a view's edges count as parallel to a layer's: under a pixel at 1000 pixels."""

# For a normal nearest to R, A or S: columns' and rows' direction in Slicer's default sagittal, coronal and axial view.
_DEFAULT_VIEW = {
    0: (np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0])),
    1: (np.array([-1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])),
    2: (np.array([-1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])),
}


def plane_of_view(
    slice_to_ras: npt.ArrayLike,
    geometry: VolumeGeometry,
    *,
    layer_tolerance: float = COINCIDENCE_TOLERANCE,
    longest_side: int = LONGEST_SIDE,
) -> SlicePlane:
    """The plane that a slice view shows of a volume, whatever its orientation.

    Where it coincides with a voxel layer, and its edges are parallel to the layer's, it is that layer of `SliceStack`,
    with the layer's pixels and default orientation, also if the view is mirrored or turned by 90°.

    Args:
        slice_to_ras: (4, 4) a slice node's ``SliceToRAS``: its columns are the directions to the right and upwards on
            the screen, and the normal; its origin lies anywhere on the plane.
        geometry: the volume's grid, parent transform included.
        layer_tolerance: distance, in layers, up to which the plane counts as coinciding with a layer.
        longest_side: bound of the number of rows, and of columns, where the plane is not a layer.

    Raises:
        InvalidOptionError: the matrix has no two directions.
        InvalidPromptError: the plane misses the volume.
    """
    matrix = np.asarray(slice_to_ras, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise InvalidOptionError("The slice view has no usable orientation. Reset it (the view's menu, Axial).")
    column, row = matrix[:3, 0], -matrix[:3, 1]
    normal = np.cross(column, row)
    if np.linalg.norm(normal) < 1e-6 * np.linalg.norm(column) * np.linalg.norm(row) or not normal.any():
        raise InvalidOptionError("The slice view has no usable orientation. Reset it (the view's menu, Axial).")
    column = column / np.linalg.norm(column)
    normal = normal / np.linalg.norm(normal)
    row = np.cross(normal, column)
    origin = matrix[:3, 3]
    layer = _layer_at(normal, origin, geometry, layer_tolerance)
    if layer is not None:
        edges = (layer.column_direction_ras, layer.row_direction_ras)
        if all(min(np.linalg.norm(np.cross(edge, side)) for side in (column, row)) < _SAME_DIRECTION for edge in edges):
            return layer
    covering = _covering(SlicePlane(origin, column, row, (1.0, 1.0), (1, 1)), geometry, longest_side)
    if covering is None:
        raise InvalidPromptError("The image does not reach this slice. Scroll the view into the image.")
    return covering


def plane_through(
    normal_ras: npt.ArrayLike,
    point_ras: npt.ArrayLike,
    geometry: VolumeGeometry,
    *,
    layer_tolerance: float = COINCIDENCE_TOLERANCE,
    longest_side: int = LONGEST_SIDE,
) -> SlicePlane:
    """The plane through a point, across a direction, turned as Slicer's default view nearest to it.

    Where it coincides with a voxel layer it is that layer of `SliceStack`.

    Args:
        normal_ras: (3,) of any length and sense.
        point_ras: (3,) mm, anywhere on the plane.
        geometry: the volume's grid, parent transform included.
        layer_tolerance: as in `plane_of_view`.
        longest_side: as in `plane_of_view`.

    Raises:
        InvalidOptionError: the normal has no length, or a number is missing.
        InvalidPromptError: the plane misses the volume.
    """
    normal, point = np.asarray(normal_ras, dtype=np.float64), np.asarray(point_ras, dtype=np.float64)
    if normal.shape != (3,) or point.shape != (3,) or not np.isfinite([normal, point]).all() or not normal.any():
        raise InvalidOptionError(
            f"A plane with normal {normal.tolist()} through {point.tolist()} does not exist: give a normal that is not "
            "zero and a point, three numbers each."
        )
    normal = normal / np.linalg.norm(normal)
    layer = _layer_at(normal, point, geometry, layer_tolerance)
    if layer is not None:
        return layer
    # Between two equally near views the later wins, axial above all: rounding must not decide.
    nearest = max(range(3), key=lambda axis: (round(abs(float(normal[axis])), 6), axis))
    column, row = _DEFAULT_VIEW[nearest]
    column = column - (column @ normal) * normal
    column /= np.linalg.norm(column)
    across = np.cross(normal, column)
    covering = _covering(
        SlicePlane(point, column, across if across @ row > 0 else -across, (1.0, 1.0), (1, 1)), geometry, longest_side
    )
    if covering is None:
        raise InvalidPromptError(
            f"The image does not reach the plane through R {point[0]:.1f}, A {point[1]:.1f}, S {point[2]:.1f} mm. Move "
            "the plane into the image."
        )
    return covering


def finest_spacing(plane: SlicePlane, geometry: VolumeGeometry) -> float:
    """The shortest distance, in mm, over which the voxel index changes by one along any direction in a plane."""
    directions = np.column_stack((plane.column_direction_ras, plane.row_direction_ras))
    return 1.0 / float(np.linalg.norm(geometry.ras_to_ijk[:3, :3] @ directions, ord=2))


def _layer_at(
    normal: npt.NDArray[np.float64], point: npt.NDArray[np.float64], geometry: VolumeGeometry, tolerance: float
) -> SlicePlane | None:
    """The voxel layer that a plane coincides with, all over the volume; None if it does with none."""
    box = OrientedBox.around_grid(geometry)
    center = box.center_ras - ((box.center_ras - point) @ normal) * normal
    reach = float(np.linalg.norm(box.corners_ras - box.center_ras, axis=1).max())
    _, first, second = np.linalg.svd(normal[None])[2]
    for orientation in ORIENTATIONS:
        stack = SliceStack.of(geometry, orientation)
        there = [stack.layer_coordinate(center + reach * side) for side in (first, -first, second, -second)]
        index = stack.nearest_layer(stack.layer_coordinate(center))
        # Off centre by as much as is allowed, but tilted by no more than the rounding of matrices.
        tilt = max(there) - min(there)
        if abs(stack.layer_coordinate(center) - index) <= tolerance and tilt <= 2 * COINCIDENCE_TOLERANCE:
            return stack.plane(index)
    return None


def _covering(plane: SlicePlane, geometry: VolumeGeometry, longest_side: int) -> SlicePlane | None:
    """The pixels that cover a volume's cross-section with a plane given in 1 mm pixels; None if they do not meet."""
    polygon = OrientedBox.around_grid(geometry).cross_section(plane)
    if len(polygon) == 0:
        return None
    lower, upper = polygon.min(axis=0), polygon.max(axis=0)
    step = max(finest_spacing(plane, geometry), float((upper - lower).max()) / longest_side)
    # Whole pixels, so that nothing is lost at the border but rounding.
    width, height = (math.ceil(float(length) / step - 1e-3) * step for length in upper - lower)
    center = (plane.pixel_to_ras @ (*((lower + upper) / 2), 0.0, 1.0))[:3]
    return plane.view(center, (width, height), (step, step))
