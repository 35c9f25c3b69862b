"""Shapes that are known analytically, and volumes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import VolumeGeometry


class Shape(Protocol):
    def contains(self, points_ras: npt.NDArray) -> npt.NDArray[np.bool_]:
        """(…, 3) mm to (…) bool."""
        ...


@dataclass(frozen=True)
class Sphere:
    center_ras: npt.ArrayLike
    radius_mm: float

    def contains(self, points_ras: npt.NDArray) -> npt.NDArray[np.bool_]:
        return np.linalg.norm(points_ras - np.asarray(self.center_ras), axis=-1) <= self.radius_mm


@dataclass(frozen=True)
class Cylinder:
    center_ras: npt.ArrayLike
    axis_ras: npt.ArrayLike
    radius_mm: float
    length_mm: float

    def contains(self, points_ras: npt.NDArray) -> npt.NDArray[np.bool_]:
        axis = np.asarray(self.axis_ras) / np.linalg.norm(self.axis_ras)
        offset = points_ras - np.asarray(self.center_ras)
        along = offset @ axis
        across = np.linalg.norm(offset - along[..., None] * axis, axis=-1)
        return (np.abs(along) <= self.length_mm / 2) & (across <= self.radius_mm)


@dataclass(frozen=True)
class Block:
    """A box, turned as one likes: ``directions`` has its edges' directions as columns."""

    center_ras: npt.ArrayLike
    directions: npt.NDArray
    size_mm: npt.ArrayLike

    def contains(self, points_ras: npt.NDArray) -> npt.NDArray[np.bool_]:
        inside = np.abs((points_ras - np.asarray(self.center_ras)) @ self.directions) <= np.asarray(self.size_mm) / 2
        return inside.all(axis=-1)


def voxel_centers_ras(geometry: VolumeGeometry) -> npt.NDArray[np.float64]:
    """(K, J, I, 3) mm."""
    k, j, i = np.indices(geometry.shape_kji)
    return np.stack((i, j, k), axis=-1) @ geometry.ijk_to_ras[:3, :3].T + geometry.ijk_to_ras[:3, 3]


def pixel_centers_ras(plane: SlicePlane) -> npt.NDArray[np.float64]:
    """(H, W, 3) mm."""
    row, column = np.indices(plane.shape_hw)
    return np.stack((column, row), axis=-1) @ plane.pixel_to_ras[:3, :2].T + plane.origin_ras
