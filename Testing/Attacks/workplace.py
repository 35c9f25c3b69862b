"""The files of a case, a model that needs no weights, and the command line as a shell calls it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import forked

WARM_UP = ("segment", "ct.nrrd", "--roi", "Lesion.mrk.json", "--level", "fast", "--slices", "center")
"""A short run that reaches most of the product."""


def command_line(*arguments: str) -> None:
    """Run ``medsam-segment`` in this process; raises SystemExit, as it does."""
    from MedSAMSegmentSlicer.command_line.main import main

    sys.argv = ["medsam-segment", *arguments]
    main()


def use_stand_in_model() -> None:
    """Have ``segment`` compute with a model that finds what is bright, whatever model it is asked for."""
    from MedSAMSegmentSlicer.command_line import job
    from support.threshold_model import ThresholdModel

    job.load_model = lambda *_, **__: ThresholdModel()


@contextmanager
def case_folder() -> Iterator[Path]:
    """A folder of its own with a volume ``ct.nrrd`` and an ROI ``Lesion.mrk.json``; it goes at the end."""
    with TemporaryDirectory(prefix="attack-") as name:
        folder = Path(name) / "case"
        folder.mkdir()
        ending = forked.run(_write_case, folder)
        if ending.code != 0:
            raise RuntimeError(f"The files of the case cannot be written: {ending.errors}")
        yield folder


def _write_case() -> None:
    import SimpleITK as sitk

    from support.files import sphere_image, write_rois

    sitk.WriteImage(sphere_image(size=(24, 24, 12), spacing=(1.5, 1.5, 3.0)), "ct.nrrd", useCompression=True)
    write_rois(Path("Lesion.mrk.json"))


def import_what_a_run_imports() -> None:
    """So that children find it imported. Nothing is computed here: threads do not survive a fork."""
    import torch

    torch.set_num_threads(1)
    use_stand_in_model()
    read_in_forked_processes()
    with case_folder() as folder:
        ending = forked.run(_print_imported, folder)
        if ending.code != 0:
            raise RuntimeError(f"The product does not run at all: {ending.errors}")
        for name in json.loads(ending.output.splitlines()[-1]):
            if name not in sys.modules and name.split(".")[0] != "__main__":
                try:
                    import_module(name)
                # Made on the fly, or half of one.
                except Exception:  # noqa: S112
                    continue


def _print_imported() -> None:
    before = set(sys.modules)
    for extra in ((), ("--plane", "0,0.2,1 -4,6,20")):
        outputs = ("-o", "out.seg.nrrd", "--preview", "out.png", "--table", "out.csv", "--embedding-cache", "../cache")
        try:
            command_line(*WARM_UP, *outputs, *extra)
        except SystemExit as left:
            if left.code:
                raise
    for name in ("transformers", "pydicom", "MedSAMSegmentLib.models.load", "MedSAMSegmentLib.models.sam_vit"):
        import_module(name)
    import_module("support.tiny_sam")
    print(json.dumps(sorted(set(sys.modules) - before)))


def contents(folder: Path) -> dict[str, bytes | None]:
    """Relative path of everything in a folder → its bytes; None for what is no plain file."""
    found: dict[str, bytes | None] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            is_file = path.is_file() and not path.is_symlink()
            found[str(path.relative_to(folder))] = path.read_bytes() if is_file else None
    return found


def empty(folder: Path, keep: Sequence[str] = ()) -> None:
    """Remove what is in a folder, but for some names."""
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def command_line_or_raise(*arguments: str) -> None:
    """As `command_line`; returns for success."""
    try:
        command_line(*arguments)
    except SystemExit as left:
        if left.code:
            raise


def read_in_forked_processes() -> None:
    """Have the processes that read input files be forked instead of started: hundredths of a second, not seconds."""
    from MedSAMSegmentSlicer.command_line.input_reader import InputReader

    def started(reader: InputReader) -> _ForkedReader:
        if reader._process is None:
            kept = _kept_readers.pop() if _kept_readers else None
            usable = kept is not None and kept.returncode is None
            reader._process = kept if usable else _ForkedReader(reader._show_output)
            reader._is_ready = reader._process.is_ready
        return reader._process

    InputReader._started = started


def keep_readers() -> None:
    """From now on, let a reading process that has answered serve the next run of the same child as well."""
    from MedSAMSegmentSlicer.command_line.input_reader import InputReader

    def close(reader: InputReader) -> None:
        if reader._process is not None:
            reader._process.is_ready = reader._is_ready
            _kept_readers.append(reader._process)
            reader._process = None

    InputReader.close = close


_kept_readers: list[_ForkedReader] = []


class _ForkedReader:
    """A reading process with what of ``subprocess.Popen`` is used of it.

    Attributes:
        is_ready: whether it has said so, and was heard.
    """

    def __init__(self, show_output: bool) -> None:
        requests, answers = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.is_ready = False
        self._pid = os.fork()
        if self._pid == 0:
            self._serve(requests, answers, show_output)
        os.close(requests[0])
        os.close(answers[1])
        self.stdin, self.stdout = os.fdopen(requests[1], "wb"), os.fdopen(answers[0], "rb")

    @staticmethod
    def _serve(requests: tuple[int, int], answers: tuple[int, int], show_output: bool) -> None:
        """Never returns."""
        try:
            sys.setprofile(None)
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(requests[0], 0)
            os.dup2(answers[1], 1)
            if not show_output:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.closerange(3, 256)
            from MedSAMSegmentSlicer.command_line.reading_program import serve

            serve()
        finally:
            os._exit(0)

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> None:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def communicate(self) -> None:
        with suppress(OSError):  # what was not sent any more
            self.stdin.close()
        self.stdout.close()
        self.wait()
