from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.checkpoint_file import read_tensors

TENSORS = {"image_encoder.a": torch.arange(6.0).reshape(2, 3), "mask_decoder.b": torch.ones(4)}


class Payload:
    """Its pickle runs a shell command when it is loaded, unless something prevents that."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors", "weights"])
@pytest.mark.parametrize("form", ["zip", "old pickle", "safetensors"])
def test_the_format_is_told_by_the_contents_whatever_the_name(tmp_path: Path, name: str, form: str) -> None:
    path = tmp_path / name
    if form == "safetensors":
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=form == "zip")
    assert_same(read_tensors(path))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: {"model": tensors, "optimizer": {"lr": 0.1, "state": {0: torch.zeros(3)}}, "epoch": 7},
        lambda tensors: {"state_dict": tensors},
        lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {"model": {f"module.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {f"_orig_mod.sam.{name}": tensor for name, tensor in tensors.items()},
    ],
    ids=["MedSAM's training", "state_dict", "data parallel", "both", "compiled"],
)
def test_what_training_puts_around_the_weights_is_taken_off(
    tmp_path: Path, wrap: Callable[[dict[str, torch.Tensor]], dict]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(wrap(TENSORS), path)
    assert_same(read_tensors(path))


@pytest.mark.parametrize("form", ["zip", "old torch file", "plain pickle"])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "it-ran"
    contents = TENSORS | {"extra": Payload(f"touch {trace}")}
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(contents))
    else:
        torch.save(contents, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match="could run code: it was not loaded"):
        read_tensors(path)
    assert not trace.exists()
    # The trap works: loading it carelessly springs it.
    if form == "plain pickle":
        pickle.loads(path.read_bytes())  # noqa: S301
        assert trace.exists()


def test_a_whole_pickled_model_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"torch\.save\(model\.state_dict\(\)"):
        read_tensors(path)


@pytest.mark.parametrize("form", ["zip", "old pickle", "safetensors"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused(tmp_path: Path, form: str, kept: float) -> None:
    path = tmp_path / "weights.pth"
    large = {"image_encoder.a": torch.zeros(5000)}
    if form == "safetensors":
        save_file(large, path)
    else:
        torch.save(large, path, _use_new_zipfile_serialization=form == "zip")
    contents = path.read_bytes()
    path.write_bytes(contents[: int(len(contents) * kept)])
    with pytest.raises(WeightsError, match=r"damaged|not complete"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "damaged or not complete"),
        (b"\x80" + bytes(100), "damaged"),
        ((2**62).to_bytes(8, "little") + b"{}", "damaged or not complete"),
        (b"{}", "is not a checkpoint"),
    ],
    ids=["empty", "git lfs pointer", "picture", "broken zip", "broken pickle", "absurd header", "json"],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, contents: bytes, words: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(contents)
    with pytest.raises(WeightsError, match=words) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("contents", [[torch.zeros(2)], {"epoch": 3}, {}, torch.zeros(3)])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, contents: object) -> None:
    path = tmp_path / "weights.pth"
    torch.save(contents, path)
    with pytest.raises(WeightsError, match="no weights by name"):
        read_tensors(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_tensors(path)
