"""Folders in Hugging Face format that hold a SAM: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.sam_configuration import read_configuration
from MedSAMSegmentLib.packages import require

if TYPE_CHECKING:
    from transformers import SamModel

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_POSITIONS = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")
"""One tensor under two names, of which files in this format hold one."""
_PICKLED = ("pytorch_model.bin", "model.bin")


def check_sam_folder(folder: Path) -> None:
    """Look at what can be seen without loading: both files are there, and the configuration is a SAM's.

    Raises:
        WeightsError: what is missing or different, and what to do.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        has_pickle = any((folder / name).is_file() for name in _PICKLED)
        why = " A pickle such as pytorch_model.bin is not read: it could run code." if has_pickle else ""
        raise WeightsError(
            f"The folder {folder} has no {' and no '.join(missing)}.{why} Give a folder of a SAM in Hugging Face "
            "format, with both."
        )
    read_configuration(folder / CONFIG)


def sam_model_from_folder(folder: Path) -> SamModel:
    """Load a SAM in evaluation mode, float32, on the CPU. Nothing is fetched, and no pickle is read.

    Raises:
        WeightsError: the folder has no SAM, or a damaged or incomplete one.
        MissingPackageError: transformers is not installed.
    """
    check_sam_folder(folder)
    config = read_configuration(folder / CONFIG)
    transformers = require("transformers")
    torch = require("torch")
    from MedSAMSegmentLib.models.checkpoint_file import read_tensors

    tensors = read_tensors(folder / WEIGHTS, pickles=False)
    for name, same in (_POSITIONS, _POSITIONS[::-1]):
        if name in tensors:
            tensors.setdefault(same, tensors[name])
    try:
        # Without memory of its own until the file's tensors take their places.
        with torch.device("meta"):
            model = transformers.SamModel(transformers.SamConfig(**config))
    # What transformers raises for an odd configuration differs between its versions.
    except Exception as error:
        raise WeightsError(
            f"{folder / CONFIG} does not describe a SAM ({_first_line(error)}). Copy or download the folder again."
        ) from error
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    wrong = [name for name, shape in wanted.items() if name not in tensors or tensors[name].shape != shape]
    if wrong:
        raise WeightsError(
            f"{folder} is not a whole SAM: {', '.join(sorted(wrong)[:3])} is missing or of another shape than "
            f"{CONFIG} says. Copy or download it again."
        )
    model.load_state_dict({name: tensors[name].float() for name in wanted}, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
