"""What runs in the process of `InputReader`: it reads what it is asked to, within limits, until that one ends."""

from __future__ import annotations

import importlib
import io
import math
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import IO, Any

from MedSAMSegmentLib.errors import MedSAMSegmentError

OUT_OF_MEMORY, UNFORESEEN = "out of memory", "unforeseen"
_ARRAY_PARTS = ("ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer")
_LENGTH = struct.Struct("<Q")
_NO_MEMORY = ("allocate memory", "bad_alloc", "bad allocation", "failed to allocate")


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        result: what was read.
        error: None, or the name of an error of `MedSAMSegmentLib.errors`, or `OUT_OF_MEMORY` or `UNFORESEEN`; and its
            message.
        notes: what the user should know.
    """

    result: Any
    error: tuple[str, str] | None
    notes: tuple[str, ...]


def serve() -> None:
    """Answer requests on stdin, each on stdout, until stdin ends."""
    # Libraries print to descriptor 1: answers go by another one.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    for name in ("SimpleITK", "slicer"):
        with suppress(ImportError):  # said when it is needed
            importlib.import_module(name)
    send(answers, Answer(None, None, ()))  # the time of a request counts from here
    while True:
        try:
            question, arguments, folder, seconds, memory = receive(requests)
        except EOFError:
            return
        os.chdir(folder)
        _limit(seconds, memory)
        answer = _answer(_QUESTIONS[question], arguments)
        _end_time_limit()
        send(answers, answer)


def send(file: IO[bytes], content: Any) -> None:
    """Write an object; the voxels of arrays go after it, uncopied."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    file.write(_LENGTH.pack(len(parts)))
    for part in parts:
        file.write(_LENGTH.pack(part.nbytes))
        file.write(part)
    file.flush()


def receive(file: IO[bytes]) -> Any:
    """Read what `send` wrote.

    Raises:
        EOFError: the other process has ended.
        MemoryError: there is no memory for it.
    """
    head, *buffers = [_read(file, _number(file)) for _ in range(_number(file))]
    return _Unpickler(io.BytesIO(head), buffers=buffers).load()


def _number(file: IO[bytes]) -> int:
    return _LENGTH.unpack(_read(file, _LENGTH.size))[0]


def _read(file: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    view = memoryview(content)
    while view.nbytes:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return content


class _Unpickler(pickle.Unpickler):
    """Makes arrays and this project's dataclasses, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        room = module.partition(".")[0]
        if (room == "numpy" and name in _ARRAY_PARTS) or (
            room in ("MedSAMSegmentLib", "MedSAMSegmentSlicer") and is_dataclass(found)
        ):
            return found
        if room == "pathlib" and isinstance(found, type):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is not expected between the processes.")


def _answer(read: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    notes: list[str] = []
    try:
        return Answer(read(notes.append, *arguments), None, tuple(notes))
    except MedSAMSegmentError as error:
        message = str(error)
        if any(words in message.lower() for words in _NO_MEMORY):
            return Answer(None, (OUT_OF_MEMORY, ""), tuple(notes))
        return Answer(None, (type(error).__name__, message), tuple(notes))
    except MemoryError:
        return Answer(None, (OUT_OF_MEMORY, ""), tuple(notes))
    except Exception as error:
        traceback.print_exc()  # for --debug
        last_line = (str(error).strip().splitlines() or [""])[-1]
        return Answer(None, (UNFORESEEN, f"{type(error).__name__}: {last_line}"), tuple(notes))


def _limit(seconds: float, memory: int) -> None:
    """Limits for one request, which the system itself keeps: a reader that hangs looks at nothing."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(seconds) + 1)  # for the case that the other process is gone
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the image
    used = 0
    with suppress(OSError):  # Linux only
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if used:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _end_time_limit() -> None:
    """The limit was for one request: waiting for the next one takes as long as it takes."""
    if hasattr(signal, "alarm"):
        signal.alarm(0)


def _read_volume(note: Callable[[str], None], path: Path, series_uid: str | None) -> Any:
    from MedSAMSegmentSlicer.volume_files import read_volume

    return read_volume(path, series_uid, note)


def _read_rois(note: Callable[[str], None], path: Path, thickness_mm: float | None) -> Any:
    from MedSAMSegmentSlicer.roi_files import read_rois

    return read_rois(path, thickness_mm)


def _parse_plane(note: Callable[[str], None], text: str) -> Any:
    from MedSAMSegmentSlicer.plane_nodes import parse_plane

    return parse_plane(text)


def _check_segmentation(note: Callable[[str], None], path: Path) -> Any:
    from MedSAMSegmentSlicer.scene import headless_scene
    from MedSAMSegmentSlicer.segmentation_files import grids_of, read_segmentation

    with headless_scene() as scene:
        return grids_of(read_segmentation(scene.mrml, path))


_QUESTIONS: dict[str, Callable[..., Any]] = {
    "read_volume": _read_volume,
    "read_rois": _read_rois,
    "parse_plane": _parse_plane,
    "check_segmentation": _check_segmentation,
}
