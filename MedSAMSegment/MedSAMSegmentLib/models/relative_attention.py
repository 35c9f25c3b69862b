"""SAM's attention with decomposed relative positions: exact, without the bias of all pairs in memory.

`SamModel` adds to the logits of query (row, column) and key (row', column') a term for row - row' and one for
column - column', each a product of the query with a learned vector. It lays their sum out for all heads at once: 0.8 GB
per global layer of ViT-B in float32, written and read again. Here,

- on a GPU, the terms become further channels: queries are lengthened by their products with all rows and all columns,
  keys by ones at their own row and column. The plain product of the longer vectors is then the sum wanted, and
  attention kernels without a bias apply;
- on a CPU, where longer products cost more than they save, the sum is laid out for one head at a time in memory that is
  used again and again.

Windowed layers cut their windows from the projected tokens, so that padding is not projected, and without transposing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from MedSAMSegmentLib.models.window_order import WindowOrder

if TYPE_CHECKING:
    from transformers.models.sam.modeling_sam import SamVisionAttention, SamVisionEncoder

_KERNEL_WIDTH = 8
"""Attention kernels of GPUs take channels in multiples of this."""


def replace_attention(vision_encoder: SamVisionEncoder) -> None:
    """Replace the attention modules of a loaded `SamModel`'s encoder in place; their weights are used as they are."""
    config = vision_encoder.config
    grid = config.image_size // config.patch_size
    for layer in vision_encoder.layers:
        layer.attn = RelativeAttention(layer.attn, grid, layer.window_size)
        # The layer now hands over all tokens: windows are cut behind the projection.
        layer.window_size = 0


class RelativeAttention(nn.Module):
    """Multi-head attention on a grid of tokens, or inside windows of it.

    Args:
        published: the module that this one stands for; it gives its parameters away.
        grid: rows and columns of tokens.
        window: rows and columns of a window; 0 for attention between all tokens.
    """

    _rows: torch.Tensor | None
    _columns: torch.Tensor | None
    _own_place: torch.Tensor

    def __init__(self, published: SamVisionAttention, grid: int, window: int) -> None:
        super().__init__()
        self._heads = published.num_attention_heads
        self._scale = published.scale
        self._side = window or grid
        self.qkv = published.qkv
        self.proj = published.proj
        self.order = WindowOrder(grid, window) if window else None
        vectors: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)
        if published.use_rel_pos:
            with torch.no_grad():
                # Kernels scale the sum of the product and the terms, and the terms are not to be scaled.
                vectors = (
                    published.get_rel_pos(self._side, self._side, published.rel_pos_h) / self._scale,
                    published.get_rel_pos(self._side, self._side, published.rel_pos_w) / self._scale,
                )
        self.register_buffer("_rows", vectors[0], persistent=False)
        self.register_buffer("_columns", vectors[1], persistent=False)
        self.register_buffer("_own_place", _own_place(self._side), persistent=False)

    def forward(self, hidden_states: torch.Tensor, output_attentions: bool = False) -> tuple[torch.Tensor, None]:
        """(B, grid, grid, C) to the same; no attention weights, which never exist as such."""
        batch, rows, columns, width = hidden_states.shape
        projected = self.qkv(hidden_states).view(batch, rows * columns, 3 * width)
        if self.order is not None:
            # Windows are padded with zeros, of which the projection leaves its bias.
            padding = projected.new_zeros(3 * width) if self.qkv.bias is None else self.qkv.bias
            projected = self.order.cut(projected, padding)
        # (3, windows, heads, tokens, channels), all views.
        parts = projected.view(*projected.shape[:2], 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
        attended = self._attend(*parts.unbind(0))
        joined = attended if self.order is None else self.order.join(attended, batch)
        return self.proj(joined.view(batch, rows, columns, width)), None

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """(W, heads, S, d) each to (W, S, heads · d)."""
        windows, _, tokens, _ = query.shape
        if self._rows is None or self._columns is None:
            attended = functional.scaled_dot_product_attention(query, key, value, scale=self._scale)
        elif query.device.type == "cpu":
            return self._attend_head_by_head(query, key, value)
        else:
            attended = self._attend_lengthened(query, key, value)
        return attended.transpose(1, 2).reshape(windows, tokens, -1)

    def _attend_head_by_head(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        windows, heads, tokens, channels = query.shape
        side = self._side
        attended = query.new_empty(windows, tokens, heads, channels)
        bias = query.new_empty(windows, side, side, side, side)
        for head in range(heads):
            # A bias is added behind the scaling.
            of_rows, of_columns = self._position_terms(query[:, head] * self._scale)
            torch.add(of_rows.unsqueeze(-1), of_columns.unsqueeze(-2), out=bias)
            one = slice(head, head + 1)
            attended[:, :, one] = functional.scaled_dot_product_attention(
                query[:, one],
                key[:, one],
                value[:, one],
                attn_mask=bias.view(windows, 1, tokens, tokens),
                scale=self._scale,
            ).transpose(1, 2)
        return attended.view(windows, tokens, heads * channels)

    def _attend_lengthened(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        windows, heads, tokens, channels = query.shape
        side = self._side
        own = channels + 2 * side
        surplus = -own % _KERNEL_WIDTH
        # Filled part by part: joining and padding them would move every channel three times.
        long_query = query.new_empty(windows, heads, tokens, own + surplus)
        long_key = torch.empty_like(long_query)
        long_query[..., :channels] = query
        long_key[..., :channels] = key
        of_rows, of_columns = self._position_terms(long_query[..., :channels].flatten(0, 1))
        on_grid = long_query.view(windows * heads, side, side, -1)
        on_grid[..., channels : channels + side] = of_rows
        on_grid[..., channels + side : own] = of_columns
        long_query[..., own:] = 0
        long_key[..., channels:own] = self._own_place
        long_key[..., own:] = 0
        # The fastest kernels take values as long as keys only.
        long_value = functional.pad(value, (0, own + surplus - channels))
        attended = functional.scaled_dot_product_attention(long_query, long_key, long_value, scale=self._scale)
        return attended[..., :channels]

    def _position_terms(self, query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(W, S, d) to the terms of each key row and of each key column before scaling, (W, side, side, side) each."""
        grid = query.reshape(query.shape[0], self._side, self._side, query.shape[-1])
        return (
            torch.einsum("wrcd,rkd->wrck", grid, self._rows),
            torch.einsum("wrcd,ckd->wrck", grid, self._columns),
        )


def _own_place(side: int) -> torch.Tensor:
    """(side², 2 · side): a one at the token's row, and a one at its column."""
    ones = torch.eye(side)
    rows = ones.unsqueeze(1).expand(side, side, side)
    columns = ones.unsqueeze(0).expand(side, side, side)
    return torch.cat((rows, columns), dim=-1).reshape(side**2, 2 * side)
