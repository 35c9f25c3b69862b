"""MedSAM, SAM and their kin: any loaded `transformers.SamModel`, with faster attention of equal results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from MedSAMSegmentLib.models.encoder_model import EncoderModel
from MedSAMSegmentLib.models.mask_decoder import MaskDecoder
from MedSAMSegmentLib.models.preprocessing import ModelPreprocessing, preprocessing_of_name
from MedSAMSegmentLib.models.prompt_decoder import PromptDecoder
from MedSAMSegmentLib.models.prompt_encoder import PromptEncoder
from MedSAMSegmentLib.models.relative_attention import replace_attention
from MedSAMSegmentLib.models.row_bands import InRowBands

if TYPE_CHECKING:
    from transformers import SamModel
    from transformers.models.sam.modeling_sam import SamVisionEncoder

    from MedSAMSegmentLib.models.description import ModelIdentity

_TENSORS_PER_LAYER = 24
"""How many times the hidden states fit into what a layer holds at once: queries and keys lengthened, values padded."""


class SamVit(EncoderModel):
    """Implements `SegmentationModel`.

    Args:
        sam_model: loaded, in any precision; it belongs to this object from now on, and is changed in place.
        preprocessing: what the weights were trained with; of the model's own image size.
        identity: for provenance and cache keys.
        device: ``cpu``, ``cuda`` or ``mps``, with an index where there are several.
        precision: ``float32``, ``bfloat16`` or ``float16``: of the encoder. The decoder stays in float32.
        takes_points: whether the weights were trained with points too, not only with boxes.
    """

    @classmethod
    def from_sam_model(cls, sam_model: SamModel, identity: ModelIdentity, device: str, precision: str) -> SamVit:
        """With the preprocessing that the identity names; only SAM's own weights were trained with points."""
        size = sam_model.config.vision_config.image_size
        preprocessing = preprocessing_of_name(identity.preprocessing, size)
        takes_points = identity.preprocessing == "sam"
        return cls(sam_model, preprocessing, identity, device, precision, takes_points=takes_points)

    def __init__(
        self,
        sam_model: SamModel,
        preprocessing: ModelPreprocessing,
        identity: ModelIdentity,
        device: str,
        precision: str,
        *,
        takes_points: bool = True,
    ) -> None:
        sam_model.eval().requires_grad_(False)
        replace_attention(sam_model.vision_encoder)
        for layer in sam_model.vision_encoder.layers:
            layer.mlp = InRowBands(layer.mlp, layer.mlp.lin1.out_features)
        vision = sam_model.config.vision_config
        grid = vision.image_size // vision.patch_size
        width = sam_model.config.prompt_encoder_config.hidden_size
        weights = sam_model.prompt_encoder.state_dict()
        prompt_encoder = PromptEncoder.from_weights(weights, width, vision.image_size, grid)
        mask_decoder = MaskDecoder(sam_model.mask_decoder)
        for module in (prompt_encoder, mask_decoder):
            module.to(device, torch.float32)
        sam_model.vision_encoder.to(device, getattr(torch, precision))
        super().__init__(
            _Encoder(sam_model.vision_encoder),
            PromptDecoder(prompt_encoder, mask_decoder, preprocessing, takes_points=takes_points),
            preprocessing,
            identity,
            device,
            precision,
            bytes_per_slice=_TENSORS_PER_LAYER * grid**2 * vision.hidden_size * getattr(torch, precision).itemsize,
        )


class _Encoder(nn.Module):
    """The vision encoder in its own precision, without transformers' output object."""

    def __init__(self, vision_encoder: SamVisionEncoder) -> None:
        super().__init__()
        self.vision_encoder = vision_encoder

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.vision_encoder(images.to(self.vision_encoder.dtype)).last_hidden_state
