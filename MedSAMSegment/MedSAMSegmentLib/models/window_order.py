"""Cutting a grid of tokens into square windows by one gather, and putting them back by another."""

from __future__ import annotations

import torch
from torch import nn


class WindowOrder(nn.Module):
    """Order of a square grid's tokens when it is padded to whole windows and cut.

    Args:
        grid: rows and columns of tokens.
        window: rows and columns of a window.
    """

    _token_of_slot: torch.Tensor
    _slot_of_token: torch.Tensor
    _padding_slots: torch.Tensor

    def __init__(self, grid: int, window: int) -> None:
        super().__init__()
        per_side = -(-grid // window)
        # On the CPU even where the modules around are made on the meta device: weights are assigned later, these never.
        padded = torch.full((per_side * window, per_side * window), grid**2, device="cpu")
        padded[:grid, :grid] = torch.arange(grid**2, device="cpu").view(grid, grid)
        token_of_slot = padded.view(per_side, window, per_side, window).transpose(1, 2).reshape(-1)
        padding_slots = torch.nonzero(token_of_slot == grid**2).flatten()
        slot_of_token = torch.argsort(token_of_slot)[: grid**2]
        token_of_slot[padding_slots] = 0
        self._window_area = window**2
        self.register_buffer("_token_of_slot", token_of_slot, persistent=False)
        self.register_buffer("_slot_of_token", slot_of_token, persistent=False)
        self.register_buffer("_padding_slots", padding_slots, persistent=False)

    def cut(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """(B, grid², C) to (B · windows, window², C), ``padding`` (C,) where a window reaches beyond the grid."""
        slots = tokens.index_select(1, self._token_of_slot)
        if len(self._padding_slots):
            slots[:, self._padding_slots] = padding
        return slots.view(-1, self._window_area, tokens.shape[-1])

    def join(self, windows: torch.Tensor, batch: int) -> torch.Tensor:
        """(B · windows, window², C) to (B, grid², C)."""
        return windows.reshape(batch, -1, windows.shape[-1]).index_select(1, self._slot_of_token)
