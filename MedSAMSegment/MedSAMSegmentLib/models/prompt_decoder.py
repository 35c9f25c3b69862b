"""SAM's prompt encoder and mask decoder: many prompts on one slice in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.models.preprocessing import ModelPreprocessing
from MedSAMSegmentLib.models.protocol import Decoded, Embedding, Prompt

if TYPE_CHECKING:
    from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPositionalEmbedding, SamPromptEncoder


class PromptDecoder:
    """Answers prompts on embeddings, in float32 whatever the encoder's precision: it is a small part of the work.

    Args:
        prompt_encoder: of transformers; gives tokens for boxes and points in model pixels.
        mask_decoder: of transformers.
        positional_embedding: of transformers; where in the image each embedding pixel lies.
        preprocessing: takes prompts to model pixels.
        takes_points: whether the model was made for points too, not only for boxes.
    """

    def __init__(
        self,
        prompt_encoder: SamPromptEncoder,
        mask_decoder: SamMaskDecoder,
        positional_embedding: SamPositionalEmbedding,
        preprocessing: ModelPreprocessing,
        *,
        takes_points: bool = True,
    ) -> None:
        self._prompt_encoder = prompt_encoder
        self._mask_decoder = mask_decoder
        self._preprocessing = preprocessing
        self._takes_points = takes_points
        with torch.inference_mode():
            self._image_positions = _positions_of_pixels(positional_embedding, prompt_encoder.image_embedding_size)

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt], *, candidates: bool = False) -> Decoded:
        """See `SegmentationModel.decode`."""
        if not prompts:
            raise InvalidPromptError("There is no prompt to answer. Give a box or a point.")
        # A batch has the same tokens for every prompt, and a token that stands for nothing would change the answer.
        alike: dict[tuple[bool, int], list[int]] = {}
        for n, prompt in enumerate(prompts):
            self._check(prompt)
            alike.setdefault((prompt.box is not None, len(prompt.points)), []).append(n)
        logits: list[np.ndarray] = [np.empty(0)] * len(prompts)
        predicted_iou: list[np.ndarray] = [np.empty(0)] * len(prompts)
        with torch.inference_mode():
            values = embedding.values.to(self._image_positions.dtype).unsqueeze(0)
            for indices in alike.values():
                answers = self._decode_alike(values, [prompts[n] for n in indices], embedding.shape_hw, candidates)
                for n, mask_logits, iou in zip(indices, *answers, strict=True):
                    logits[n], predicted_iou[n] = mask_logits, iou
        return Decoded(np.stack(logits), np.stack(predicted_iou), embedding.shape_hw)

    def _check(self, prompt: Prompt) -> None:
        if prompt.box is None and not prompt.points:
            raise InvalidPromptError("The prompt is empty. Give a box, a point, or both.")
        if prompt.points and not self._takes_points:
            raise InvalidPromptError(
                f"This model takes boxes only, and was given {len(prompt.points)} point(s). "
                "Draw a box, or choose a SAM model."
            )

    def _decode_alike(
        self, embedding: torch.Tensor, prompts: Sequence[Prompt], shape_hw: tuple[int, int], candidates: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, M, h, w) and predicted IoU (n, M) of prompts that have as many boxes and points each."""
        device = embedding.device
        points = labels = boxes = None
        if prompts[0].points:
            pixels = [[(point.column, point.row) for point in prompt.points] for prompt in prompts]
            foreground = [[int(point.is_foreground) for point in prompt.points] for prompt in prompts]
            points = torch.from_numpy(self._preprocessing.points_to_input(pixels, shape_hw)).to(device)[None]
            labels = torch.tensor(foreground, device=device)[None]
        if prompts[0].box is not None:
            corners = [prompt.box.xyxy for prompt in prompts if prompt.box is not None]
            boxes = torch.from_numpy(self._preprocessing.boxes_to_input(corners, shape_hw)).to(device)[None]
        sparse, dense = self._prompt_encoder(
            input_points=points, input_labels=labels, input_boxes=boxes, input_masks=None
        )
        masks, iou = self._mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=self._image_positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=candidates,
        )
        return masks[0].float().cpu().numpy(), iou[0].float().cpu().numpy()


def _positions_of_pixels(embedding: SamPositionalEmbedding, size_hw: tuple[int, int]) -> torch.Tensor:
    """(1, C, h, w) positional embedding of the centres of the embedding's pixels, as `SamModel` has it."""
    rows, columns = size_hw
    device = embedding.positional_embedding.device
    y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) / rows
    x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) / columns
    centres = torch.stack((x[None, :].expand(rows, -1), y[:, None].expand(-1, columns)), dim=-1)
    return embedding(centres).permute(2, 0, 1).unsqueeze(0)
