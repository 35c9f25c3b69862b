"""How often a slice is encoded before its box is drawn, for somebody who draws boxes slice after slice.

Usage: python3 Testing/Benchmarks/encode_ahead.py [FOLDER] [--encoder SECONDS] [--window auto|roi] [--json FILE]

No model runs: only which image it would be shown, and when, is worked out, by the same code as in the effect. On each
slice of each structure (cases as in ``windows.py``) a simulated user looks for 1 to 2 s, then draws, in 0.6 to 1 s and
with a hand's profile of speed, the structure's tight box on that slice, each side off by up to 6 % of the box, and lets
go 0.05 to 0.2 s later. A slice is encoded ahead once its view has rested for 0.3 s, for the likely boxes one after the
other; while a box is drawn, for the box as it is. What is printed is what the encoder still has to do at release.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from windows import Case, cases

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import SliceStack, acquisition_orientation
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentSlicer.encoding_ahead import ExpectedPrompt
from MedSAMSegmentSlicer.likely_boxes import likely_boxes, middle_of_view
from MedSAMSegmentSlicer.prompt_work import layer_thickness

SETTLED_S = 0.3
STEP_S = 0.02
SLICES = 12
"""Of each structure, at most, evenly spread."""


@dataclass
class Encoder:
    """One encoder, which can be told to turn to something else."""

    seconds: float
    done: set[Window] = field(default_factory=set)
    current: Window | None = None
    left: float = 0.0

    def run(self, seconds: float, wanted: Sequence[Window]) -> None:
        """Go on with the current window, then with the wanted ones that are not there yet."""
        while seconds > 1e-9:
            if self.current is None:
                self.current = next((window for window in wanted if window not in self.done), None)
                self.left = self.seconds
                if self.current is None:
                    return
            step = min(seconds, self.left)
            self.left -= step
            seconds -= step
            if self.left <= 1e-9:
                self.done.add(self.current)
                self.current = None

    def turn_to(self, window: Window) -> None:
        """Give up what is not this window."""
        if self.current != window:
            self.current = None

    def remaining(self, window: Window) -> float:
        """Seconds until a window is there."""
        if window in self.done:
            return 0.0
        return self.left if self.current == window else self.seconds


def structure_boxes(case: Case) -> Iterator[tuple[SlicePlane, tuple[float, float, float, float]]]:
    """The slices of a structure, and its tight box in their pixels."""
    grid = case.volume.geometry
    truth = Volume(case.truth_kji.astype(np.uint8), grid)
    stack = SliceStack.of(grid, acquisition_orientation(grid))
    planes = [plane for index in range(len(stack)) if sample(truth, plane := stack.plane(index)).sum() >= 20]
    for plane in planes[:: max(1, len(planes) // SLICES)]:
        rows, columns = (np.flatnonzero(sample(truth, plane).any(axis=axis)) for axis in (1, 0))
        yield plane, (columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)


def box_on(plane: SlicePlane, x: tuple[float, float], y: tuple[float, float], thickness_mm: float) -> OrientedBox:
    """A rectangle of pixels as a box in the patient."""
    object_to_ras = np.eye(4)
    object_to_ras[:3, 0], object_to_ras[:3, 1] = plane.column_direction_ras, plane.row_direction_ras
    object_to_ras[:3, 2] = plane.normal_ras
    object_to_ras[:3, 3] = (plane.pixel_to_ras @ (sum(x) / 2, sum(y) / 2, 0.0, 1.0))[:3]
    size = [(x[1] - x[0]) * plane.spacing_mm[0], (y[1] - y[0]) * plane.spacing_mm[1], thickness_mm]
    return OrientedBox(object_to_ras, np.array(size))


def remaining_at_release(
    case: Case, rule: str, seconds: float, rng: np.random.Generator, last: OrientedBox | None, policy: str
) -> tuple[list[float], OrientedBox | None]:
    """What the encoder still has to do, slice after slice; and the last box."""
    left = []
    for plane, (x_min, y_min, x_max, y_max) in structure_boxes(case):
        thickness = layer_thickness(plane, case.volume.geometry)

        def window_of(box: OrientedBox, plane: SlicePlane = plane) -> Window:
            window = ExpectedPrompt(case.volume, plane, rule, box).chosen_window()
            assert window is not None
            return window

        off = rng.uniform(-0.06, 0.06, 4) * np.array([x_max - x_min, x_max - x_min, y_max - y_min, y_max - y_min])
        looking, drawing, holding = rng.uniform(1, 2), rng.uniform(0.6, 1), rng.uniform(0.05, 0.2)
        x, y = (x_min + off[0], x_max + off[1]), (y_min + off[2], y_max + off[3])
        guesses: list[Window] = []
        if policy != "nothing":
            view = np.eye(4)
            view[:3, :3] = np.stack((plane.column_direction_ras, -plane.row_direction_ras, -plane.normal_ras), axis=1)
            view[:3, 3] = plane.center_ras
            shown = (plane.shape_hw[1] * plane.spacing_mm[0], plane.shape_hw[0] * plane.spacing_mm[1])
            middle = middle_of_view(view, shown, thickness)
            guesses = [window_of(box) for box in likely_boxes(plane, [] if last is None else [last], middle)]
        encoder = Encoder(seconds)
        encoder.run(looking - SETTLED_S, guesses)
        for time in np.arange(STEP_S, drawing + holding, STEP_S):
            share = progress(min(1.0, time / drawing))
            if policy == "likely boxes, and while drawing" and share > 0.01:
                so_far = (x[0], x[0] + share * (x[1] - x[0])), (y[0], y[0] + share * (y[1] - y[0]))
                window = window_of(box_on(plane, *so_far, thickness))
                encoder.turn_to(window)
                encoder.run(STEP_S, [window])
            else:
                encoder.run(STEP_S, guesses)
        last = box_on(plane, x, y, thickness)
        left.append(encoder.remaining(window_of(last)))
    return left, last


def progress(time: float) -> float:
    """How far a hand has come on its way, 0 to 1: the path of least jerk (Flash and Hogan 1985)."""
    return 10 * time**3 - 15 * time**4 + 6 * time**5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="with more cases")
    parser.add_argument("--encoder", type=float, default=0.75, metavar="SECONDS", help="of one pass; 0.75 if left out")
    parser.add_argument("--window", default="auto", choices=("auto", "roi"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the numbers")
    arguments = parser.parse_args()
    table = {}
    found = [case for case in cases(arguments.folder) if not case.volume.is_eight_bit]
    print(f"{'':32}{'first slice of a structure':>28}{'the next ones':>28}")
    for policy in ("nothing", "likely boxes", "likely boxes, and while drawing"):
        first: list[float] = []
        later: list[float] = []
        for seed in range(3):
            rng, last, volume = np.random.default_rng(seed), None, None
            for case in found:
                last = last if case.volume is volume else None
                volume = case.volume
                left, last = remaining_at_release(case, arguments.window, arguments.encoder, rng, last, policy)
                first += left[:1]
                later += left[1:]
        print(f"{policy:32}{summary(first):>28}{summary(later):>28}", flush=True)
        table[policy] = {
            name: {"done": float(np.mean(np.array(left) == 0)), "seconds_left": float(np.mean(left))}
            for name, left in (("first", first), ("later", later))
        }
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


def summary(left: npt.ArrayLike) -> str:
    values = np.asarray(left)
    return f"{(values == 0).mean():.0%} done, {values.mean():.2f} s left"


if __name__ == "__main__":
    main()
