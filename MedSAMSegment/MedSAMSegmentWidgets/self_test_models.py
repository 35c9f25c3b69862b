"""Models for the self test: without weights, so that it runs anywhere."""

from __future__ import annotations

from typing import Any

from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentSlicer.inference_engine import ModelChoice


class BrightInBox:
    """A stand-in: what is brighter than half the window belongs to the structure. Exact, and needs no torch."""

    identity = ModelIdentity("self-test", "none", "0" * 64, "sam")
    device = "cpu"
    precision = "float32"
    batch_size = 1

    def encode(self, slices_u8: Any, *, cancelled: Any = None) -> list[Any]:
        """See `SegmentationModel.encode`."""
        import numpy as np

        from MedSAMSegmentLib.models.protocol import Embedding

        return [Embedding(np.array(pixels, dtype=np.float32), pixels.shape[:2]) for pixels in slices_u8]

    def decode(self, embedding: Any, prompts: Any, *, candidates: bool = False, region: Any = None) -> Any:
        """See `SegmentationModel.decode`."""
        import numpy as np

        from MedSAMSegmentLib.models.protocol import Decoded

        rows, columns = np.indices(embedding.shape_hw)
        logits = np.full((len(prompts), 3 if candidates else 1, *embedding.shape_hw), -10.0, dtype=np.float32)
        for n, prompt in enumerate(prompts):
            box = prompt.box
            inside = (columns > box.x_min) & (columns < box.x_max) & (rows > box.y_min) & (rows < box.y_max)
            logits[n, :, inside & (embedding.values > 127)] = 10.0
        return Decoded(logits, np.full(logits.shape[:2], 0.9, dtype=np.float32), embedding.shape_hw)

    def logits_on_slice(self, logits: Any, _shape_hw: tuple[int, int], region: Any = None) -> Any:
        """See `SegmentationModel.logits_on_slice`."""
        return logits if region is None else logits[..., region[0], region[1]]


def bright_in_box(_choice: ModelChoice) -> Any:
    """Loads the stand-in."""
    return BrightInBox()


def tiny_random_sam(_choice: ModelChoice) -> Any:
    """A SAM of random weights, small enough for a test; its masks mean nothing, but it computes like the large ones."""
    import torch
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    from MedSAMSegmentLib.models.preprocessing import MedSamPreprocessing
    from MedSAMSegmentLib.models.sam_vit import SamVit

    size, patch, width = 64, 8, 16
    torch.manual_seed(0)
    model = SamModel(
        SamConfig(
            vision_config=SamVisionConfig(
                hidden_size=width,
                output_channels=width,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=size,
                patch_size=patch,
                window_size=4,
                global_attn_indexes=[1],
                mlp_dim=32,
            ),
            prompt_encoder_config=SamPromptEncoderConfig(
                hidden_size=width, image_size=size, patch_size=patch, mask_input_channels=4
            ),
            mask_decoder_config=SamMaskDecoderConfig(
                hidden_size=width,
                mlp_dim=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                iou_head_hidden_dim=width,
            ),
        )
    ).eval()
    identity = ModelIdentity("self-test", "random", "0" * 64, "medsam")
    return SamVit(model, MedSamPreprocessing(size), identity, "cpu", "float32", takes_points=False)
