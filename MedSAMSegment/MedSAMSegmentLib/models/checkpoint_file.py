"""Tensors out of a checkpoint file, without running anything that the file may hold.

Imported late: it needs torch.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.packages import require

_ZIP = b"PK\x03\x04"
"""How torch's files begin since 1.6."""
_PICKLE = b"\x80"
"""How torch's older files begin."""
_WRAPPERS = ("model", "state_dict", "model_state_dict", "network")
"""Under these names training scripts keep the weights beside the optimizer's state; MedSAM's uses the first."""
_ENCODER = "image_encoder."


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by name, mapped into memory rather than copied where the format allows.

    The format is told by the file's first bytes, not by its name: safetensors, or torch's pickle, of which
    ``weights_only=True`` reads tensors and plain containers and refuses everything else. What training scripts put
    around the weights is taken off: an outer dictionary, and prefixes such as ``module.`` before the original names.

    Raises:
        WeightsError: the file is missing, empty, truncated, of another format, has no tensors, or has Python objects in
            it that could run code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    if not start:
        raise WeightsError(f"{path} is empty. Get the file again.")
    if start.startswith((_ZIP, _PICKLE)):
        contents = _unpickled(path, mapped=start.startswith(_ZIP))
    elif start[8:] == b"{":
        contents = _safetensors(path)
    else:
        raise WeightsError(f"{path} is not a checkpoint. Give a file with weights: .pth, .pt or .safetensors.")
    return _without_prefix(_state_dict(contents, path))


def _unpickled(path: Path, *, mapped: bool) -> Any:
    try:
        if path.suffix == ".safetensors":
            # Of a path with this name torch would believe the name, and not look.
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise WeightsError(f"{path} is damaged ({error}). Get the file again.") from error
        raise WeightsError(
            f"{path} is damaged, or holds Python objects besides tensors, which could run code: it was not loaded. If "
            "you trust its origin, save only the state_dict on the computer where it was made: "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    # What torch raises for damaged files differs between its versions and formats.
    except Exception as error:
        raise WeightsError(f"{path} is damaged or not complete ({_first_line(error)}). Get the file again.") from error


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    safetensors = require("safetensors")
    require("safetensors.torch")
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or not complete ({_first_line(error)}). Get the file again.") from error


def _state_dict(contents: Any, path: Path) -> dict[str, torch.Tensor]:
    if isinstance(contents, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(contents.get(wrapper), Mapping):
                contents = contents[wrapper]
                break
        tensors = {name: value for name, value in contents.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
    raise WeightsError(f"{path} holds no weights by name. Give a file that torch.save(model.state_dict(), …) wrote.")


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cut off what stands before ``image_encoder.``, from all names that begin so."""
    prefix = next((name.partition(_ENCODER)[0] for name in tensors if _ENCODER in name), "")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
