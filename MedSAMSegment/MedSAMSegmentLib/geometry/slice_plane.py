"""A pixel grid in the patient: where one slice lies."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.prompts import BoxPrompt


@dataclass(frozen=True)
class SlicePlane:
    """The pixels of a slice in world millimetres.

    Attributes:
        origin_ras: (3,) centre of the pixel in row 0, column 0.
        column_direction_ras: (3,) unit vector towards higher columns (to the right on the screen).
        row_direction_ras: (3,) unit vector towards higher rows (downwards on the screen).
        spacing_mm: distance of neighbouring columns, and of neighbouring rows.
        shape_hw: number of rows, number of columns.

    The two directions are orthogonal except where a sheared volume makes its own layers oblique.
    """

    origin_ras: npt.NDArray[np.float64]
    column_direction_ras: npt.NDArray[np.float64]
    row_direction_ras: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float]
    shape_hw: tuple[int, int]

    def __post_init__(self) -> None:
        for name in ("origin_ras", "column_direction_ras", "row_direction_ras"):
            vector = np.asarray(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise InvalidOptionError(f"Slice plane: {name} is {vector.tolist()}, three finite numbers are needed.")
            object.__setattr__(self, name, vector)
        if min(self.spacing_mm) <= 0 or min(self.shape_hw) < 1:
            raise InvalidOptionError(
                f"Slice plane: spacing {self.spacing_mm} mm and shape {self.shape_hw} must be positive."
            )
        if np.linalg.norm(np.cross(self.column_direction_ras, self.row_direction_ras)) < 1e-6:
            raise InvalidOptionError(
                "Slice plane: the column and row directions are parallel. Give two different ones."
            )

    @cached_property
    def normal_ras(self) -> npt.NDArray[np.float64]:
        """(3,) unit vector: column direction × row direction."""
        normal = np.cross(self.column_direction_ras, self.row_direction_ras)
        return normal / np.linalg.norm(normal)

    @cached_property
    def pixel_to_ras(self) -> npt.NDArray[np.float64]:
        """(4, 4): (column, row, distance along the normal in mm, 1) to RAS."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.column_direction_ras * self.spacing_mm[0]
        matrix[:3, 1] = self.row_direction_ras * self.spacing_mm[1]
        matrix[:3, 2] = self.normal_ras
        matrix[:3, 3] = self.origin_ras
        return matrix

    @cached_property
    def ras_to_pixel(self) -> npt.NDArray[np.float64]:
        """(4, 4): RAS to (column, row, signed distance from the plane in mm, 1)."""
        return np.linalg.inv(self.pixel_to_ras).astype(np.float64)

    @property
    def center_ras(self) -> npt.NDArray[np.float64]:
        """(3,) middle of the pixel area."""
        rows, columns = self.shape_hw
        return (self.pixel_to_ras @ ((columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0))[:3]

    def crop(self, first_column: int, first_row: int, shape_hw: tuple[int, int]) -> SlicePlane:
        """A part of the same pixel grid, which may reach beyond this one."""
        origin_ras = (self.pixel_to_ras @ (first_column, first_row, 0.0, 1.0))[:3]
        return replace(self, origin_ras=origin_ras, shape_hw=shape_hw)

    def around(self, box: BoxPrompt, factor: float) -> SlicePlane:
        """The pixels within ``factor`` times a box about its centre, as far as this plane has them.

        Raises:
            InvalidOptionError: the plane has no pixel there.
        """
        spans = []
        for low, high, count in (
            (box.x_min, box.x_max, self.shape_hw[1]),
            (box.y_min, box.y_max, self.shape_hw[0]),
        ):
            middle, half = (low + high) / 2, (high - low) / 2 * factor
            first, last = math.floor(middle - half + 0.5), math.ceil(middle + half - 0.5)
            spans.append((max(first, 0), min(max(last, first), count - 1)))
        (first_column, last_column), (first_row, last_row) = spans
        return self.crop(first_column, first_row, (last_row - first_row + 1, last_column - first_column + 1))

    def resampled(self, spacing_mm: tuple[float, float]) -> SlicePlane:
        """The same area, to the nearest whole pixel and about the same centre, at another spacing."""
        rows, columns = self.shape_hw
        size_mm = (columns * self.spacing_mm[0], rows * self.spacing_mm[1])
        return self.view(self.center_ras, size_mm, spacing_mm)

    def view(
        self, center_ras: npt.ArrayLike, size_mm: tuple[float, float], spacing_mm: tuple[float, float]
    ) -> SlicePlane:
        """Another pixel grid with the same directions.

        Args:
            center_ras: (3,) middle of its pixel area.
            size_mm: extent along columns and rows, rounded to whole pixels, one at least.
            spacing_mm: distance of neighbouring columns, and of neighbouring rows.
        """
        columns, rows = (max(1, round(size / spacing)) for size, spacing in zip(size_mm, spacing_mm, strict=True))
        origin_ras = (
            np.asarray(center_ras, dtype=np.float64)
            - (columns - 1) / 2 * spacing_mm[0] * self.column_direction_ras
            - (rows - 1) / 2 * spacing_mm[1] * self.row_direction_ras
        )
        return replace(self, origin_ras=origin_ras, spacing_mm=spacing_mm, shape_hw=(rows, columns))

    @property
    def offset_mm(self) -> float:
        """Signed distance of the plane from the world's origin, along its normal."""
        return float(self.normal_ras @ self.origin_ras)
