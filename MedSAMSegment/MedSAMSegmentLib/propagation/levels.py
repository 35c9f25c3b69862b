"""How much work is put into a structure: levels with a name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from MedSAMSegmentLib.errors import InvalidOptionError

LEVELS = ("auto", "fast", "best")
"""``fast``: one encoder pass a slice. ``best``: several views of each slice. ``auto``: best on a GPU, else fast."""


@dataclass(frozen=True)
class Level:
    """What one level looks at. The numbers come from ``Testing/Benchmarks``, section "Whole structures".

    Attributes:
        name: ``fast`` or ``best``.
        fields_of_view: sides of the views that are encoded, in multiples of the ROI's longer side on the slice;
            infinite for the whole slice.
        weights: of their answers.
    """

    name: str
    fields_of_view: tuple[float, ...]
    weights: tuple[float, ...]


_LEVELS = {
    "fast": Level("fast", (5.0,), (1.0,)),
    "best": Level("best", (math.inf, 5.0), (4.0, 1.0)),
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
