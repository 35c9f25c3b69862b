"""Intensities to 8 bits: what the model sees of a slice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError

_STEPS_PER_WIDTH = 4
"""At least, of the grid that `Window.rounded` rounds to; at most twice as many, as steps are powers of two.

How far the bounds move, an eighth of the width at most, cost no Dice (``Testing/Benchmarks/README.md``, *Intensity
windows*); twice as coarse a grid did. Half as coarse a one let only half of the boxes around the same structure share a
window, this one two thirds.
"""


@dataclass(frozen=True)
class Window:
    """The range of intensities that is spread over 0 … 255.

    Attributes:
        lower: becomes 0, and so does everything below.
        upper: becomes 255, and so does everything above.
        rule: how it was chosen, for the user and the provenance.

    Raises:
        InvalidOptionError: a bound is not a number, or the window has no width.
    """

    lower: float
    upper: float
    rule: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)) or self.upper <= self.lower:
            raise InvalidOptionError(
                f"Window {self.rule!r} from {self.lower} to {self.upper} has no width. Give LEVEL,WIDTH with a width "
                "above 0."
            )

    @classmethod
    def from_level_width(cls, level: float, width: float, rule: str) -> Window:
        return cls(level - width / 2, level + width / 2, rule)

    def rounded(self) -> Window:
        """The nearest window on a coarse grid, which most windows that differ by little have in common.

        What is computed for one of them is then good for the others. Both bounds become multiples of a power of two
        between an eighth and a quarter of the width: the grid knows of no image and of nothing that came before.
        """
        _, exponent = math.frexp(self.width / _STEPS_PER_WIDTH)
        step = math.ldexp(1.0, exponent - 1)
        return Window(round(self.lower / step) * step, round(self.upper / step) * step, self.rule)

    @property
    def level(self) -> float:
        return (self.lower + self.upper) / 2

    @property
    def width(self) -> float:
        return self.upper - self.lower


def apply_window(slice_hw: npt.NDArray, window: Window) -> npt.NDArray[np.uint8]:
    """Spread a window over 0 … 255, rounding to the nearest; NaN and infinite intensities become 0.

    Args:
        slice_hw: any shape and real dtype; not changed.
        window: the intensity range.

    Returns:
        A new array of the same shape.
    """
    is_float = slice_hw.dtype.kind == "f"
    small = slice_hw.dtype.itemsize <= 2 or slice_hw.dtype == np.float32
    # At least a window's width of digits is left in single precision except for offsets far larger than the width.
    precise = not small or max(abs(window.lower), abs(window.upper)) > 1e4 * window.width
    scaled = slice_hw.astype(np.float64 if precise else np.float32)
    if is_float:
        scaled[~np.isfinite(scaled)] = window.lower
    scaled -= window.lower
    scaled *= 255.0 / window.width
    np.clip(scaled, 0.0, 255.0, out=scaled)
    np.rint(scaled, out=scaled)
    return scaled.astype(np.uint8)
