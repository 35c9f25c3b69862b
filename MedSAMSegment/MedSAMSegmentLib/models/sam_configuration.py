"""What is taken from a model folder's ``config.json``: numbers that SAM's architecture is made of, within bounds.

Everything else in it is left out. To transformers some of it would mean code: kernels to fetch, classes to import.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import WeightsError

Check = Callable[[Any], bool]

_MOST_BYTES = 2**20
"""The published ones have 7 kB."""
_LARGEST_GRID = 128
"""Tokens a side. SAM's has 64, and attention over all of them needs the fourth power of it."""


def _whole(least: int, most: int) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def _number(least: float, most: float) -> Check:
    return lambda value: type(value) in (int, float) and least <= value <= most


def _truth(value: Any) -> bool:
    return type(value) is bool


def _activation(value: Any) -> bool:
    return value in ("gelu", "relu")


def _layers(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 128 and all(_whole(0, 127)(layer) for layer in value)


_WIDTH = _whole(1, 8192)
_EPSILON = _number(1e-12, 0.1)
_KNOWN: dict[str, dict[str, Check]] = {
    "vision_config": {
        "hidden_size": _WIDTH,
        "output_channels": _WIDTH,
        "num_hidden_layers": _whole(1, 128),
        "num_attention_heads": _whole(1, 128),
        "num_channels": _whole(3, 3),
        "image_size": _whole(16, 4096),
        "patch_size": _whole(1, 256),
        "hidden_act": _activation,
        "layer_norm_eps": _EPSILON,
        "qkv_bias": _truth,
        "mlp_ratio": _number(0.01, 64),
        "use_abs_pos": _truth,
        "use_rel_pos": _truth,
        "window_size": _whole(0, _LARGEST_GRID),
        "global_attn_indexes": _layers,
        "num_pos_feats": _WIDTH,
        "mlp_dim": lambda value: value is None or _whole(1, 65536)(value),
    },
    "prompt_encoder_config": {
        "hidden_size": _WIDTH,
        "image_size": _whole(16, 4096),
        "patch_size": _whole(1, 256),
        "mask_input_channels": _WIDTH,
        "num_point_embeddings": _whole(1, 64),
        "hidden_act": _activation,
        "layer_norm_eps": _EPSILON,
    },
    "mask_decoder_config": {
        "hidden_size": _WIDTH,
        "hidden_act": _activation,
        "mlp_dim": _whole(1, 65536),
        "num_hidden_layers": _whole(1, 64),
        "num_attention_heads": _whole(1, 128),
        "attention_downsample_rate": _whole(1, 64),
        "num_multimask_outputs": _whole(1, 16),
        "iou_head_depth": _whole(1, 16),
        "iou_head_hidden_dim": _WIDTH,
        "layer_norm_eps": _EPSILON,
    },
}
"""Section → name → what its values may be. What a file leaves out has transformers' own default, which is SAM's."""


def read_configuration(path: Path) -> dict[str, dict[str, Any]]:
    """What transformers' `SamConfig` takes, from a ``config.json``.

    Raises:
        WeightsError: it cannot be read, is of another model, or has a number that no SAM has; the message says which.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
        config = json.loads(text)
        model_type = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not the configuration of a model ({type(error).__name__}: {error}). Copy or download the "
            "folder again."
        ) from error
    if model_type != "sam":
        raise WeightsError(
            f"{path.parent} holds a model of type {str(model_type)[:80]!r}, and only 'sam' is known here. Give a "
            "folder of SAM or MedSAM in Hugging Face format."
        )
    sections = {name: _section(path, name, config.get(name) or {}, known) for name, known in _KNOWN.items()}
    for name in ("vision_config", "prompt_encoder_config"):
        section = sections[name]
        size, patch = section.get("image_size", 1024), section.get("patch_size", 16)
        if size % patch or size // patch > _LARGEST_GRID:
            raise WeightsError(
                f"{path} has an image_size of {size} and a patch_size of {patch} in {name}: no SAM is like that. Copy "
                "or download the folder again."
            )
    return sections


def _section(path: Path, name: str, values: Any, known: dict[str, Check]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise WeightsError(f"{path} has no section {name}. Copy or download the folder again.")
    for key, is_right in known.items():
        if key in values and not is_right(values[key]):
            raise WeightsError(
                f"{path} has {key} = {str(values[key])[:80]} in {name}: no SAM is like that. Copy or download the "
                "folder again."
            )
    return {key: values[key] for key in known if key in values}
