from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models import checkpoint_file
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


def write_archive(path: Path, extra: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """A checkpoint as torch writes it, and more members."""
    torch.save(TENSORS, path)
    with zipfile.ZipFile(path, "a", compression) as archive:
        for name, contents in extra.items():
            archive.writestr(name, contents)


@pytest.fixture
def torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def must_not(*_: object, **__: object) -> None:
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", must_not)


@pytest.mark.usefixtures("torch_is_not_asked")
@pytest.mark.parametrize(
    "member", ["constants.pkl", "archive/constants.pkl", "archive/code/__torch__.py", "code/a.py", "x\\code\\a.py"]
)
def test_a_program_is_refused_before_torch_looks_at_it(tmp_path: Path, member: str) -> None:
    path = tmp_path / "weights.pth"
    write_archive(path, {member: b"a program"})
    with pytest.raises(WeightsError, match="TorchScript program"):
        read_tensors(path)


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_real_torchscript_archive_is_refused_before_torch_looks_at_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(WeightsError, match="TorchScript program"):
        read_tensors(path)


@pytest.mark.usefixtures("torch_is_not_asked")
def test_an_archive_that_grows_in_memory_is_refused_before_torch_looks_at_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write_archive(path, {"archive/data/9": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match="compressed inside"):
        read_tensors(path)


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_tar_file_in_the_disguise_of_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        member = tarfile.TarInfo("\x80storages")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    assert path.read_bytes().startswith(b"\x80")
    with pytest.raises(WeightsError, match="oldest format"):
        read_tensors(path)


@pytest.mark.parametrize("version", ["2.4.1", "2.5.1+cu121", "2.9.1"])
def test_an_older_torch_reads_safetensors_and_published_files_and_no_pickle_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    save_file(TENSORS, tmp_path / "weights.safetensors")
    assert_same(read_tensors(tmp_path / "weights.safetensors"))
    torch.save(TENSORS, tmp_path / "weights.pth")
    torch.save(TENSORS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("weights.pth", "old.pth"):
        sha256 = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert_same(read_tensors(tmp_path / name, published_sha256=sha256))
        with monkeypatch.context() as patch:
            patch.setattr(torch, "load", None)
            with pytest.raises(WeightsError, match=rf"PyTorch {version[:3]}.*torch>=2\.10.*\.safetensors"):
                read_tensors(tmp_path / name)


@pytest.mark.usefixtures("torch_is_not_asked")
def test_another_file_than_the_published_one_is_not_read(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="not the file that its authors published"):
        read_tensors(tmp_path / "weights.pth", published_sha256="0" * 64)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.eye(3).to_sparse(), "image_encoder.a is sparse"),
        (torch.zeros(2, dtype=torch.complex64), "image_encoder.a has complex numbers"),
        (torch.zeros(2, device="meta"), "image_encoder.a has a shape and no values"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "image_encoder.a is quantized"),
        (torch.tensor([1.0, float("nan")]), "image_encoder.a has values that are not finite"),
        (torch.tensor([1.0, float("inf")]), "image_encoder.a has values that are not finite"),
        (torch.zeros(1).expand(10**6, 10**6), "image_encoder.a repeats its values"),
    ],
    ids=["sparse", "complex", "meta", "quantized", "NaN", "infinite", "repeated"],
)
def test_tensors_that_are_no_weights_are_refused_by_name(tmp_path: Path, tensor: torch.Tensor, words: str) -> None:
    path = tmp_path / "weights.pth"
    torch.save(TENSORS | {"image_encoder.a": tensor}, path)
    with pytest.raises(WeightsError, match=words):
        read_tensors(path)


def test_tensors_under_other_keys_than_names_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**TENSORS, ("a", 1): torch.zeros(2), 7: torch.zeros(2)}, path)
    assert_same(read_tensors(path))
    torch.save({("a", 1): torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="no weights by name"):
        read_tensors(path)


@pytest.mark.parametrize("form", ["zip", "old pickle", "safetensors"])
def test_weights_stay_as_they_were_read_whatever_happens_to_the_file(tmp_path: Path, form: str) -> None:
    """Mapped weights would change with the file, and end the process where it was cut off (SIGBUS)."""
    path = tmp_path / "weights.pth"
    large = {"image_encoder.a": torch.arange(200_000.0)}
    if form == "safetensors":
        save_file(large, path)
    else:
        torch.save(large, path, _use_new_zipfile_serialization=form == "zip")
    found = read_tensors(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)
        file.truncate(0)
    assert torch.equal(found["image_encoder.a"], torch.arange(200_000.0))


def test_too_little_memory_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    torch.save(TENSORS, tmp_path / "weights.pth")
    monkeypatch.setattr(checkpoint_file.torch, "load", no_memory)
    with pytest.raises(WeightsError, match="memory does not hold the weights"):
        read_tensors(tmp_path / "weights.pth")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_tensors(tmp_path / "weights.pth")
