"""Weights of SAM's mask decoder, under transformers' names, without importing transformers, which takes seconds.

What is computed with them stands in ``mask_decoder.py``, which takes transformers' own modules as well.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_WIDTH = 256
_HEADS = 8
_PERCEPTRON_WIDTH = 2048
_DEPTH = 2
_MASKS = 4
_EPSILON = 1e-6
"""Of the norm between the upscaling steps; the others have torch's default. All are ``build_sam.py``'s numbers."""


class DecoderModules(nn.Module):
    """The mask decoder of the published SAM, MedSAM and LiteMedSAM."""

    def __init__(self) -> None:
        super().__init__()
        self.num_mask_tokens = _MASKS
        self.iou_token = Vectors(1, _WIDTH)
        self.mask_tokens = Vectors(_MASKS, _WIDTH)
        self.transformer = _Transformer()
        self.upscale_conv1 = nn.ConvTranspose2d(_WIDTH, _WIDTH // 4, kernel_size=2, stride=2)
        self.upscale_layer_norm = nn.LayerNorm(_WIDTH // 4, _EPSILON)
        self.upscale_conv2 = nn.ConvTranspose2d(_WIDTH // 4, _WIDTH // 8, kernel_size=2, stride=2)
        self.output_hypernetworks_mlps = nn.ModuleList(_ThreeLayers(_WIDTH // 8) for _ in range(_MASKS))
        self.iou_prediction_head = _ThreeLayers(_MASKS)


class Vectors(nn.Module):
    """Learned vectors: `nn.Embedding` without its random numbers, for which torch imports its compiler (1 s)."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(skip_first_layer_pe=n == 0) for n in range(_DEPTH))
        self.final_attn_token_to_image = _Attention(_WIDTH // 2)
        self.layer_norm_final_attn = nn.LayerNorm(_WIDTH)


class _Layer(nn.Module):
    def __init__(self, *, skip_first_layer_pe: bool) -> None:
        super().__init__()
        self.skip_first_layer_pe = skip_first_layer_pe
        self.self_attn = _Attention(_WIDTH)
        self.layer_norm1 = nn.LayerNorm(_WIDTH)
        self.cross_attn_token_to_image = _Attention(_WIDTH // 2)
        self.layer_norm2 = nn.LayerNorm(_WIDTH)
        self.mlp = _Perceptron()
        self.layer_norm3 = nn.LayerNorm(_WIDTH)
        self.cross_attn_image_to_token = _Attention(_WIDTH // 2)
        self.layer_norm4 = nn.LayerNorm(_WIDTH)


class _Attention(nn.Module):
    def __init__(self, inner_width: int) -> None:
        super().__init__()
        self.num_attention_heads = _HEADS
        self.scaling = (inner_width // _HEADS) ** -0.5
        self.q_proj = nn.Linear(_WIDTH, inner_width)
        self.k_proj = nn.Linear(_WIDTH, inner_width)
        self.v_proj = nn.Linear(_WIDTH, inner_width)
        self.out_proj = nn.Linear(inner_width, _WIDTH)


class _Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(_WIDTH, _PERCEPTRON_WIDTH)
        self.lin2 = nn.Linear(_PERCEPTRON_WIDTH, _WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.lin2(functional.relu(self.lin1(tokens)))


class _ThreeLayers(nn.Module):
    def __init__(self, width_out: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(_WIDTH, _WIDTH)
        self.layers = nn.ModuleList([nn.Linear(_WIDTH, _WIDTH)])
        self.proj_out = nn.Linear(_WIDTH, width_out)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.proj_in(tokens))
        return self.proj_out(functional.relu(self.layers[0](hidden)))
