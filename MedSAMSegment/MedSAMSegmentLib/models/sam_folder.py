"""Folders in Hugging Face format that hold a SAM: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.packages import require

if TYPE_CHECKING:
    from transformers import SamModel

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
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
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model_type = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{folder / CONFIG} is not the configuration of a model ({error!r}). Copy or download the folder again."
        ) from error
    if model_type != "sam":
        raise WeightsError(
            f"{folder} holds a model of type {model_type!r}, and only 'sam' is known here. Give a folder of SAM or "
            "MedSAM in Hugging Face format."
        )


def sam_model_from_folder(folder: Path) -> SamModel:
    """Load a SAM in evaluation mode, float32, on the CPU. Nothing is fetched, and no pickle is read.

    Raises:
        WeightsError: the folder has no SAM, or a damaged or incomplete one.
        MissingPackageError: transformers is not installed.
    """
    check_sam_folder(folder)
    transformers = require("transformers")
    torch = require("torch")
    try:
        with _quiet(transformers.logging):
            model, loading = transformers.SamModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                # Told by name below, rather than in a report on the console.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    # What transformers raises for a damaged file or an odd configuration differs between its versions.
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(
            f"{folder} is not a readable SAM in Hugging Face format ({first_line}). Copy or download it again."
        ) from error
    # In the place of these transformers puts random numbers, and goes on.
    random = {*loading["missing_keys"], *(name for name, *_ in loading["mismatched_keys"])}
    if random:
        raise WeightsError(
            f"{folder} is not a whole SAM: {', '.join(sorted(random)[:3])} is missing or of another shape than "
            f"{CONFIG} says. Copy or download it again."
        )
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet(logging: ModuleType) -> Iterator[None]:
    """Without transformers' warnings and progress bar."""
    verbosity, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bar:
            logging.enable_progress_bar()
