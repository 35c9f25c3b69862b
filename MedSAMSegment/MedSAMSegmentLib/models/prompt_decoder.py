"""SAM's prompt encoder and mask decoder: many prompts on one slice in one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.models.mask_decoder import UPSCALING, MaskDecoder
from MedSAMSegmentLib.models.preprocessing import ModelPreprocessing
from MedSAMSegmentLib.models.protocol import Decoded, Embedding, Prompt

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.prompt_encoder import PromptEncoder
    from MedSAMSegmentLib.models.resampling import Region


_CPU_PROMPTS = 4
"""Prompts that a CPU answers at once: with more, each one's pixels (4 MiB) push the others' out of the caches."""


class PromptDecoder:
    """Answers prompts on embeddings, in float32 whatever the encoder's precision: it is a small part of the work.

    Args:
        prompt_encoder: gives tokens for boxes and points in model pixels.
        mask_decoder: answers tokens.
        preprocessing: takes prompts to model pixels.
        takes_points: whether the model was made for points too, not only for boxes.
    """

    def __init__(
        self,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        preprocessing: ModelPreprocessing,
        *,
        takes_points: bool = True,
    ) -> None:
        self._prompt_encoder = prompt_encoder
        self._mask_decoder = mask_decoder
        self._preprocessing = preprocessing
        self._takes_points = takes_points
        with torch.inference_mode():
            self._image_positions = prompt_encoder.positions()

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        candidates: bool = False,
        region: Region | None = None,
    ) -> Decoded:
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
        wanted = None if region is None else self._pixels_of(region, embedding.shape_hw)
        with torch.inference_mode():
            no_mask = self._prompt_encoder.no_mask_embed.weight.view(-1, 1, 1)
            # From a cache on disk it comes on the CPU.
            image = embedding.values.to(self._image_positions) + no_mask
            most = _CPU_PROMPTS if image.device.type == "cpu" else len(prompts)
            groups = [found[n : n + most] for found in alike.values() for n in range(0, len(found), most)]
            for indices in groups:
                some = [prompts[n] for n in indices]
                answers = self._decode_alike(image, some, embedding.shape_hw, candidates, wanted)
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

    def _pixels_of(self, region: Region, shape_hw: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the embedding that the logits on a region of the slice come from."""
        rows, columns = region
        corners = [(columns.start, rows.start), (columns.stop, rows.stop)]
        corners_in_model = self._preprocessing.points_to_input(corners, shape_hw)
        spans = []
        for axis, count in ((1, self._image_positions.shape[-2]), (0, self._image_positions.shape[-1])):
            low, high = corners_in_model[:, axis] * (count / self._preprocessing.size)
            # Interpolation looks at the next logit, which is a quarter of an embedding pixel away.
            spans.append(slice(max(math.floor(low) - 1, 0), min(math.ceil(high) + 1, count)))
        return spans[0], spans[1]

    def _decode_alike(
        self,
        image: torch.Tensor,
        prompts: Sequence[Prompt],
        shape_hw: tuple[int, int],
        candidates: bool,
        wanted: tuple[slice, slice] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, M, h, w) and predicted IoU (n, M) of prompts that have as many boxes and points each."""
        device = image.device
        points = labels = boxes = None
        if prompts[0].points:
            pixels = [[(point.column, point.row) for point in prompt.points] for prompt in prompts]
            foreground = [[int(point.is_foreground) for point in prompt.points] for prompt in prompts]
            points = torch.from_numpy(self._preprocessing.points_to_input(pixels, shape_hw)).to(device)
            labels = torch.tensor(foreground, device=device)
        if prompts[0].box is not None:
            corners = [prompt.box.xyxy for prompt in prompts if prompt.box is not None]
            boxes = torch.from_numpy(self._preprocessing.boxes_to_input(corners, shape_hw)).to(device)
        tokens = self._prompt_encoder(boxes, points, labels)
        masks, iou = self._mask_decoder(image, self._image_positions, tokens, candidates=candidates, region=wanted)
        logits = masks.float().cpu().numpy()
        if wanted is not None:
            part, height_width = logits, [UPSCALING * count for count in self._image_positions.shape[-2:]]
            logits = np.full((*part.shape[:2], *height_width), np.nan, dtype=np.float32)
            rows, columns = (slice(UPSCALING * span.start, UPSCALING * span.stop) for span in wanted)
            logits[..., rows, columns] = part
        return logits, iou.float().cpu().numpy()
