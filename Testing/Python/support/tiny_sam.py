"""A SAM of transformers with random weights, small enough for tests, and a model of it."""

from __future__ import annotations

import torch
from transformers import SamConfig, SamModel

from MedSAMSegmentLib.models.description import ModelIdentity

IDENTITY = ModelIdentity("tiny-sam", "test", "0" * 64, "sam")
SIZE = 128


def tiny_sam_model(seed: int = 0) -> SamModel:
    """Two layers, one of them with windows that do not divide the grid of 8 × 8 tokens."""
    torch.manual_seed(seed)
    config = SamConfig(
        vision_config={
            "hidden_size": 32,
            "output_channels": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIZE,
            "patch_size": 16,
            "window_size": 3,
            "global_attn_indexes": [1],
            "num_pos_feats": 16,
            "mlp_dim": 64,
            "initializer_range": 0.02,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIZE, "patch_size": 16, "mask_input_channels": 16},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": 32},
    )
    model = SamModel(config).eval()
    with torch.no_grad():
        # transformers starts these with zeros or next to nothing, which would hide what is done with them.
        for name, parameter in model.vision_encoder.named_parameters():
            parameter.normal_(std=0.5 if "rel_pos" in name else 0.2)
    return model
