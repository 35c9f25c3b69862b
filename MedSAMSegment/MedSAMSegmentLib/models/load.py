"""From what a user names to a model on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from MedSAMSegmentLib.errors import MedSAMSegmentError, WeightsError
from MedSAMSegmentLib.models import hub
from MedSAMSegmentLib.models.description import ModelDescription, ModelIdentity, PreprocessingName, describe
from MedSAMSegmentLib.models.devices import choose_device, choose_precision
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.models.weights import check_sha256, expected_sha256, need_weights, sha256_of
from MedSAMSegmentLib.packages import require

if TYPE_CHECKING:
    from transformers import SamModel


def load_model(
    model: str | Path = "lite-medsam",
    *,
    device: str = "auto",
    precision: str = "auto",
    preprocessing: PreprocessingName | None = None,
) -> SegmentationModel:
    """Load a model that is on this computer. The network is never used: see `weights.download_weights`.

    Args:
        model: an id of ``models.json``; a local folder in Hugging Face format; or a local checkpoint file of SAM,
            MedSAM or LiteMedSAM in its original layout (.pth, .pt, .safetensors).
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: of the encoder: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        preprocessing: for local models only, what is done to a slice first. If not given: LiteMedSAM's own for its
            weights; MedSAM's where the file's or folder's name says medsam; else SAM's. It cannot be read off weights.

    Raises:
        InvalidOptionError: no such model, device or precision.
        WeightsError: the weights are not here, damaged, or of no model that is known.
        DeviceError: the device is not here.
        MissingPackageError: torch or transformers is not installed.
    """
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    path = Path(model)
    # An id wins over a file of the same name in the current folder: what it means must not depend on the folder.
    if str(model) not in _known_ids() and path.exists():
        return _load_local(path, chosen_device, chosen_precision, preprocessing)
    return _load_described(describe(str(model)), chosen_device, chosen_precision)


def _known_ids() -> tuple[str, ...]:
    from MedSAMSegmentLib.models.description import load_descriptions

    return tuple(load_descriptions())


def _load_described(model: ModelDescription, device: str, precision: str) -> SegmentationModel:
    require("torch")
    weights = need_weights(model)
    expected = expected_sha256(model, weights)
    if expected is not None:
        check_sha256(weights.path, expected)
    identity = ModelIdentity(model.id, weights.revision, sha256_of(weights.path), model.preprocessing)
    if model.family == "lite-medsam":
        return _lite_medsam(weights.path, identity, device, precision)
    return _sam(_sam_from_folder(weights.path.parent), identity, device, precision)


def _load_local(path: Path, device: str, precision: str, preprocessing: PreprocessingName | None) -> SegmentationModel:
    require("torch")
    require("transformers")
    from MedSAMSegmentLib.models.checkpoint_file import read_tensors
    from MedSAMSegmentLib.models.original_checkpoint import is_lite_medsam, is_original_sam, sam_model_from_original

    guessed: PreprocessingName = preprocessing or ("medsam" if "medsam" in path.name.lower() else "sam")
    if path.is_dir():
        missing = [name for name in (hub.CONFIG, hub.WEIGHTS) if not (path / name).is_file()]
        if missing:
            raise WeightsError(
                f"The folder {path} has no {' and no '.join(missing)}. Give a folder of a SAM in Hugging Face format, "
                "with both."
            )
        sha256 = sha256_of(path / hub.WEIGHTS)
        return _sam(_sam_from_folder(path), ModelIdentity(path.name, "local", sha256, guessed), device, precision)
    tensors = read_tensors(path)
    sha256 = sha256_of(path)
    if is_lite_medsam(tensors):
        from MedSAMSegmentLib.models.lite_medsam import LiteMedSam

        identity = ModelIdentity(path.name, "local", sha256, "lite-medsam")
        return LiteMedSam.from_state_dict(tensors, identity, device, precision)
    if not is_original_sam(tensors):
        raise WeightsError(
            f"{path} holds weights, but not of SAM, MedSAM or LiteMedSAM in their original layout: it starts with "
            f"{next(iter(tensors))!r}. For a file in Hugging Face format give its folder, with config.json."
        )
    return _sam(sam_model_from_original(tensors), ModelIdentity(path.name, "local", sha256, guessed), device, precision)


def _lite_medsam(path: Path, identity: ModelIdentity, device: str, precision: str) -> SegmentationModel:
    from MedSAMSegmentLib.models.checkpoint_file import read_tensors
    from MedSAMSegmentLib.models.lite_medsam import LiteMedSam

    return LiteMedSam.from_state_dict(read_tensors(path), identity, device, precision)


def _sam(sam_model: SamModel, identity: ModelIdentity, device: str, precision: str) -> SegmentationModel:
    from MedSAMSegmentLib.models.preprocessing import MedSamPreprocessing, SamPreprocessing
    from MedSAMSegmentLib.models.sam_vit import SamVit

    size = sam_model.config.vision_config.image_size
    is_medsam = identity.preprocessing == "medsam"
    preprocessing = MedSamPreprocessing(size) if is_medsam else SamPreprocessing(size)
    # MedSAM was trained with boxes alone.
    return SamVit(sam_model, preprocessing, identity, device, precision, takes_points=not is_medsam)


def _sam_from_folder(folder: Path) -> SamModel:
    transformers = require("transformers")
    try:
        model, loading = transformers.SamModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except MedSAMSegmentError:
        raise
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{folder} is not a readable SAM in Hugging Face format ({first_line}). Copy or download it again."
        ) from error
    if loading["missing_keys"]:
        # transformers would go on with random numbers in their place.
        some = ", ".join(sorted(loading["missing_keys"])[:3])
        raise WeightsError(f"{folder} is not a whole SAM: it lacks {some}. Copy or download it again.")
    return model.eval().requires_grad_(False)
