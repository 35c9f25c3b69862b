"""Against what segment_anything's own code answers for a tiny SAM with random weights: see Testing/Data/README.md."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from transformers import SamModel

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.checkpoint_file import read_tensors
from MedSAMSegmentLib.models.original_checkpoint import architecture, is_original_sam, sam_model_from_original
from support.reference_outputs import DATA

CHECKPOINT = DATA / "tiny_sam_original_format.pth"
TOLERANCE = 1e-4


@cache
def converted() -> SamModel:
    return sam_model_from_original(read_tensors(CHECKPOINT))


@cache
def reference() -> dict[str, np.ndarray]:
    with np.load(DATA / "tiny_sam_original_format_outputs.npz") as arrays:
        return dict(arrays)


def shapes_of_published_model(width: int, depth: int, heads: int, global_layers: list[int]) -> dict[str, torch.Tensor]:
    """Tensors without memory, in the shapes of ``build_sam.py``'s models, as far as they tell the architecture."""
    shapes: dict[str, tuple[int, ...]] = {
        "image_encoder.patch_embed.proj.weight": (width, 3, 16, 16),
        "image_encoder.pos_embed": (1, 64, 64, width),
        "image_encoder.neck.0.weight": (256, width, 1, 1),
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128),
        "prompt_encoder.no_mask_embed.weight": (1, 256),
        "prompt_encoder.mask_downscaling.3.weight": (16, 4, 2, 2),
        "mask_decoder.mask_tokens.weight": (4, 256),
        "mask_decoder.transformer.final_attn_token_to_image.q_proj.weight": (128, 256),
        "mask_decoder.iou_prediction_head.layers.0.weight": (256, 256),
        "mask_decoder.iou_prediction_head.layers.1.weight": (256, 256),
        "mask_decoder.iou_prediction_head.layers.2.weight": (4, 256),
    }
    for n in range(depth):
        tokens = 64 if n in global_layers else 14
        shapes[f"image_encoder.blocks.{n}.attn.rel_pos_h"] = (2 * tokens - 1, width // heads)
        shapes[f"image_encoder.blocks.{n}.attn.qkv.bias"] = (3 * width,)
        shapes[f"image_encoder.blocks.{n}.mlp.lin1.weight"] = (4 * width, width)
    for n in range(4):
        shapes[f"prompt_encoder.point_embeddings.{n}.weight"] = (1, 256)
    for n in range(2):
        shapes[f"mask_decoder.transformer.layers.{n}.mlp.lin1.weight"] = (2048, 256)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_the_converted_encoder_gives_the_original_embedding() -> None:
    with torch.inference_mode():
        embedding = converted().get_image_embeddings(torch.from_numpy(reference()["input"]))
    np.testing.assert_allclose(embedding.numpy(), reference()["embedding"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("prompt", ["box", "points", "box_and_points"])
@pytest.mark.parametrize("answers", ["single", "multi"])
def test_the_converted_model_gives_the_original_logits_and_iou(prompt: str, answers: str) -> None:
    expected = reference()
    with torch.inference_mode():
        output = converted()(
            image_embeddings=torch.from_numpy(expected["embedding"]),
            input_boxes=torch.from_numpy(expected["box"]) if "box" in prompt else None,
            input_points=torch.from_numpy(expected["points"])[None] if "points" in prompt else None,
            input_labels=torch.from_numpy(expected["point_labels"]).long()[None] if "points" in prompt else None,
            multimask_output=answers == "multi",
        )
    logits, iou = expected[f"{prompt}/{answers}/logits"], expected[f"{prompt}/{answers}/iou"]
    np.testing.assert_allclose(output.pred_masks[0].numpy(), logits, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(output.iou_scores[0].numpy(), iou, atol=TOLERANCE, rtol=0)


def test_conversion_shares_the_checkpoints_memory() -> None:
    tensors = read_tensors(CHECKPOINT)
    weight = sam_model_from_original(tensors).vision_encoder.neck.conv2.weight
    assert weight.data_ptr() == tensors["image_encoder.neck.2.weight"].data_ptr()


@pytest.mark.parametrize(
    ("width", "depth", "heads", "global_layers"),
    [(768, 12, 12, [2, 5, 8, 11]), (1024, 24, 16, [5, 11, 17, 23]), (1280, 32, 16, [7, 15, 23, 31])],
    ids=["ViT-B", "ViT-L", "ViT-H"],
)
def test_the_architecture_of_each_published_size_is_read_off_its_shapes(
    width: int, depth: int, heads: int, global_layers: list[int]
) -> None:
    """Numbers of segment_anything/build_sam.py."""
    found = architecture(shapes_of_published_model(width, depth, heads, global_layers))
    assert found["vision_config"] == {
        "hidden_size": width,
        "output_channels": 256,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "num_channels": 3,
        "image_size": 1024,
        "patch_size": 16,
        "qkv_bias": True,
        "window_size": 14,
        "global_attn_indexes": global_layers,
        "num_pos_feats": 128,
        "mlp_dim": 4 * width,
    }
    assert found["mask_decoder_config"] == {
        "hidden_size": 256,
        "mlp_dim": 2048,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "attention_downsample_rate": 2,
        "num_multimask_outputs": 3,
        "iou_head_depth": 3,
        "iou_head_hidden_dim": 256,
        "layer_norm_eps": 1e-5,
    }


def test_half_precision_checkpoints_become_float32() -> None:
    tensors = {name: tensor.half() for name, tensor in read_tensors(CHECKPOINT).items()}
    assert {parameter.dtype for parameter in sam_model_from_original(tensors).parameters()} == {torch.float32}


def test_an_encoder_without_its_decoder_is_refused_by_the_missing_tensors_name() -> None:
    tensors = {name: t for name, t in read_tensors(CHECKPOINT).items() if name.startswith("image_encoder.")}
    assert is_original_sam(tensors)
    with pytest.raises(WeightsError, match=r"it has no tensor mask_decoder\..*medsam_vit_b\.pth"):
        sam_model_from_original(tensors)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("image_encoder.blocks.1.attn.qkv.weight", (97, 32)),
        ("image_encoder.blocks.0.attn.rel_pos_h", (13, 5)),
        ("image_encoder.pos_embed", (1, 16)),
        ("mask_decoder.hf_token.weight", (1, 64)),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match="not a SAM"):
        sam_model_from_original(read_tensors(CHECKPOINT) | {name: torch.zeros(shape)})


def test_a_missing_layer_is_refused() -> None:
    tensors = {name: t for name, t in read_tensors(CHECKPOINT).items() if ".blocks.0." not in name}
    with pytest.raises(WeightsError, match=r"it has the numbers \[1\]"):
        sam_model_from_original(tensors)
