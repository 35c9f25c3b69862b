"""SAM's mask decoder with fewer operations and the same answers.

A prompt is a handful of tokens (7 for a box), an embedding thousands of pixels. Published code projects every pixel to
keys, values and queries. Here the projections are applied to the tokens instead, which is the same by associativity:
``(W x) · q = x · (Wᵀ q)``. With 8 heads that is 56 products a pixel where there were 128, and none of the projected
pixels is ever stored. Transposed convolutions whose stride is their kernel are matrix products, pixel by pixel, so they
are done for the pixels that are wanted only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers.models.sam.modeling_sam import SamAttention, SamMaskDecoder, SamTwoWayAttentionBlock

    from MedSAMSegmentLib.models.decoder_modules import DecoderModules

UPSCALING = 4
"""Logits a side of each embedding pixel."""


class MaskDecoder(nn.Module):
    """Masks of prompts on one slice.

    Args:
        published: loaded, in float32; its weights are used, not copied.
    """

    def __init__(self, published: DecoderModules | SamMaskDecoder) -> None:
        super().__init__()
        self._published = published

    def forward(
        self,
        image: torch.Tensor,
        image_positions: torch.Tensor,
        prompt_tokens: torch.Tensor,
        *,
        candidates: bool,
        region: tuple[slice, slice] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Answer N prompts that have as many tokens each.

        Args:
            image: (C, h, w) embedding, to which that of "no mask given" has been added.
            image_positions: (C, h, w).
            prompt_tokens: (N, t, C).
            candidates: whether to answer with three masks instead of one.
            region: rows and columns of the embedding whose masks are wanted; all if not given.

        Returns:
            Logits (N, M, 4 rows, 4 columns) of the region, and predicted IoU (N, M).
        """
        published = self._published
        own = torch.cat([published.iou_token.weight, published.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(prompt_tokens), -1, -1), prompt_tokens], dim=1)
        shape_hw = image.shape[-2:]
        tokens_out, pixels = self._attend(tokens, image.flatten(1).T, image_positions.flatten(1).T)
        wanted = range(1, published.num_mask_tokens) if candidates else range(1)
        weights = torch.stack([published.output_hypernetworks_mlps[n](tokens_out[:, 1 + n]) for n in wanted], dim=1)
        rows, columns = region or (slice(None), slice(None))
        logits = self._upscaled(pixels.unflatten(1, shape_hw)[:, rows, columns], weights)
        predicted_iou = published.iou_prediction_head(tokens_out[:, 0])
        return logits, predicted_iou[:, wanted.start : wanted.stop]

    def _attend(
        self, prompts: torch.Tensor, image: torch.Tensor, positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (N, T, C) and pixels (N, h · w, C), from tokens and the pixels (h · w, C) that prompts share."""
        transformer = self._published.transformer
        tokens, pixels = prompts, image[None]
        placed = pixels + positions
        for layer in transformer.layers:
            tokens = _tokens_ask(layer, tokens, prompts, pixels, placed)
            pixels = _pixels_ask(layer, tokens, prompts, pixels, placed)
            # Memory that is used again costs no page faults.
            placed = torch.add(pixels, positions, out=placed if placed.shape == pixels.shape else None)
        asked = _from_image(transformer.final_attn_token_to_image, tokens + prompts, pixels, placed)
        return transformer.layer_norm_final_attn(tokens + asked), pixels

    def _upscaled(self, pixels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Logits (N, M, 4 rows, 4 columns) of pixels (N, rows, columns, C) and weights (N, M, C / 8)."""
        published = self._published
        norm = published.upscale_layer_norm
        finer = _doubled(pixels, published.upscale_conv1)
        finer = functional.gelu(functional.layer_norm(finer, norm.normalized_shape, norm.weight, norm.bias, norm.eps))
        finer = functional.gelu(_doubled(finer, published.upscale_conv2))
        count, rows, columns = pixels.shape[:3]
        logits = finer.flatten(1, -2) @ weights.transpose(1, 2)
        # Rows and columns of a pixel's four quarters, and of each of these.
        logits = logits.view(count, rows, columns, 2, 2, 2, 2, -1).permute(0, 7, 1, 3, 5, 2, 4, 6)
        return logits.reshape(count, -1, UPSCALING * rows, UPSCALING * columns)


def _doubled(pixels: torch.Tensor, convolution: nn.ConvTranspose2d) -> torch.Tensor:
    """(…, C) to (…, 2, 2, C'): a transposed convolution with stride and kernel 2, the quarters behind the pixels."""
    weight = convolution.weight.permute(2, 3, 1, 0)
    quarters = functional.linear(pixels, weight.flatten(0, 2)).unflatten(-1, weight.shape[:3])
    return quarters if convolution.bias is None else quarters.add_(convolution.bias)


def _tokens_ask(
    layer: SamTwoWayAttentionBlock,
    tokens: torch.Tensor,
    prompts: torch.Tensor,
    pixels: torch.Tensor,
    placed: torch.Tensor,
) -> torch.Tensor:
    """Tokens (N, T, C) after they have attended to each other and to the pixels."""
    if layer.skip_first_layer_pe:
        tokens = _among_tokens(layer.self_attn, tokens, tokens)
    else:
        tokens = tokens + _among_tokens(layer.self_attn, tokens + prompts, tokens)
    tokens = layer.layer_norm1(tokens)
    tokens = tokens + _from_image(layer.cross_attn_token_to_image, tokens + prompts, pixels, placed)
    tokens = layer.layer_norm2(tokens)
    return layer.layer_norm3(tokens + layer.mlp(tokens))


def _pixels_ask(
    layer: SamTwoWayAttentionBlock,
    tokens: torch.Tensor,
    prompts: torch.Tensor,
    pixels: torch.Tensor,
    placed: torch.Tensor,
) -> torch.Tensor:
    """Pixels (N, h · w, C) after they have attended to the tokens; before, there may be one (1, h · w, C) for all."""
    attention = layer.cross_attn_image_to_token
    count, token_count = tokens.shape[:2]
    keys = _heads(attention, attention.k_proj(tokens + prompts)) * attention.scaling
    values = _heads(attention, attention.v_proj(tokens))
    # (heads, d, C): what each head makes of a pixel, put on the tokens' side.
    query_weight = attention.q_proj.weight.unflatten(0, (attention.num_attention_heads, -1))
    query_bias = attention.q_proj.bias.unflatten(0, (attention.num_attention_heads, -1))
    folded = (keys @ query_weight).flatten(1, 2)
    scores = _product(folded, placed) + (keys @ query_bias[..., None]).flatten(1, 2)
    shares = scores.unflatten(1, (-1, token_count)).softmax(dim=2).flatten(1, 2)
    output_weight = attention.out_proj.weight.T.unflatten(0, (attention.num_attention_heads, -1))
    # Each head's shares add up to 1: a part of the bias in what each shares out saves a pass over the pixels.
    offered = (values @ output_weight + attention.out_proj.bias / attention.num_attention_heads).flatten(1, 2)
    return layer.layer_norm4(torch.baddbmm(pixels.expand(count, -1, -1), shares.transpose(1, 2), offered))


def _from_image(
    attention: SamAttention, queries: torch.Tensor, pixels: torch.Tensor, placed: torch.Tensor
) -> torch.Tensor:
    """(N, T, C) that tokens get from pixels; the keys' bias is the same for all pixels, so it changes no share."""
    heads = attention.num_attention_heads
    asking = _heads(attention, attention.q_proj(queries)) * attention.scaling
    folded = (asking @ attention.k_proj.weight.unflatten(0, (heads, -1))).flatten(1, 2)
    shares = _product(folded, placed).softmax(dim=-1)
    seen = (shares.flatten(0, 1) @ pixels[0])[None] if len(pixels) == 1 else shares @ pixels
    value_weight = attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)
    values = seen.view(len(queries), heads, queries.shape[1], -1) @ value_weight
    return attention.out_proj(values.transpose(1, 2).flatten(2) + attention.v_proj.bias)


def _product(folded: torch.Tensor, placed: torch.Tensor) -> torch.Tensor:
    """(N, k, C) with the pixels (1 or N, h · w, C): (N, k, h · w)."""
    if len(placed) == 1:
        return (folded.flatten(0, 1) @ placed[0].T).view(*folded.shape[:2], -1)
    return folded @ placed.transpose(1, 2)


def _among_tokens(attention: SamAttention, queries: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(N, T, C): attention of tokens to each other."""
    attended = functional.scaled_dot_product_attention(
        _heads(attention, attention.q_proj(queries)),
        _heads(attention, attention.k_proj(queries)),
        _heads(attention, attention.v_proj(values)),
    )
    return attention.out_proj(attended.transpose(1, 2).flatten(2))


def _heads(attention: SamAttention, values: torch.Tensor) -> torch.Tensor:
    """(N, T, heads · d) to (N, heads, T, d)."""
    return values.unflatten(2, (attention.num_attention_heads, -1)).transpose(1, 2)
