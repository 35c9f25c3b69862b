"""Faults of the machine and of others: no space, memory, descriptors, home or permission; odd files; a hostile hub."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import forked
import workplace
from hostile_hub import LYING, MAY_SUCCEED, SLOW, hostile_hub
from table import Table, complaints_about

_NOBODY = 54321
"""A user that no list of users knows, without a home."""
_OUTPUTS = ("out.seg.nrrd", "out.png", "out.csv")
_OLD = b"yesterday's work"
_WRITE_ALL = ("--output", _OUTPUTS[0], "--preview", _OUTPUTS[1], "--table", _OUTPUTS[2])
_SECONDS_WITHOUT_ANSWER = 180.0
"""Until when a download from a hub that says nothing must have given up, tries again included."""
_SECONDS_TO_STOP = 8.0
"""From Ctrl-C to the end, on a busy machine."""

Action = Callable[[], None]


def attack(table: Table, short: bool) -> None:
    """Run the command line where something fails, and look at what is there then."""
    with workplace.case_folder() as case:
        print("Faults: limits of the machine", flush=True)
        _limits(table, case, short)
        print("Faults: places and files", flush=True)
        _places(table, case)
        _odd_files(table, case)
    print("Faults: no home", flush=True)
    _homes(table, short)
    print("Faults: the hub", flush=True)
    _hub(table, short)


def _segment() -> None:
    workplace.command_line(*workplace.WARM_UP, *_WRITE_ALL)


def _try(table: Table, name: str, case: str, folder: Path, action: Action, limits: forked.Limits | None = None) -> None:
    """Run an action that writes the outputs, over old ones: all are old or all are new afterwards, and nothing else."""
    for output in _OUTPUTS:
        (folder / output).write_bytes(_OLD)
        if limits is not None and limits.user is not None:
            os.chown(folder / output, limits.user, limits.user)
    before = set(workplace.contents(folder))
    ending = forked.run(action, folder, limits)
    after = workplace.contents(folder)
    complaints = complaints_about(ending)
    is_old = [after.get(output) == _OLD for output in _OUTPUTS]
    if any(is_old) != all(is_old):
        complaints.append("some outputs are old and some are new")
    if any(not after.get(output) for output in _OUTPUTS):
        complaints.append("an output is gone or empty")
    if ending.code == 0 and any(is_old):
        complaints.append("it says that it has succeeded, and the outputs are old")
    if ending.code == 2 and not all(is_old):
        complaints.append("it says that it has failed, and the outputs are new")
    if new := set(after) - before:
        complaints.append(f"left behind: {', '.join(sorted(new))[:200]}")
    table.tried(name, ending, case, complaints)
    for path in set(after) - before:
        with contextlib.suppress(OSError):
            (folder / path).unlink()


def _limits(table: Table, case: Path, short: bool) -> None:
    for size in (0, 1, 1000, 5000) if short else (0, 1, 10, 100, 300, 600, 1000, 2000, 3000, 5000, 8000, 20_000):
        limits = forked.Limits(file_bytes=size)
        _try(table, "No space: files of limited size", f"{size} bytes", case, _segment, limits)
    for count in (5, 8, 12) if short else range(4, 40):
        limits = forked.Limits(open_files=count)
        _try(table, "No descriptors", f"{count} descriptors", case, _segment, limits)
    for megabytes in (1, 30, 200) if short else (0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 600):
        limits = forked.Limits(memory_bytes=megabytes * 2**20)
        _try(table, "No memory", f"{megabytes} MiB beside what is mapped", case, _segment, limits)
    for kilobytes in (4, 24, 64) if short else range(4, 100, 4):
        with _small_disk(kilobytes) as disk:
            if disk is None:
                return
            for name in ("ct.nrrd", "Lesion.mrk.json"):
                shutil.copy(case / name, disk)
            _try(table, "No space: a small disk", f"{kilobytes} KiB", disk, _segment)


@contextlib.contextmanager
def _small_disk(kilobytes: int) -> Iterator[Path | None]:
    """A file system in memory with so much space beside the case's files; None where it may not be mounted."""
    with TemporaryDirectory(prefix="attack-disk-") as name:
        options = ["-t", "tmpfs", "-o", f"size={kilobytes + 24}k", "tmpfs", name]
        try:
            mounted = (
                os.geteuid() == 0
                and not subprocess.run(["mount", *options], check=False, capture_output=True).returncode
            )
        except OSError:
            mounted = False
        if not mounted:
            yield None
            return
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=False, capture_output=True)


