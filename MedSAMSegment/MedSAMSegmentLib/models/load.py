"""From what a user names to a model on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from MedSAMSegmentLib.errors import InvalidOptionError, WeightsError
from MedSAMSegmentLib.models.description import (
    HALF_PRECISIONS,
    Family,
    ModelDescription,
    ModelIdentity,
    PreprocessingName,
    WheelSource,
    default_model_id,
    describe,
    load_descriptions,
)
from MedSAMSegmentLib.models.devices import choose_device, choose_precision
from MedSAMSegmentLib.models.file_digest import check_sha256, sha256_of
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.models.sam_folder import CONFIG, WEIGHTS, check_sam_folder, sam_model_from_folder
from MedSAMSegmentLib.models.weights import expected_sha256, need_weights
from MedSAMSegmentLib.packages import require

if TYPE_CHECKING:
    from transformers import SamModel


def load_model(
    model: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    *,
    preprocessing: PreprocessingName | None = None,
) -> SegmentationModel:
    """Load a model that is on this computer. The network is never used: see `weights_transfer.download_weights`.

    Args:
        model: an id of ``models.json``; a local folder in Hugging Face format; or a local checkpoint file of SAM,
            MedSAM or LiteMedSAM in its original layout (.pth, .pt, .safetensors). The default model if not given.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: of the encoder: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        preprocessing: for local models only, what is done to a slice first: ``medsam`` or ``sam``. If not given,
            MedSAM's where the file's or folder's name says medsam, else SAM's: it cannot be read off weights.
            LiteMedSAM's weights always take their own. What was chosen stands in the model's identity.

    Raises:
        InvalidOptionError: no such model, device, precision or preprocessing.
        WeightsError: the weights are not here, damaged, or of no model that is known.
        DeviceError: the device is not here.
        MissingPackageError: torch is not installed, or for other models than LiteMedSAM transformers.
    """
    name = str(model) if model is not None else default_model_id()
    if preprocessing is not None and preprocessing not in get_args(PreprocessingName):
        raise InvalidOptionError(
            f"There is no preprocessing {preprocessing!r}. Use one of: {', '.join(get_args(PreprocessingName))}."
        )
    # An id wins over a file of the same name in the current folder: what it means must not depend on the folder.
    if name not in load_descriptions() and _exists(Path(name)):
        return _load_local(Path(name), device, precision, preprocessing)
    description = describe(name)
    if preprocessing not in (None, description.preprocessing):
        raise InvalidOptionError(
            f"{description.title} was trained with the preprocessing {description.preprocessing!r}, and "
            f"{preprocessing!r} was asked for. Leave it out: it is a choice for local models only."
        )
    return _load_described(description, device, precision)


def _load_described(model: ModelDescription, device: str, precision: str) -> SegmentationModel:
    # What is missing is told before torch is loaded, which takes seconds.
    weights = need_weights(model)
    device, precision = _chosen(device, precision, model.family)
    expected, _ = expected_sha256(model, weights)
    sha256 = sha256_of(weights.path) if expected is None else check_sha256(weights.path, expected)
    identity = ModelIdentity(model.id, weights.revision, sha256, model.preprocessing)
    if model.family == "lite-medsam":
        from MedSAMSegmentLib.models.checkpoint_file import read_tensors
        from MedSAMSegmentLib.models.lite_medsam import LiteMedSam

        published = model.source.sha256 if isinstance(model.source, WheelSource) else None
        tensors = read_tensors(weights.path, published_sha256=published)
        return LiteMedSam.from_state_dict(tensors, identity, device, precision)
    return _sam(sam_model_from_folder(weights.path.parent), identity, device, precision)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    # A name that no file can have, such as one that is too long.
    except (OSError, ValueError):
        return False


def _load_local(path: Path, device: str, precision: str, preprocessing: PreprocessingName | None) -> SegmentationModel:
    # Links in the hub's cache keep their names; "." gets one.
    path = path.resolve() if path.is_dir() else path.absolute()
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        path = path.parent
    name, revision = _name_and_revision(path)
    guessed: PreprocessingName = "medsam" if "medsam" in name.lower() else "sam"
    if path.is_dir():
        _check_is_vit(path, preprocessing)
        check_sam_folder(path)
        device, precision = _chosen(device, precision, "sam")
        identity = ModelIdentity(name, revision, sha256_of(path / WEIGHTS), preprocessing or guessed)
        return _sam(sam_model_from_folder(path), identity, device, precision)

    # What cannot be is told before the file is read; what suits the model, and what it needs, is known after.
    _chosen(device, precision, "lite-medsam")
    from MedSAMSegmentLib.models.checkpoint_file import read_tensors
    from MedSAMSegmentLib.models.original_checkpoint import is_lite_medsam, is_original_sam, sam_model_from_original

    tensors = read_tensors(path)
    if is_lite_medsam(tensors):
        from MedSAMSegmentLib.models.lite_medsam import LiteMedSam

        if preprocessing not in (None, "lite-medsam"):
            raise InvalidOptionError(
                f"{path} holds LiteMedSAM, which takes its own preprocessing, and {preprocessing!r} was asked for. "
                "Leave it out."
            )
        device, precision = _chosen(device, precision, "lite-medsam")
        identity = ModelIdentity(name, revision, sha256_of(path), "lite-medsam")
        return LiteMedSam.from_state_dict(tensors, identity, device, precision)
    if not is_original_sam(tensors):
        raise WeightsError(
            f"{path} holds weights, but not of SAM, MedSAM or LiteMedSAM in their original layout: it starts with "
            f"{next(iter(tensors))!r}. For a file in Hugging Face format give its folder, with {CONFIG}."
        )
    _check_is_vit(path, preprocessing)
    device, precision = _chosen(device, precision, "sam")
    identity = ModelIdentity(name, revision, sha256_of(path), preprocessing or guessed)
    return _sam(sam_model_from_original(tensors), identity, device, precision)


def _name_and_revision(path: Path) -> tuple[str, str]:
    """What a local model is called; a folder of the hub's cache, named after a commit, as its repository."""
    repository = path.parent.parent.name
    if path.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1), path.name
    return path.name, "local"


def _chosen(device: str, precision: str, family: Family) -> tuple[str, str]:
    """The device and precision to use for a family, once the packages that it needs are known to be here."""
    require("torch")
    if family == "sam":
        require("transformers")
    device = choose_device(device)
    return device, choose_precision(precision, device, HALF_PRECISIONS[family])


def _check_is_vit(path: Path, preprocessing: PreprocessingName | None) -> None:
    if preprocessing == "lite-medsam":
        raise InvalidOptionError(
            f"{path} is a SAM with a ViT, and the preprocessing 'lite-medsam' is for LiteMedSAM only. Use medsam "
            "or sam."
        )


def _sam(sam_model: SamModel, identity: ModelIdentity, device: str, precision: str) -> SegmentationModel:
    from MedSAMSegmentLib.models.sam_vit import SamVit

    return SamVit.from_sam_model(sam_model, identity, device, precision)
