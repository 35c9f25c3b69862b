"""A program, not a module: runs the command line again and again in forked children, and interrupts each somewhere.

Arguments: a folder with a folder case0, case1, … for each case, which holds ct.nrrd and Lesion.mrk.json; and the cases
as JSON, a list of [place, times, signal's number]. Prints a JSON list of exit codes and messages. What is slow to
import is imported once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from MedSAMSegmentSlicer import temporary_folders
from MedSAMSegmentSlicer.command_line import job, main, segment
from MedSAMSegmentSlicer.roi_files import read_rois
from MedSAMSegmentSlicer.volume_files import read_volume
from support.threshold_model import ThresholdModel


class ReaderInThisProcess:
    """Instead of `InputReader`, which would import Slicer's libraries in each run."""

    def __init__(self, **options: Any) -> None:
        pass

    def __enter__(self) -> ReaderInThisProcess:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def close(self) -> None:
        pass

    def read_volume(self, path: Path, series_uid: str | None, note: Callable[[str], None]) -> Any:
        return read_volume(path, series_uid, note)

    def read_rois(self, path: Path, thickness_mm: float | None) -> Any:
        return read_rois(path, thickness_mm)


OUTPUTS = ("out.seg.nrrd", "out.png", "out.csv")
PLACES: dict[str, tuple[Any, str]] = {
    "encode": (ThresholdModel, "encode"),
    "mkdtemp": (temporary_folders, "mkdtemp"),
    "sync": (os, "fsync"),
    "replace": (Path, "replace"),
    "report": (job, "JobReport"),
}


def interrupt_at(place: str, times: int, number: int) -> None:
    """Have this process get a signal right after the n-th call of a function."""
    owner, name = PLACES[place]
    original: Callable[..., Any] = getattr(owner, name)
    count = 0

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal count
        result = original(*args, **options)
        count += 1
        if count == times:
            os.kill(os.getpid(), number)
        return result

    setattr(owner, name, counted)


def run_once(place: str, times: int, number: int, messages: int) -> int:
    child = os.fork()
    if child == 0:
        os.dup2(messages, 2)
        os.dup2(messages, 1)
        interrupt_at(place, times, number)
        sys.argv = ["medsam-segment", "segment", "ct.nrrd", "--roi", "Lesion.mrk.json", "--level", "fast", "--output"]
        sys.argv += [OUTPUTS[0], "--preview", OUTPUTS[1], "--table", OUTPUTS[2]]
        code: Any = 99
        try:
            main.main()
        except SystemExit as left:
            code = left.code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    job.load_model = lambda *args, **options: ThresholdModel()  # type: ignore[attr-defined]
    segment.InputReader = ReaderInThisProcess  # type: ignore[attr-defined]
    answers = []
    for n, (place, times, number) in enumerate(json.loads(sys.argv[2])):
        folder = Path(f"case{n}")
        with tempfile.TemporaryFile() as messages:
            os.chdir(folder)
            code = run_once(place, times, signal.Signals(number), messages.fileno())
            os.chdir("..")
            messages.seek(0)
            answers.append((code, messages.read().decode()))
    print(json.dumps(answers))
