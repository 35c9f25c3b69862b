"""Checkpoints in the layout of the original ``segment_anything``: architecture read off them, run by transformers.

``medsam_vit_b.pth``, ``sam_vit_b_01ec64.pth`` and their fine-tuned descendants. Imported late: it needs torch and
transformers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.decoder_names import decoder_in_transformers_names
from MedSAMSegmentLib.packages import require

if TYPE_CHECKING:
    from transformers import SamModel

_DECODER_HEADS = 8
"""Attention heads of the mask decoder leave no trace in the shapes; ``build_sam.py`` has this number for all sizes."""
_DECODER_EPSILON = 1e-5
"""Of the mask decoder's layer norms: torch's default, which the original code leaves, and transformers' is not."""
_UNUSED_WINDOW = 14
"""Of a model all of whose layers are global."""
_POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_RENAMED = (
    (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^image_encoder\.blocks\.(\d+)\.norm(\d)\.", r"vision_encoder.layers.\1.layer_norm\2."),
    (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"^image_encoder\.", "vision_encoder."),
)

StateDict = Mapping[str, torch.Tensor]


def is_original_sam(tensors: StateDict) -> bool:
    """Whether names are those of the original code's ViT, whatever its size."""
    return "image_encoder.patch_embed.proj.weight" in tensors


def is_lite_medsam(tensors: StateDict) -> bool:
    """Whether names are those of LiteMedSAM, whose encoder is a TinyViT."""
    return "image_encoder.patch_embed.seq.0.c.weight" in tensors


def sam_model_from_original(tensors: StateDict) -> SamModel:
    """A transformers `SamModel` in evaluation mode, float32, on the CPU; it shares the tensors' memory.

    Args:
        tensors: names and shapes of ``segment_anything``'s ``Sam``, of any size.

    Raises:
        WeightsError: a tensor is missing, left over, or of a shape that does not fit the others.
        MissingPackageError: transformers is not installed.
    """
    transformers = require("transformers")
    shapes = architecture(tensors)
    weights = {_vision_name(name): t.float() for name, t in tensors.items() if name.startswith("image_encoder.")}
    weights |= {name: tensor.float() for name, tensor in decoder_in_transformers_names(tensors).items()}
    weights["shared_image_embedding.positional_embedding"] = tensors[_POSITIONS].float()
    # Without memory of its own until the checkpoint's tensors take their places.
    try:
        with torch.device("meta"):
            model = transformers.SamModel(transformers.SamConfig(**shapes))
    # What transformers raises for widths that do not fit each other differs between its versions.
    except Exception as error:
        raise WeightsError(f"This checkpoint is not a SAM: {_summary(error)}") from error
    try:
        model.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"This checkpoint is not a SAM, or one that was changed: {_summary(error)}") from error
    return model.eval().requires_grad_(False)


def architecture(tensors: StateDict) -> dict[str, dict[str, Any]]:
    """What transformers' `SamConfig` takes, read off the shapes.

    Raises:
        WeightsError: a tensor that tells it is missing, or shapes contradict each other.
    """
    shapes = _Shapes(tensors)
    width, channels, patch_size = shapes.of("image_encoder.patch_embed.proj.weight", 4)[:3]
    grid = shapes.of("image_encoder.pos_embed", 4)[1]
    image_size = grid * patch_size
    depth = shapes.count(r"image_encoder\.blocks\.(\d+)\.")
    # Relative positions of a window of w tokens a side are 2w - 1 rows of a head's width.
    positions = [shapes.of(f"image_encoder.blocks.{n}.attn.rel_pos_h", 2) for n in range(depth)]
    windows = [(rows + 1) // 2 for rows, _ in positions]
    local_windows = {window for window in windows if window != grid}
    head_width = positions[0][1]
    if len(local_windows) > 1 or width % head_width:
        raise WeightsError(
            f"This checkpoint is not a SAM: its attention has windows of {sorted(set(windows))} tokens, and a width of "
            f"{width} for heads of {head_width}."
        )
    decoder_width = shapes.of("mask_decoder.mask_tokens.weight", 2)[1]
    attention_width = shapes.of("mask_decoder.transformer.final_attn_token_to_image.q_proj.weight", 2)[0]
    return {
        "vision_config": {
            "hidden_size": width,
            "output_channels": shapes.of("image_encoder.neck.0.weight", 4)[0],
            "num_hidden_layers": depth,
            "num_attention_heads": width // head_width,
            "num_channels": channels,
            "image_size": image_size,
            "patch_size": patch_size,
            "qkv_bias": "image_encoder.blocks.0.attn.qkv.bias" in tensors,
            "window_size": next(iter(local_windows), _UNUSED_WINDOW),
            "global_attn_indexes": [n for n, window in enumerate(windows) if window == grid],
            "num_pos_feats": shapes.of(_POSITIONS, 2)[1],
            "mlp_dim": shapes.of("image_encoder.blocks.0.mlp.lin1.weight", 2)[0],
        },
        "prompt_encoder_config": {
            "hidden_size": shapes.of("prompt_encoder.no_mask_embed.weight", 2)[1],
            "image_size": image_size,
            "patch_size": patch_size,
            "mask_input_channels": shapes.of("prompt_encoder.mask_downscaling.3.weight", 4)[0],
            "num_point_embeddings": shapes.count(r"prompt_encoder\.point_embeddings\.(\d+)\."),
        },
        "mask_decoder_config": {
            "hidden_size": decoder_width,
            "mlp_dim": shapes.of("mask_decoder.transformer.layers.0.mlp.lin1.weight", 2)[0],
            "num_hidden_layers": shapes.count(r"mask_decoder\.transformer\.layers\.(\d+)\."),
            "num_attention_heads": _DECODER_HEADS,
            "attention_downsample_rate": max(1, decoder_width // attention_width),
            "num_multimask_outputs": shapes.of("mask_decoder.mask_tokens.weight", 2)[0] - 1,
            "iou_head_depth": shapes.count(r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
            "iou_head_hidden_dim": shapes.of("mask_decoder.iou_prediction_head.layers.0.weight", 2)[0],
            "layer_norm_eps": _DECODER_EPSILON,
        },
    }


class _Shapes:
    """Shapes of a checkpoint's tensors; complains in words about those that it lacks."""

    def __init__(self, tensors: StateDict) -> None:
        self._tensors = tensors

    def of(self, name: str, dimensions: int) -> torch.Size:
        tensor = self._tensors.get(name)
        if tensor is None:
            raise WeightsError(
                f"This checkpoint is not a SAM: it has no tensor {name}. Give an original segment_anything checkpoint "
                "with encoder and decoder, such as medsam_vit_b.pth."
            )
        if tensor.ndim != dimensions or 0 in tensor.shape:
            raise WeightsError(f"This checkpoint is not a SAM: its tensor {name} is of shape {tuple(tensor.shape)}.")
        return tensor.shape

    def count(self, pattern: str) -> int:
        """How many numbers the pattern meets at the beginning of names."""
        numbers = {int(found[1]) for name in self._tensors if (found := re.match(pattern, name))}
        if numbers != set(range(len(numbers))) or not numbers:
            raise WeightsError(f"This checkpoint is not a SAM: of {pattern} it has the numbers {sorted(numbers)}.")
        return len(numbers)


def _vision_name(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _summary(error: Exception) -> str:
    """The first complaints of `load_state_dict`: it lists hundreds of names where a checkpoint is of another model."""
    words = " ".join(str(error).split())
    return words if len(words) <= 400 else words[:400] + "…"
