"""Tensors out of a checkpoint file, without running anything that the file may hold.

Imported late: it needs torch.
"""

from __future__ import annotations

import io
import os
import pickle
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import torch

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.packages import REQUIREMENTS, reads_pickles_safely, require

_ZIP = b"PK\x03\x04"
"""How torch's files begin since 1.6."""
_PICKLE = b"\x80"
"""How torch's older files begin."""
_WRAPPERS = ("model", "state_dict", "model_state_dict", "network")
"""Under these names training scripts keep the weights beside the optimizer's state; MedSAM's uses the first."""
_ENCODER = "image_encoder."


def read_tensors(path: Path, *, published_sha256: str | None = None, pickles: bool = True) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by name, in memory of their own: what happens to the file afterwards is no matter.

    The format is told by the file's first bytes, not by its name: safetensors, or torch's pickle, of which
    ``weights_only=True`` reads tensors and plain containers and refuses everything else. What training scripts put
    around the weights is taken off: an outer dictionary, and prefixes such as ``module.`` before the original names.

    Args:
        path: the file.
        published_sha256: what the file must be, lower-case hexadecimal, where its authors have published it. Only such
            a pickle is read by a torch whose reading of pickles is not safe, see `reads_pickles_safely`.
        pickles: whether torch's formats are read at all.

    Raises:
        WeightsError: the file is missing, empty, truncated, of another format or another one than was published, has
            no tensors or unusable ones, has something in it that could run code, or does not fit into memory.
    """
    try:
        file = _opened(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    try:
        with file:
            contents = _contents(path, file, published_sha256, pickles)
    except MemoryError as error:
        raise WeightsError(
            f"The memory does not hold the weights of {path}. Close other programs, or choose a smaller model."
        ) from error
    tensors = _without_prefix(_state_dict(contents, path))
    for name, tensor in tensors.items():
        _check_tensor(name, tensor, path)
    return tensors


def _opened(path: Path) -> BinaryIO:
    """A regular file, open for reading; opening a pipe or a device could wait for ever."""
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "it is not a file")
    return file


def _contents(path: Path, file: BinaryIO, published_sha256: str | None, pickles: bool) -> Any:
    if published_sha256 is not None:
        # What is compared is what is read: nobody can exchange the file in between.
        contents = file.read()
        if sha256(contents).hexdigest() != published_sha256:
            raise WeightsError(
                f"{path} is not the file that its authors published: its SHA-256 is not {published_sha256}. Delete it "
                "and get it again."
            )
        file = io.BytesIO(contents)
    start = file.read(9)
    file.seek(0)
    if not start:
        raise WeightsError(f"{path} is empty. Get the file again.")
    if start.startswith((_ZIP, _PICKLE)):
        if not pickles:
            raise WeightsError(f"{path} is a pickle, which could run code, and no .safetensors. Get the file again.")
        if published_sha256 is None and not reads_pickles_safely(torch.__version__):
            raise WeightsError(
                f"{path} is a pickle, and PyTorch {torch.__version__} has known security holes in reading them: it was "
                f"not loaded. Install {REQUIREMENTS['torch']}, or give the weights as .safetensors."
            )
        if start.startswith(_ZIP):
            _check_archive(path, file)
        elif _is_tar(file):
            raise WeightsError(f"{path} is of torch's oldest format, which is not read. Save the state_dict anew.")
        return _unpickled(path, file)
    if start[8:] == b"{":
        return _safetensors(path, file)
    raise WeightsError(f"{path} is not a checkpoint. Give a file with weights: .pth, .pt or .safetensors.")


def _check_archive(path: Path, file: BinaryIO) -> None:
    """Refuse programs, and what would be larger in memory than on disk: torch stores tensors as they are."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is damaged or not complete ({_first_line(error)}). Get the file again.") from error
    file.seek(0)
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if parts[-1] == "constants.pkl" or "code" in parts[:-1]:
            raise WeightsError(
                f"{path} is a TorchScript program, which could run code: it was not loaded. Give a file that "
                "torch.save(model.state_dict(), …) wrote."
            )
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise WeightsError(f"{path} is compressed inside, as torch never writes it. Get the file again.")


def _is_tar(file: BinaryIO) -> bool:
    try:
        return tarfile.is_tarfile(file)
    finally:
        file.seek(0)


def _unpickled(path: Path, file: BinaryIO) -> Any:
    try:
        # An open file: of a path that ends in .safetensors torch would believe the name, and not look.
        return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise WeightsError(f"{path} is damaged ({_first_line(error)}). Get the file again.") from error
        raise WeightsError(
            f"{path} is damaged, or holds Python objects besides tensors, which could run code: it was not loaded. If "
            "you trust its origin, save only the state_dict on the computer where it was made: "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    # What torch raises for damaged files differs between its versions and formats.
    except Exception as error:
        raise WeightsError(f"{path} is damaged or not complete ({_first_line(error)}). Get the file again.") from error


def _safetensors(path: Path, file: BinaryIO) -> dict[str, torch.Tensor]:
    safetensors = require("safetensors")
    try:
        # Not load_file, which maps the file: whoever shortens it later would end the program.
        return require("safetensors.torch").load(file.read())
    except MemoryError:
        raise
    # An unknown kind of number is a KeyError.
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged or not complete ({_first_line(error)}). Get the file again.") from error


def _state_dict(contents: Any, path: Path) -> dict[str, torch.Tensor]:
    if isinstance(contents, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(contents.get(wrapper), Mapping):
                contents = contents[wrapper]
                break
        tensors = {
            name: value for name, value in contents.items() if isinstance(name, str) and isinstance(value, torch.Tensor)
        }
        if tensors:
            return tensors
    raise WeightsError(f"{path} holds no weights by name. Give a file that torch.save(model.state_dict(), …) wrote.")


def _check_tensor(name: str, tensor: torch.Tensor, path: Path) -> None:
    wrong = _what_is_wrong_with(tensor)
    if wrong is not None:
        raise WeightsError(
            f"{path} has unusable weights: {name} {wrong}. Give a file with the weights as ordinary numbers."
        )


def _what_is_wrong_with(tensor: torch.Tensor) -> str | None:
    if tensor.is_meta:
        return "has a shape and no values"
    if tensor.layout != torch.strided:
        return "is sparse"
    if tensor.is_quantized:
        return "is quantized"
    if tensor.is_complex():
        return "has complex numbers"
    if tensor.is_floating_point():
        # A few numbers of the file that stand for a large tensor would need memory that the file has not shown.
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            return f"repeats its values to the shape {tuple(tensor.shape)}"
        if not bool(torch.isfinite(tensor).all()):
            return "has values that are not finite numbers"
    return None


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cut off what stands before ``image_encoder.``, from all names that begin so."""
    prefix = next((name.partition(_ENCODER)[0] for name in tensors if _ENCODER in name), "")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
