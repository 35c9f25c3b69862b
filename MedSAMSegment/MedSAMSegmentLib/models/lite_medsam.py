"""LiteMedSAM: a TinyViT encoder, SAM's prompt encoder and mask decoder, boxes as prompts.

Ma et al., Segment anything in medical images, Nature Communications 2024; the LiteMedSAM branch of
https://github.com/bowang-lab/MedSAM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.decoder_names import decoder_in_transformers_names
from MedSAMSegmentLib.models.encoder_model import EncoderModel
from MedSAMSegmentLib.models.preprocessing import LiteMedSamPreprocessing
from MedSAMSegmentLib.models.prompt_decoder import PromptDecoder
from MedSAMSegmentLib.models.tiny_vit import TinyViT
from MedSAMSegmentLib.packages import require

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.description import ModelIdentity

_BYTES_PER_SLICE = 256 * 2**20
"""The widest place: 256 channels at 256×256 float32 are 64 MiB, and up to four such tensors exist at once."""
_ENCODER_PREFIX = "image_encoder."


class LiteMedSam(EncoderModel):
    """Implements `SegmentationModel`."""

    @classmethod
    def from_state_dict(
        cls, state_dict: Mapping[str, torch.Tensor], identity: ModelIdentity, device: str, precision: str
    ) -> LiteMedSam:
        """A model on a device, ready to encode.

        Args:
            state_dict: names as published (``lite_medsam.pth``).
            identity: for provenance and cache keys.
            device: ``cpu``, ``cuda`` or ``mps``, with an index where there are several.
            precision: ``float32``, ``bfloat16`` or ``float16``: of the encoder.

        Raises:
            WeightsError: these are not LiteMedSAM's weights.
            MissingPackageError: transformers is not installed.
        """
        encoder_weights = {
            name.removeprefix(_ENCODER_PREFIX): tensor
            for name, tensor in state_dict.items()
            if name.startswith(_ENCODER_PREFIX)
        }
        encoder = TinyViT.from_published(encoder_weights).to(device)
        encoder.reduce_precision(getattr(torch, precision))
        preprocessing = LiteMedSamPreprocessing()
        decoder = _decoder(state_dict, device, preprocessing)
        return cls(encoder, decoder, preprocessing, identity, device, precision, _BYTES_PER_SLICE)


def _decoder(
    state_dict: Mapping[str, torch.Tensor], device: str, preprocessing: LiteMedSamPreprocessing
) -> PromptDecoder:
    require("transformers")
    from transformers.models.sam.configuration_sam import SamConfig
    from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder

    config = SamConfig(
        # The embedding of 64 pixels is a quarter of the model input, as if patches were 4 pixels wide.
        prompt_encoder_config={"image_size": preprocessing.size, "patch_size": 4},
        # transformers' default 1e-6 is not what the published decoder's norms have.
        mask_decoder_config={"layer_norm_eps": 1e-5},
    )
    config.mask_decoder_config._attn_implementation = "sdpa"
    with torch.device("meta"):
        modules = torch.nn.ModuleDict(
            {"prompt_encoder": SamPromptEncoder(config), "mask_decoder": SamMaskDecoder(config.mask_decoder_config)}
        )
    weights = {name: tensor.float() for name, tensor in decoder_in_transformers_names(state_dict).items()}
    try:
        modules.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"These are not LiteMedSAM's weights: {error}") from error
    modules.to(device).eval().requires_grad_(False)
    prompt_encoder, mask_decoder = modules["prompt_encoder"], modules["mask_decoder"]
    positions = prompt_encoder.shared_embedding
    return PromptDecoder(prompt_encoder, mask_decoder, positions, preprocessing, takes_points=False)
