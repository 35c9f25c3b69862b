"""Names of SAM's prompt encoder and mask decoder: in the original ``segment_anything`` and in transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_Tensor = TypeVar("_Tensor")

_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"
_RENAMED = (
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", _POSITIONS),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^mask_decoder\.transformer\.norm_final_attn\.", "mask_decoder.transformer.layer_norm_final_attn."),
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
)  # fmt: skip
_PERCEPTRON = re.compile(r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.(\d+)\.")


def decoder_in_transformers_names(original: Mapping[str, _Tensor]) -> dict[str, _Tensor]:
    """Tensors under ``prompt_encoder.`` and ``mask_decoder.`` by their name in transformers' `SamModel`; no others.

    Args:
        original: an original checkpoint's state dict.
    """
    last_layer: dict[str, int] = {}
    for name in original:
        if layer := _PERCEPTRON.match(name):
            last_layer[layer[1]] = max(last_layer.get(layer[1], 0), int(layer[2]))
    renamed = {}
    for name, tensor in original.items():
        if not name.startswith(("prompt_encoder.", "mask_decoder.")):
            continue
        new_name = name
        for pattern, replacement in _RENAMED:
            new_name = re.sub(pattern, replacement, new_name)
        if layer := _PERCEPTRON.match(new_name):
            new_name = f"{layer[1]}.{_perceptron_layer(int(layer[2]), last_layer[layer[1]])}.{new_name[layer.end() :]}"
        renamed[new_name] = tensor
    return renamed


def _perceptron_layer(index: int, last: int) -> str:
    if index == 0:
        return "proj_in"
    return "proj_out" if index == last else f"layers.{index - 1}"
