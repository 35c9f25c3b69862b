"""SAM's prompt encoder: tokens for boxes and points, and positions of an embedding's pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.decoder_modules import Vectors

_MASK_PROMPTS = "mask_embed."
"""Of masks as prompts, which nobody gives here."""
_FIRST_CORNER = 2
"""Kinds of points, each with a vector: background, foreground, the box's first corner and its second."""


class PromptEncoder(nn.Module):
    """Parameters have transformers' names.

    Args:
        width: channels of a token.
        image_size: rows and columns of the model's input.
        grid: rows and columns of its embedding.
    """

    def __init__(self, width: int, image_size: int, grid: int) -> None:
        super().__init__()
        self._image_size = image_size
        self._grid = grid
        self.shared_embedding = _Positions(width)
        self.point_embed = nn.ModuleList(Vectors(1, width) for _ in range(4))
        self.not_a_point_embed = Vectors(1, width)
        self.no_mask_embed = Vectors(1, width)

    @classmethod
    def from_weights(cls, weights: Mapping[str, torch.Tensor], width: int, image_size: int, grid: int) -> PromptEncoder:
        """In evaluation mode, from tensors under transformers' names, whose memory it shares.

        Raises:
            WeightsError: a tensor is missing, left over, or of another shape.
        """
        used = {name: tensor for name, tensor in weights.items() if not name.startswith(_MASK_PROMPTS)}
        with torch.device("meta"):
            encoder = cls(width, image_size, grid)
        try:
            encoder.load_state_dict(used, strict=True, assign=True)
        except RuntimeError as error:
            raise WeightsError(f"The prompt encoder's weights do not fit the model: {error}") from error
        return encoder.eval().requires_grad_(False)

    def forward(
        self, boxes: torch.Tensor | None, points: torch.Tensor | None, is_foreground: torch.Tensor | None
    ) -> torch.Tensor:
        """Tokens (N, t, C) of N prompts that have a box each, as many points each, or both.

        Args:
            boxes: (N, 4) first and last column and row, as XYXY in pixels of the model's input.
            points: (N, P, 2) column and row.
            is_foreground: (N, P) integers, 1 where a point is part of the structure and 0 elsewhere.
        """
        kinds = torch.cat(list(self.point_embed.parameters()))
        tokens = []
        if points is not None and is_foreground is not None:
            tokens.append(self._placed(points) + kinds[is_foreground])
            if boxes is None:
                # Points without a box are followed by one that stands for none, as the weights were trained.
                tokens.append(self.not_a_point_embed.weight.expand(len(points), 1, -1))
        if boxes is not None:
            tokens.append(self._placed(boxes.unflatten(1, (2, 2))) + kinds[_FIRST_CORNER:])
        return torch.cat(tokens, dim=1)

    def positions(self) -> torch.Tensor:
        """(C, grid, grid): where the centres of the embedding's pixels lie."""
        centres = (torch.arange(self._grid, device=self.no_mask_embed.weight.device) + 0.5) / self._grid
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        return self.shared_embedding(torch.stack((columns, rows), dim=-1)).permute(2, 0, 1)

    def _placed(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.shared_embedding((pixels + 0.5) / self._image_size)


class _Positions(nn.Module):
    """(…, 2) column and row from 0 to 1, to (…, C): sines and cosines of random frequencies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(2, width // 2))

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        angles = 2 * math.pi * ((2 * places - 1) @ self.positional_embedding)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)
