"""What the user points at, in pixels of one slice."""

from __future__ import annotations

import math
from dataclasses import dataclass

from MedSAMSegmentLib.errors import InvalidPromptError


@dataclass(frozen=True)
class BoxPrompt:
    """A box in pixels of a slice, XYXY: x counts columns, y counts rows, and a pixel's centre has whole coordinates.

    A box around the single pixel (column 3, row 5) is therefore (2.5, 4.5, 3.5, 5.5).

    Raises:
        InvalidPromptError: a coordinate is not finite, or the box has no width or height.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.xyxy):
            raise InvalidPromptError("The box's place on the slice is not a number. Draw the box again.")
        if self.x_max <= self.x_min or self.y_max <= self.y_min:
            raise InvalidPromptError("The box has no width or no height. Draw the box again.")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return (self.x_min, self.y_min, self.x_max, self.y_max)

    @property
    def width(self) -> float:
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        return self.y_max - self.y_min


@dataclass(frozen=True)
class PointPrompt:
    """A point in pixels of a slice: column, row."""

    column: float
    row: float
    is_foreground: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.column) and math.isfinite(self.row)):
            raise InvalidPromptError(f"Point ({self.column}, {self.row}) is not a position. Place the point again.")
