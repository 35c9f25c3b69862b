"""LiteMedSAM: a TinyViT encoder, SAM's prompt encoder and mask decoder, boxes as prompts.

Ma et al., Segment anything in medical images, Nature Communications 2024; the LiteMedSAM branch of
https://github.com/bowang-lab/MedSAM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.decoder_modules import DecoderModules
from MedSAMSegmentLib.models.decoder_names import decoder_in_transformers_names
from MedSAMSegmentLib.models.encoder_model import EncoderModel
from MedSAMSegmentLib.models.mask_decoder import MaskDecoder
from MedSAMSegmentLib.models.preprocessing import LiteMedSamPreprocessing
from MedSAMSegmentLib.models.prompt_decoder import PromptDecoder
from MedSAMSegmentLib.models.prompt_encoder import PromptEncoder
from MedSAMSegmentLib.models.tiny_vit import TinyViT

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.description import ModelIdentity

_BYTES_PER_SLICE = 256 * 2**20
"""The widest place: 256 channels at 256×256 float32 are 64 MiB, and up to four such tensors exist at once, in every
precision: the first stage stays in float32."""
_TOKEN_WIDTH = 256
_PATCH_SIZE = 4
"""Pixels of the model input, a side, for each pixel of the embedding."""


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
        """
        encoder = TinyViT.from_published(_under("image_encoder.", state_dict)).to(device)
        encoder.reduce_precision(getattr(torch, precision))
        preprocessing = LiteMedSamPreprocessing()
        decoder = _decoder(state_dict, device, preprocessing)
        return cls(encoder, decoder, preprocessing, identity, device, precision, _BYTES_PER_SLICE)


def _decoder(
    state_dict: Mapping[str, torch.Tensor], device: str, preprocessing: LiteMedSamPreprocessing
) -> PromptDecoder:
    weights = {name: tensor.float() for name, tensor in decoder_in_transformers_names(state_dict).items()}
    try:
        prompt_encoder = PromptEncoder.from_weights(
            _under("prompt_encoder.", weights), _TOKEN_WIDTH, preprocessing.size, preprocessing.size // _PATCH_SIZE
        )
        with torch.device("meta"):
            modules = DecoderModules()
        modules.load_state_dict(_under("mask_decoder.", weights), strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"These are not LiteMedSAM's weights: {error}") from error
    mask_decoder = MaskDecoder(modules.eval().requires_grad_(False))
    return PromptDecoder(prompt_encoder.to(device), mask_decoder.to(device), preprocessing, takes_points=False)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors whose name starts with a prefix, by the rest of it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
