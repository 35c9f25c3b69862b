"""Computing an image band by band, so that what lies in between stays in a processor's caches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

_BAND_BYTES = 8 * 2**20
"""Of the widest tensor in between. From 4 to 16 MiB time is the same on two cores. Smaller bands keep cores waiting for
each other; larger ones leave the caches, and from 32 MiB on the system clears memory anew for every tensor."""


def in_row_bands(
    compute: Callable[[torch.Tensor], torch.Tensor],
    tokens: torch.Tensor,
    width: int,
    *,
    reach: int = 0,
    stride: int = 1,
) -> torch.Tensor:
    """``compute(tokens)``: on a GPU at once, on a CPU in bands of rows, which are then joined.

    Args:
        compute: (B, rows, columns, C) to (B, rows / stride, …); treats all rows alike, except for padding at the ends.
        tokens: (B, rows, columns, C); rows are a multiple of ``stride``.
        width: channels of the widest tensor in between.
        reach: how many rows above and below a result depends on; rounded up to a multiple of ``stride``.
        stride: rows of tokens for each row of results.
    """
    rows = tokens.shape[1]
    band = _rows_of_a_band(tokens, width, stride)
    if band >= rows:
        return compute(tokens)
    overlap = stride * -(-reach // stride)
    results = []
    for start in range(0, rows, band):
        above = min(overlap, start)
        count = min(band, rows - start)
        result = compute(tokens[:, start - above : start + count + overlap])
        results.append(result[:, above // stride : (above + count) // stride])
    return torch.cat(results, dim=1)


def row_bands(tokens: torch.Tensor, width: int) -> tuple[torch.Tensor, ...]:
    """Views of ``tokens`` (B, rows, columns, C) to be changed in place one after the other: on a GPU a single one.

    Args:
        tokens: to be changed.
        width: channels of the widest tensor that a change makes.
    """
    return tokens.split(_rows_of_a_band(tokens, width, stride=1), dim=1)


class InRowBands(nn.Module):
    """A module that treats every token alone, such as a layer's MLP, computed with `in_row_bands`.

    Args:
        module: (B, rows, columns, C) to the same shape.
        width: channels of the widest tensor in between.
    """

    def __init__(self, module: nn.Module, width: int) -> None:
        super().__init__()
        self.module = module
        self._width = width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """What the module gives."""
        return in_row_bands(self.module, tokens, self._width)


def _rows_of_a_band(tokens: torch.Tensor, width: int, stride: int) -> int:
    batch, rows, columns, _ = tokens.shape
    if tokens.device.type != "cpu":
        return rows
    fitting = _BAND_BYTES // (batch * columns * width * tokens.element_size())
    return stride * max(fitting // stride, 1)
