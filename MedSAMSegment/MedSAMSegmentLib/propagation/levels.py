"""How much work is put into a structure: levels with a name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from MedSAMSegmentLib.errors import InvalidOptionError

LEVELS = ("auto", "fast", "best")
"""``fast``: one view of each slice. ``best``: several, and other planes. ``auto``: best on a GPU, else fast."""


@dataclass(frozen=True)
class Level:
    """What one level looks at. The numbers come from ``Testing/Benchmarks``, section "Whole structures".

    Attributes:
        name: ``fast`` or ``best``.
        fields_of_view: sides of the views that are encoded, in multiples of the ROI's longer side on the slice;
            infinite for the whole slice.
        weights: of their answers.
        takes_one: only one of the views, the one that the model is surest of on two slices: one encoder pass a slice,
            and two more. Otherwise all of them.
        looks_across: the two other planes are asked too, with the first of the views.
    """

    name: str
    fields_of_view: tuple[float, ...]
    weights: tuple[float, ...]
    takes_one: bool
    looks_across: bool


_LEVELS = {
    "fast": Level("fast", (5.0, math.inf), (1.0, 1.0), takes_one=True, looks_across=False),
    "best": Level("best", (5.0, math.inf), (1.0, 2.0), takes_one=False, looks_across=True),
}


def level_of(name: str, device: str) -> Level:
    """The level of a name; ``auto`` depends on the model's device.

    Raises:
        InvalidOptionError: there is no such level.
    """
    if name not in LEVELS:
        raise InvalidOptionError(f"There is no level {name!r}. Use one of: {', '.join(LEVELS)}.")
    if name == "auto":
        name = "fast" if device.startswith("cpu") else "best"
    return _LEVELS[name]
