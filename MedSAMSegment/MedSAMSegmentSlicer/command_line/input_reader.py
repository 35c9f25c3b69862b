"""The input files, read in a process of their own.

The readers of Slicer, ITK and VTK are written for files that are as they should be: a damaged one can end their
process, keep it busy without an end, or ask for more memory than there is. The process that they run in has limits of
time and memory; if it ends, this one goes on, and says which file it was. What was read comes back through a pipe: no
copy of a patient's image lies on a disk.

The process starts at once and imports the readers while this one imports the models' libraries, so that a run takes no
longer than without it where there are two processor cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib import errors
from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError, MedSAMSegmentError
from MedSAMSegmentSlicer.command_line import reading_program

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
    from MedSAMSegmentSlicer.plane_nodes import NamedPlane
    from MedSAMSegmentSlicer.roi_nodes import Roi

_SECONDS, _BYTES_PER_SECOND = 60.0, 2e6
"""Time limit: so long for any file, and more for large ones, which may come over a slow network."""
_MEMORY, _MEMORY_PER_BYTE = 4 * 2**30, 40
"""Memory limit: so much for any file, and more for large ones, which may be compressed."""
_SECONDS_TO_START = 300.0
"""Time limit of importing Slicer's libraries, from a slow disk on a busy machine."""
_MOST_FILES = 20_000
"""Of a folder, that are looked at for its size."""


class InputReader:
    """Reads volumes, ROIs, planes and segmentations in another process; to be used in a ``with`` statement.

    Args:
        show_output: whether what the readers print goes to this process's stderr; else it is dropped.
        seconds: the least time limit of one file.
        memory: the least memory limit of one file, in bytes. There is none on Windows.
    """

    def __init__(self, show_output: bool = False, seconds: float = _SECONDS, memory: int = _MEMORY) -> None:
        self._show_output = show_output
        self._seconds, self._memory = seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def __enter__(self) -> InputReader:
        self._started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def read_volume(self, path: Path, series_uid: str | None, note: Callable[[str], None]) -> Volume:
        """As `volume_files.read_volume`, and `InvalidImageError` where the reader fails."""
        return self._ask("read_volume", (path, series_uid), path, InvalidImageError, note)

    def read_rois(self, path: Path, thickness_mm: float | None) -> list[Roi]:
        """As `roi_files.read_rois`, and `InvalidPromptError` where the reader fails."""
        return self._ask("read_rois", (path, thickness_mm), path, InvalidPromptError)

    def parse_plane(self, text: str) -> NamedPlane:
        """As `plane_nodes.parse_plane`, and `InvalidPromptError` where the reader fails."""
        return self._ask("parse_plane", (text,), Path(text), InvalidPromptError)

    def check_segmentation(self, path: Path) -> list[VolumeGeometry]:
        """Read a segmentation as `segmentation_files.read_segmentation` does, to know that it can be.

        Returns:
            Its grids, as of `grids_of`.

        Raises:
            InvalidImageError: it cannot.
        """
        return self._ask("check_segmentation", (path,), path, InvalidImageError)

    def _ask(
        self,
        question: str,
        arguments: Sequence[Any],
        path: Path,
        failure: type[MedSAMSegmentError],
        note: Callable[[str], None] | None = None,
    ) -> Any:
        size = _size(path)
        seconds = self._seconds + size / _BYTES_PER_SECOND
        memory = min(self._memory + _MEMORY_PER_BYTE * size, _physical_memory())
        process = self._started()
        if not self._is_ready:
            self._exchange(process, None, _SECONDS_TO_START, failure, path)
            self._is_ready = True
        request = (question, tuple(arguments), str(Path.cwd()), seconds, memory)
        answer = self._exchange(process, request, seconds, failure, path)
        for text in answer.notes:
            if note is not None:
                note(text)
        if answer.error is None:
            return answer.result
        name, message = answer.error
        if name == reading_program.OUT_OF_MEMORY:
            raise failure(
                f"{path} cannot be read: it needs more than {memory / 2**30:.1f} GiB of memory, as damaged files do. "
                "Export it again; if it is really so large, crop it in 3D Slicer."
            )
        if name == reading_program.UNFORESEEN:
            raise failure(f"{path} cannot be read: it is damaged, or of an unknown kind ({message}). Export it again.")
        raise getattr(errors, name)(message)

    def _exchange(
        self,
        process: subprocess.Popen[bytes],
        request: tuple[Any, ...] | None,
        seconds: float,
        failure: type[MedSAMSegmentError],
        path: Path,
    ) -> Any:
        """Send a request, if there is one, and wait for an answer, for so long."""
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the reading process has no pipes")
        too_long = Timer(seconds, process.kill)
        too_long.daemon = True
        too_long.start()
        try:
            if request is not None:
                reading_program.send(process.stdin, request)
            return reading_program.receive(process.stdout)
        except (EOFError, BrokenPipeError, ConnectionError):
            process.wait()
            in_time = too_long.is_alive()
            self._end()
            reason = (
                f"its reader ended with code {process.returncode}"
                if in_time
                else f"its reader had not ended after {seconds:.0f} s"
            )
            raise failure(
                f"{path} cannot be read: {reason}, as happens with damaged files. Export it again, or save it again "
                "from 3D Slicer."
            ) from None
        except BaseException:  # interrupted: the answer that is on its way is nobody's
            self._end()
            raise
        finally:
            too_long.cancel()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # Isolated, and with this process's own places to import from: nothing of the folder it runs in is run.
            code = "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
            code += f"from {reading_program.__name__} import serve; serve()"
            places = json.dumps([place for place in sys.path if place])
            self._is_ready = False
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-c", code, places],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if self._show_output else subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which ends the other one
            )
        return self._process


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder; 0 where there are none."""
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in islice(path.rglob("*"), _MOST_FILES) if file.is_file())
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize
