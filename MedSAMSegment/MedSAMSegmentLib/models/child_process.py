"""Python programs of their own for what waits on a network: they can be ended at any moment.

A program started here begins in an empty folder, finds nothing in it or in the user's settings that it would run, ends
when this one ends, and does not hear Ctrl-C: this one does, and ends it.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from MedSAMSegmentLib.errors import CancelledError

Cancelled = Callable[[], bool]
"""Asked now and then; True ends the work."""

_SECONDS_BETWEEN_LOOKS = 0.1
_KEPT_CHARACTERS = 20_000
_START = """
import json, os, runpy, signal, sys, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)
def end_with_parent():
    while os.read(0, 4096):
        pass
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
sys.path[:] = json.loads(sys.argv[1])
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Finished:
    """How a program ended: its exit code, and the end of what it complained about."""

    code: int
    complaints: str


def run_module(
    module: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    cancelled: Cancelled | None = None,
) -> Finished:
    """Run ``python -m module arguments``.

    Args:
        module: found where this program finds its own, the current folder excepted.
        arguments: what it is told.
        environment: all of its environment variables.
        on_line: told every line of its output; what this raises ends the program.
        cancelled: asked several times a second, whether or not the program says anything.

    Raises:
        CancelledError: ``cancelled`` said so; the program has ended.
    """
    program = python_program()
    path = [folder for folder in sys.path if folder and Path(folder).is_absolute()]
    command = [program, *_isolation(program), "-c", _START, json.dumps(path), module, *arguments]
    with TemporaryDirectory(prefix="medsamsegment-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(  # noqa: S603 (no shell, and nothing in it that a user typed)
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            return _watched(process, on_line, cancelled)
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def python_program() -> str:
    """The Python that runs this, as a program of its own: inside 3D Slicer, ``sys.executable`` is Slicer."""
    executable = Path(sys.executable)
    if executable.stem.lower().startswith("python"):
        return str(executable)
    beside = shutil.which("PythonSlicer", path=str(executable.parent)) or shutil.which("PythonSlicer")
    return beside or str(executable)


def _isolation(program: str) -> list[str]:
    """``-I``; PythonSlicer, though, finds its own libraries by the variables that ``-I`` leaves out."""
    if Path(program).stem != "PythonSlicer":
        return ["-I"]
    return ["-P"] if sys.version_info >= (3, 11) else []


def _watched(process: subprocess.Popen[str], on_line: Callable[[str], None], cancelled: Cancelled | None) -> Finished:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    complaints: list[str] = []
    readers = [
        threading.Thread(target=_read, args=(process.stdout, lines.put), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, complaints.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    while True:
        try:
            line = lines.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            line = ""
        if cancelled is not None and cancelled():
            raise CancelledError("The download was cancelled. Nothing of it is used.")
        if line:
            on_line(line.rstrip("\n"))
        if line is None:
            break
    deadline = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    readers[1].join(timeout=1)
    text = "".join(part for part in list(complaints) if part)
    return Finished(-1 if process.poll() is None else process.returncode, text[-_KEPT_CHARACTERS:])


def _read(stream: IO[str] | None, tell: Callable[[str | None], None]) -> None:
    """Tell every line, and None at the end. A line that does not end is cut, or it would fill the memory."""
    try:
        while stream is not None and (line := stream.readline(_KEPT_CHARACTERS)):
            tell(line)
    except (OSError, ValueError):
        pass  # closed, because nobody listens any more
    tell(None)
