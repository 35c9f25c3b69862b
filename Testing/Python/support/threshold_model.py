"""A model without weights: inside the box, what is brighter than half the range belongs to the structure.

Deterministic and exact, so that what surrounds a model can be tested against shapes that are known analytically.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.models.protocol import Decoded, Embedding, Prompt
from MedSAMSegmentLib.models.resampling import Region


class ThresholdModel:
    """Implements ``SegmentationModel`` on the slice's own pixels; counts its passes.

    Attributes:
        encoded: the slices that went through the encoder, in order.
        decoded: how many prompts each decoder pass had.
    """

    identity = ModelIdentity("threshold", "local", "0" * 64, "sam")
    device = "cpu"
    precision = "float32"
    batch_size = 1

    def __init__(self, predicted_iou: float = 0.9) -> None:
        self.encoded: list[npt.NDArray[np.uint8]] = []
        self.decoded: list[int] = []
        self._predicted_iou = predicted_iou

    def encode(
        self, slices_u8: Sequence[npt.NDArray[np.uint8]], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Embedding]:
        self.encoded.extend(slices_u8)
        grey = [pixels if pixels.ndim == 2 else pixels.mean(axis=2) for pixels in slices_u8]
        return [Embedding(pixels.astype(np.float32), pixels.shape[:2]) for pixels in grey]

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        candidates: bool = False,
        region: Region | None = None,
    ) -> Decoded:
        self.decoded.append(len(prompts))
        rows, columns = np.indices(embedding.shape_hw)
        masks = 3 if candidates else 1
        logits = np.full((len(prompts), masks, *embedding.shape_hw), -10.0, dtype=np.float32)
        for n, prompt in enumerate(prompts):
            if prompt.box is None:
                raise NotImplementedError("this stand-in answers boxes only")
            x_min, y_min, x_max, y_max = prompt.box.xyxy
            inside = (columns >= x_min) & (columns <= x_max) & (rows >= y_min) & (rows <= y_max)
            logits[n, :, inside & (np.asarray(embedding.values) > 127.5)] = 10.0
        iou = np.full((len(prompts), masks), self._predicted_iou, dtype=np.float32)
        return Decoded(logits, iou, embedding.shape_hw)

    def logits_on_slice(
        self, logits: npt.NDArray[np.float32], shape_hw: tuple[int, int], region: Region | None = None
    ) -> npt.NDArray[np.float32]:
        if logits.shape[-2:] != tuple(shape_hw):
            raise ValueError(f"logits of shape {logits.shape} are not of a slice of shape {shape_hw}")
        return logits if region is None else logits[..., region[0], region[1]]