def _places(table: Table, case: Path) -> None:
    """As a user without privileges where this is root; root may write everywhere."""
    if os.geteuid() != 0:
        return
    name = "Places that cannot be written to"
    nobody = forked.Limits(user=_NOBODY)
    with TemporaryDirectory(prefix="attack-") as temporary:
        Path(temporary).chmod(0o755)
        for mode, owner, what in (
            (0o755, 0, "a folder of somebody else's"),
            (0o1777, 0, "a sticky folder"),
            (0o555, _NOBODY, "a read-only folder"),
            (0o300, _NOBODY, "a folder that cannot be listed"),
        ):
            folder = Path(temporary) / what.replace(" ", "-")
            folder.mkdir()
            for file in ("ct.nrrd", "Lesion.mrk.json"):
                shutil.copy(case / file, folder)
                (folder / file).chmod(0o644)
            os.chown(folder, owner, owner)
            folder.chmod(mode)
            _try(table, name, what, folder, _segment, nobody)
            if mode == 0o1777:
                _try(table, name, f"{what}, one output of another user", folder, _with_another_owner, None)
    _try(table, name, "an embedding cache in /proc", case, _cached("/proc/embeddings"))


def _with_another_owner() -> None:
    for output in _OUTPUTS[:2]:
        os.chown(output, _NOBODY, _NOBODY)
    os.chown(_OUTPUTS[2], 0, 0)
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    _segment()


def _cached(folder: str) -> Action:
    return lambda: workplace.command_line(*workplace.WARM_UP, *_WRITE_ALL, "--embedding-cache", folder)


def _odd_files(table: Table, case: Path) -> None:
    """What is no plain file, in the place of one, and closed or full standard streams."""
    limits = forked.Limits(seconds=40)

    def with_pipe(option: str) -> Action:
        def action() -> None:
            with TemporaryDirectory(prefix="attack-") as temporary:
                pipe = f"{temporary}/pipe{'.mrk.json' if option == '--roi' else '.seg.nrrd'}"
                os.mkfifo(pipe)
                words = list(workplace.WARM_UP)
                if option == "VOLUME":
                    words[1] = pipe
                else:
                    words += [option, pipe]
                workplace.command_line(*words, *_WRITE_ALL)

        return action

    for option in ("VOLUME", "--roi", "--segmentation", "--plane", "--model"):
        _try(table, "A pipe or device as input", option, case, with_pipe(option), limits)
    for device in ("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/"):
        words = [device if word == "ct.nrrd" else word for word in workplace.WARM_UP]
        action = lambda words=words: workplace.command_line(*words, *_WRITE_ALL)  # noqa: E731
        _try(table, "A pipe or device as input", f"VOLUME {device}", case, action, limits)
        action = lambda device=device: workplace.command_line(*workplace.WARM_UP, "--roi", device, *_WRITE_ALL)  # noqa: E731
        _try(table, "A pipe or device as input", f"--roi {device}", case, action, limits)

    def pipes_in_the_cache() -> None:
        with TemporaryDirectory(prefix="attack-") as temporary:
            workplace.command_line_or_raise(
                *workplace.WARM_UP, "--output", "o.seg.nrrd", "--embedding-cache", temporary
            )
            Path("o.seg.nrrd").unlink()
            for path in Path(temporary).glob("*.safetensors"):
                path.unlink()
                os.mkfifo(path)
            _cached(temporary)()

    _try(table, "A pipe or device as input", "files of the embedding cache", case, pipes_in_the_cache, limits)
    for what, descriptor in (("stdout", 1), ("stderr", 2)):
        for to in ("closed", "full"):

            def action(descriptor: int = descriptor, to: str = to) -> None:
                os.close(descriptor)
                if to == "full":
                    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)
                workplace.command_line(*workplace.WARM_UP, "--output", _OUTPUTS[0], "--json")

            ending = forked.run(action, case)
            # What cannot be said is said by the code alone.
            complaints = [words for words in complaints_about(ending) if "without a word" not in words]
            table.tried("Standard streams closed or full", ending, f"{what} {to}", complaints)


