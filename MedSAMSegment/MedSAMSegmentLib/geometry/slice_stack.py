"""The layers of a volume, in the order and with the view that a radiologist expects, however they are stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentLib.prompts import BoxPrompt

Orientation = Literal["axial", "sagittal", "coronal"]

ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)

# Which world axis (0 R, 1 A, 2 S) a stack runs along, and which ones its columns and rows run against: Slicer's default
# views have the patient's right, or anterior, on the left, and anterior, or superior, on top.
_STACK_COLUMN_ROW: dict[Orientation, tuple[int, int, int]] = {
    "axial": (2, 0, 1),
    "sagittal": (0, 1, 2),
    "coronal": (1, 0, 2),
}

_ISOTROPIC_TOLERANCE = 0.01
"""Spacings that differ by less than 1 % count as equal: headers hold rounded numbers."""

_TIE = 1e-6
"""In layers, or as a difference of cosines: less than this is rounding."""


def voxel_axes(geometry: VolumeGeometry) -> tuple[int, int, int]:
    """The voxel axes (0 I, 1 J, 2 K) that run most nearly along R, A and S, each used once.

    The assignment with the largest product of the three cosines; between equal ones (a volume turned by 45°) the axes'
    directions in the world decide, so that the answer does not depend on the order or the sense in which the same
    voxels are stored.
    """
    directions = geometry.ijk_to_ras[:3, :3] / np.array(geometry.spacing_ijk)
    closeness = {axes: float(np.prod(np.abs(directions[(0, 1, 2), axes]))) for axes in permutations((0, 1, 2))}
    best = max(closeness.values())

    def world_direction(axis: int) -> list[float]:
        """The axis as a line: the first component that is not zero is positive."""
        line = np.round(directions[:, axis], 5)
        return list(line * np.sign(line[np.flatnonzero(line)[0]]))

    tied = [axes for axes, value in closeness.items() if value >= best - _TIE]
    i, j, k = max(tied, key=lambda axes: [component for axis in axes for component in world_direction(axis)])
    return i, j, k


def acquisition_orientation(geometry: VolumeGeometry) -> Orientation:
    """The planes that a volume was taken in.

    Those of a single-slice volume; else those across the one spacing that is coarser than the others by more than 1 %;
    axial where no spacing is.
    """
    orientation_of_axis = dict(zip(voxel_axes(geometry), ("sagittal", "coronal", "axial"), strict=True))
    shape_ijk = geometry.shape_kji[::-1]
    single = [axis for axis in range(3) if shape_ijk[axis] == 1]
    if len(single) == 1:
        return orientation_of_axis[single[0]]  # type: ignore[return-value]
    finer, coarsest = sorted(range(3), key=lambda axis: geometry.spacing_ijk[axis])[1:]
    if geometry.spacing_ijk[coarsest] <= geometry.spacing_ijk[finer] * (1 + _ISOTROPIC_TOLERANCE):
        return "axial"
    return orientation_of_axis[coarsest]  # type: ignore[return-value]


def orientation_named(name: str, geometry: VolumeGeometry) -> Orientation:
    """An orientation by its name; ``auto`` is the `acquisition_orientation`.

    Raises:
        InvalidOptionError: there is none of this name.
    """
    if name == "auto":
        return acquisition_orientation(geometry)
    for orientation in ORIENTATIONS:
        if name == orientation:
            return orientation
    raise InvalidOptionError(f"There is no plane {name!r}. Use one of: auto, {', '.join(ORIENTATIONS)}.")


@dataclass(frozen=True)
class SliceStack:
    """The voxel layers of a volume across one of its axes, ordered by increasing R, A or S.

    Columns and rows of every plane run as in Slicer's default views. Made with `SliceStack.of`.

    Attributes:
        geometry: the volume's grid.
        orientation: which of the three stacks.
        voxel_axis: the voxel axis (0 I, 1 J, 2 K) across the layers.
        is_reversed: the voxel index decreases from one layer to the next.
        first_plane: the layer with index 0.
        step_ras: (3,) mm, from a layer to the next.
    """

    geometry: VolumeGeometry
    orientation: Orientation
    voxel_axis: int
    is_reversed: bool
    first_plane: SlicePlane
    step_ras: npt.NDArray[np.float64]

    @classmethod
    def of(cls, geometry: VolumeGeometry, orientation: Orientation) -> SliceStack:
        """The layers across the voxel axis that is nearest to S (axial), R (sagittal) or A (coronal).

        Raises:
            InvalidOptionError: there is no such orientation.
        """
        if orientation not in ORIENTATIONS:
            raise InvalidOptionError(f"There is no orientation {orientation!r}. Use one of: {', '.join(ORIENTATIONS)}.")
        axes = voxel_axes(geometry)
        shape_ijk = geometry.shape_kji[::-1]
        stack, column, row = _STACK_COLUMN_ROW[orientation]
        first_ijk = np.zeros(4)
        first_ijk[3] = 1.0
        steps: list[npt.NDArray[np.float64]] = []
        for world, sense in ((stack, 1.0), (column, -1.0), (row, -1.0)):
            axis = axes[world]
            step = geometry.ijk_to_ras[:3, axis]
            if step[world] * sense < 0:
                first_ijk[axis] = shape_ijk[axis] - 1
                step = -step
            steps.append(step)
        column_axis, row_axis = axes[column], axes[row]
        spacing = geometry.spacing_ijk[column_axis], geometry.spacing_ijk[row_axis]
        first_plane = SlicePlane(
            (geometry.ijk_to_ras @ first_ijk)[:3],
            steps[1] / spacing[0],
            steps[2] / spacing[1],
            spacing,
            (shape_ijk[row_axis], shape_ijk[column_axis]),
        )
        return cls(geometry, orientation, axes[stack], bool(first_ijk[axes[stack]]), first_plane, steps[0])

    def __len__(self) -> int:
        return self.geometry.shape_kji[::-1][self.voxel_axis]

    @property
    def thickness_mm(self) -> float:
        """Distance of neighbouring layers, along their normal."""
        return abs(float(self.step_ras @ self.first_plane.normal_ras))

    def plane(self, index: int) -> SlicePlane:
        """The layer with this index, from 0 on.

        Raises:
            InvalidOptionError: there is no such layer.
        """
        if not 0 <= index < len(self):
            raise InvalidOptionError(
                f"There is no {self.orientation} slice {index}: they go from 0 to {len(self) - 1}."
            )
        return replace(self.first_plane, origin_ras=self.first_plane.origin_ras + index * self.step_ras)

    def voxel_index(self, index: int) -> int:
        """The index along ``voxel_axis`` at which a layer is stored."""
        return len(self) - 1 - index if self.is_reversed else index

    def position_mm(self, index: int) -> float:
        """The R (sagittal), A (coronal) or S (axial) coordinate of a layer's centre."""
        return float(self._first_center_ras[self._world_axis] + index * self.step_ras[self._world_axis])

    def nearest(self, position_mm: float) -> int:
        """The layer whose `position_mm` is nearest; of two that are equally near, the one with the lower coordinate.

        Raises:
            InvalidPromptError: the position is not a number, or in no layer.
        """
        coordinate = (position_mm - self.position_mm(0)) / float(self.step_ras[self._world_axis])
        if not -0.5 - _TIE <= coordinate <= len(self) - 0.5 + _TIE:
            raise InvalidPromptError(
                f"Position {position_mm} mm is outside the image: its {self.orientation} slices lie between "
                f"{self.position_mm(0):.1f} and {self.position_mm(len(self) - 1):.1f} mm."
            )
        return self.nearest_layer(coordinate)

    def layer_coordinate(self, point_ras: npt.ArrayLike) -> float:
        """Where a point lies among the layers: whole at a layer's centre, 0 at the first."""
        point = np.append(np.asarray(point_ras, dtype=np.float64), 1.0)
        along = float(self.geometry.ras_to_ijk[self.voxel_axis] @ point)
        return len(self) - 1 - along if self.is_reversed else along

    def nearest_layer(self, coordinate: float) -> int:
        """The layer nearest to a `layer_coordinate`, from wherever it is; half-way counts as the lower one in RAS."""
        return min(max(math.ceil(coordinate - 0.5 - _TIE), 0), len(self) - 1)

    def slab_crossed(self, roi: OrientedBox) -> range:
        """The layers whose centre plane cuts an ROI; the nearest one where a thin ROI lies between two centre planes.

        Raises:
            InvalidPromptError: the ROI lies outside the volume.
        """
        coordinates = [self.layer_coordinate(corner) for corner in roi.corners_ras]
        tolerance = 1e-4
        first = max(math.ceil(min(coordinates) - tolerance), 0)
        last = min(math.floor(max(coordinates) + tolerance), len(self) - 1)
        # The part of the ROI inside the volume is convex: the layers that cut it are neighbours.
        while first <= last and roi.box_on(self.plane(first)) is None:
            first += 1
        while first <= last and roi.box_on(self.plane(last)) is None:
            last -= 1
        if first <= last:
            return range(first, last + 1)
        layer = self.nearest_layer(self.layer_coordinate(roi.center_ras))
        if roi.box_on(self.plane(layer), self.thickness_mm) is None:
            raise InvalidPromptError(_outside(roi, self.geometry))
        return range(layer, layer + 1)

    def center_layer(self, roi: OrientedBox) -> int:
        """Of the layers that an ROI crosses, the one nearest to its centre; of two equally near ones, the lower in RAS.

        Raises:
            InvalidPromptError: the ROI lies outside the volume.
        """
        slab = self.slab_crossed(roi)
        return min(max(self.nearest_layer(self.layer_coordinate(roi.center_ras)), slab[0]), slab[-1])

    def box_on(self, index: int, roi: OrientedBox) -> BoxPrompt | None:
        """The tight box of an ROI on one of the layers that it crosses; None on the others.

        It is the box of the cut with the layer's centre plane, or, for an ROI so thin that no centre plane cuts it, of
        its silhouette on the layer that contains it.

        Raises:
            InvalidPromptError: the ROI lies outside the volume.
        """
        if index not in self.slab_crossed(roi):
            return None
        plane = self.plane(index)
        return roi.box_on(plane) or roi.box_on(plane, self.thickness_mm)

    @property
    def _world_axis(self) -> int:
        return _STACK_COLUMN_ROW[self.orientation][0]

    @property
    def _first_center_ras(self) -> npt.NDArray[np.float64]:
        return self.first_plane.center_ras


def _outside(roi: OrientedBox, geometry: VolumeGeometry) -> str:
    own, image = roi.corners_ras, geometry.corners_ras
    gaps = np.maximum(np.maximum(own.min(axis=0) - image.max(axis=0), image.min(axis=0) - own.max(axis=0)), 0.0)
    away = float(np.linalg.norm(gaps))  # between the boxes around both along R, A and S
    where = f", {away:.0f} mm away from it" if away >= 1.0 else ""
    return (
        f"The ROI lies outside the image{where}. Move the ROI into the image, or choose the image that it was drawn on."
    )
