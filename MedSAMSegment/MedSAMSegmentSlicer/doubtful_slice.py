"""A slice that somebody should look at. Light: what shows it is imported when the Segment Editor opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from MedSAMSegmentLib.propagation.results import SliceResult


@dataclass(frozen=True)
class DoubtfulSlice:
    """A slice to look at: where it is, and how much the result on it can be trusted, 0 to 1."""

    center_ras: tuple[float, float, float]
    normal_ras: tuple[float, float, float]
    confidence: float


def doubtful_slice(result: SliceResult) -> DoubtfulSlice:
    """Where to look, of a slice that is to be looked at."""
    box, plane = result.box, result.plane
    center = plane.pixel_to_ras @ ((box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2, 0.0, 1.0)
    r, a, s = (float(value) for value in center[:3])
    normal = plane.normal_ras
    return DoubtfulSlice((r, a, s), (float(normal[0]), float(normal[1]), float(normal[2])), result.confidence)