def _homes(table: Table, short: bool) -> None:
    """Commands in a Python of their own: what is a home is found out when packages are imported."""
    homes: list[tuple[str, str | None]] = [
        ("a home in /proc", "/proc/nowhere"),
        ("a home that is a file", "/etc/hostname"),
    ]
    homes += [("no home", None)]
    commands: list[tuple[str, ...]] = (
        [("models", "--json")] if short else [("models", "--json"), ("info",), ("--version",)]
    )
    for what, home in homes[-1:] if short else homes:
        for command in commands:
            environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_DATA_HOME")}
            environment |= {"PYTHONPATH": os.pathsep.join(sys.path)} | ({} if home is None else {"HOME": home})
            user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
            program = "from MedSAMSegmentSlicer.command_line.main import main; main()"
            start = time.monotonic()
            try:
                done = subprocess.run(
                    [sys.executable, "-c", program, *command], env=environment, cwd="/", capture_output=True, text=True,
                    errors="replace", timeout=120, check=False, stdin=subprocess.DEVNULL, **user,
                )  # fmt: skip
                ending = forked.Ending(done.returncode, output=done.stdout, errors=done.stderr)
            except subprocess.TimeoutExpired:
                ending = forked.Ending(None, timed_out=True)
            ending = forked.replace(ending, seconds=time.monotonic() - start)
            table.tried("No home", ending, f"{what}: {' '.join(command)}", complaints_about(ending))


def _hub(table: Table, short: bool) -> None:
    for behaviour in LYING[:9:2] if short else LYING:
        _download(table, "A lying hub", behaviour, interrupted=False)
    for behaviour in SLOW[:1] if short else SLOW:
        _download(table, "A slow or silent hub, Ctrl-C", behaviour, interrupted=True)
        # While bytes arrive, it is for the user to say that it takes too long.
        if not short and behaviour != "a byte now and then":
            _download(table, "A slow or silent hub", behaviour, interrupted=False)


def _download(table: Table, name: str, behaviour: str, interrupted: bool) -> None:
    """Download a model from a hub that behaves so: refused in time, nothing outside of the cache, nothing usable."""
    with TemporaryDirectory(prefix="attack-") as temporary:
        root = Path(temporary)
        inner = root / "a" / "b" / "c" / "d"
        folder = inner / "case"
        folder.mkdir(parents=True)

        def action() -> None:
            import pytest
            from huggingface_hub import constants

            from support.small_hub import use_hub

            patches = pytest.MonkeyPatch()
            patches.setattr(constants, "HF_HUB_CACHE", str(inner / "cache"))
            patches.setattr(constants, "HF_HUB_OFFLINE", False)
            os.environ["MEDSAMSEGMENT_MODELS"] = str(inner / "models")
            (inner / "tmp").mkdir()
            tempfile.tempdir = str(inner / "tmp")
            with hostile_hub(behaviour) as address:
                use_hub(address, patches)
                if interrupted:
                    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
                workplace.command_line("models", "download", "medsam-vit-b")

        ending = forked.run(action, folder, forked.Limits(seconds=_SECONDS_WITHOUT_ANSWER))
        codes = (0, 2) if behaviour in MAY_SUCCEED else (2, 130) if interrupted else (2,)
        complaints = complaints_about(ending, codes)
        if ending.code == 0:
            listed = forked.run(lambda: _print_state(inner), folder)
            if listed.output.strip() != "not verified":
                complaints.append(f"the list of models says {(listed.output or listed.errors).strip()[-200:]!r} of it")
        if interrupted and ending.seconds > 2 + _SECONDS_TO_STOP:
            complaints.append(f"Ctrl-C was answered after {ending.seconds - 2:.0f} s")
        outside = [path for path in root.rglob("*") if not path.is_relative_to(inner) and path not in inner.parents]
        outside += [path for path in inner.iterdir() if path.name not in ("cache", "models", "tmp", "case")]
        outside += list((inner / "tmp").rglob("*"))
        if outside:
            complaints.append(
                f"outside of the cache: {', '.join(str(path.relative_to(root)) for path in outside)[:200]}"
            )
        if behaviour not in MAY_SUCCEED and (usable := list((inner / "cache").glob("*/snapshots/*/model.safetensors"))):
            complaints.append(f"taken for a model: {usable[0].relative_to(inner)}")
        table.tried(name, ending, behaviour, complaints)


def _print_state(inner: Path) -> None:
    """What the list of models says of what is in the cache."""
    from huggingface_hub import constants

    from MedSAMSegmentLib.models.description import describe
    from MedSAMSegmentLib.models.weights import weights_status

    constants.HF_HUB_CACHE = str(inner / "cache")
    os.environ["MEDSAMSEGMENT_MODELS"] = str(inner / "models")
    print(weights_status(describe("medsam-vit-b")).state.value)
