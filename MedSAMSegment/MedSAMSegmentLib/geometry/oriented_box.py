"""A box in the patient, rotated and transformed as one likes: what an ROI markup is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.convex_polygon import clip_to_rectangle, convex_hull
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentLib.prompts import BoxPrompt

_SIGNS = np.array(list(product((-0.5, 0.5), repeat=3)))
_EDGES = tuple((a, b) for a, b in combinations(range(8), 2) if np.count_nonzero(_SIGNS[a] != _SIGNS[b]) == 1)

_FARTHEST = 1e9
"""In mm."""

_RELATIVE_TOLERANCE = 1e-5
"""Share of a box's diagonal within which a corner counts as lying on a plane.

A face drawn at a voxel layer's coordinate belongs to that layer whatever the rounding of a file's or a transform's
single-precision numbers.
"""


@dataclass(frozen=True)
class OrientedBox:
    """A box that is centred on the origin of its own coordinates.

    Attributes:
        object_to_ras: (4, 4) affine: rotation, scale and shear (of parent transforms) are allowed.
        size_mm: (3,) edge lengths in the box's own coordinates, before ``object_to_ras`` scales them.

    Raises:
        InvalidPromptError: a size is zero, negative or not a number, or the matrix is not an invertible affine one.
    """

    object_to_ras: npt.NDArray[np.float64]
    size_mm: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.asarray(self.object_to_ras, dtype=np.float64)
        size = np.asarray(self.size_mm, dtype=np.float64)
        if size.shape != (3,) or not np.isfinite(size).all() or not (size > 0).all():
            raise InvalidPromptError(
                f"An ROI of size {_lengths(size)} mm is not a box: every side must be longer than zero. Draw it again."
            )
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise InvalidPromptError(
                "Where the ROI lies cannot be computed: its orientation or its transform is damaged. Draw the ROI "
                "again, or take it out of the transform (module Transforms)."
            )
        if max(np.abs(matrix).max(), size.max()) > _FARTHEST or np.abs(matrix[:3, :3] * size).max() > _FARTHEST:
            raise InvalidPromptError(
                f"The ROI lies, or reaches, a thousand kilometres away: its matrix is {matrix.tolist()}. Correct its "
                "transform, or draw it again."
            )
        edges = matrix[:3, :3] * size
        if abs(np.linalg.det(edges)) <= 1e-12 * float(np.prod(np.linalg.norm(edges, axis=0))):
            raise InvalidPromptError(
                "The ROI is flat: its orientation or its transform squeezes it to nothing. Draw the ROI again, or take "
                "it out of the transform (module Transforms)."
            )
        object.__setattr__(self, "object_to_ras", matrix)
        object.__setattr__(self, "size_mm", size)

    @classmethod
    def from_bounds(cls, lower_ras: npt.ArrayLike, upper_ras: npt.ArrayLike) -> OrientedBox:
        """The box between two corners, parallel to the world's axes."""
        lower, upper = np.asarray(lower_ras, dtype=np.float64), np.asarray(upper_ras, dtype=np.float64)
        object_to_ras = np.eye(4)
        object_to_ras[:3, 3] = (lower + upper) / 2
        return cls(object_to_ras, upper - lower)

    @classmethod
    def around_grid(cls, geometry: VolumeGeometry) -> OrientedBox:
        """The box that a volume's voxels fill, up to their outer faces."""
        shape_ijk = np.array(geometry.shape_kji[::-1], dtype=np.float64)
        object_to_ras = geometry.ijk_to_ras.copy()
        object_to_ras[:3, 3] = (geometry.ijk_to_ras @ (*((shape_ijk - 1) / 2), 1.0))[:3]
        return cls(object_to_ras, shape_ijk)

    @property
    def center_ras(self) -> npt.NDArray[np.float64]:
        """(3,) mm."""
        return self.object_to_ras[:3, 3]

    @cached_property
    def corners_ras(self) -> npt.NDArray[np.float64]:
        """(8, 3) mm."""
        return (_SIGNS * self.size_mm) @ self.object_to_ras[:3, :3].T + self.center_ras

    def scaled(self, factor: float) -> OrientedBox:
        """The same box about the same centre, with every side ``factor`` times as long."""
        return OrientedBox(self.object_to_ras, self.size_mm * factor)

    def interval_along(self, direction: npt.ArrayLike) -> tuple[float, float]:
        """Smallest and largest product of the box's points with a RAS vector: its extent along a unit vector."""
        along = self.corners_ras @ np.asarray(direction, dtype=np.float64)
        return float(along.min()), float(along.max())

    def cross_section(self, plane: SlicePlane, thickness_mm: float = 0.0) -> npt.NDArray[np.float64]:
        """The convex polygon in which a plane cuts the box, in the plane's pixels.

        Args:
            plane: may lie anywhere; the polygon is not clipped to its pixels.
            thickness_mm: silhouette, along the plane's normal, of what lies within half of this on either side of the
                plane, instead of the cut.

        Returns:
            (n, 2) column and row of its corners, in order around it; n is 0 where the plane misses the box or touches
            only an edge or a corner of it.
        """
        corners = np.column_stack((self.corners_ras, np.ones(8))) @ plane.ras_to_pixel[:3].T
        tolerance = _RELATIVE_TOLERANCE * float(np.linalg.norm(self.corners_ras[7] - self.corners_ras[0]))
        points = []
        for side in {-thickness_mm / 2, thickness_mm / 2}:
            height = corners[:, 2] - side
            height[np.abs(height) <= tolerance] = 0.0
            points.extend(corners[height == 0.0, :2])
            for a, b in _EDGES:
                if height[a] * height[b] < 0:
                    share = height[a] / (height[a] - height[b])
                    points.append(corners[a, :2] + share * (corners[b, :2] - corners[a, :2]))
        points.extend(corners[np.abs(corners[:, 2]) < thickness_mm / 2, :2])
        return convex_hull(np.array(points).reshape(-1, 2), tolerance=1e-9)

    def box_on(self, plane: SlicePlane, thickness_mm: float = 0.0) -> BoxPrompt | None:
        """The tight box, in pixels, of the part of the cross-section that lies on the plane's pixels; None without one.

        Args:
            plane: the slice.
            thickness_mm: as in `cross_section`: for an ROI that is thinner than a slice and lies between two centres.
        """
        rows, columns = plane.shape_hw
        polygon = clip_to_rectangle(self.cross_section(plane, thickness_mm), (-0.5, -0.5), (columns - 0.5, rows - 0.5))
        if len(polygon) == 0 or (np.ptp(polygon, axis=0) <= 1e-6).any():
            return None
        (x_min, y_min), (x_max, y_max) = polygon.min(axis=0), polygon.max(axis=0)
        return BoxPrompt(float(x_min), float(y_min), float(x_max), float(y_max))


def _lengths(size: npt.NDArray[np.float64]) -> str:
    return " × ".join(f"{side:.4g}" for side in size.ravel())
