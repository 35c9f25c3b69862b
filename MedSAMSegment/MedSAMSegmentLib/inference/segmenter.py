"""Masks of structures on slices: encode once, answer many prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import DeviceError
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache, EmbeddingKey
from MedSAMSegmentLib.inference.mask_options import MaskOptions, mask_from_logits
from MedSAMSegmentLib.inference.slice_image import SliceImage
from MedSAMSegmentLib.models.protocol import Embedding, Prompt, SegmentationModel


@dataclass(frozen=True)
class SlicePrediction:
    """The model's answer to one prompt on one slice, before any threshold.

    Attributes:
        logits: (M, h, w) float32 in the model's own frame: one mask, or several candidates.
        predicted_iou: (M,) float32, the model's own estimate for each.
        prompt: what was asked.
        plane: of the slice that was encoded.
    """

    logits: npt.NDArray[np.float32]
    predicted_iou: npt.NDArray[np.float32]
    prompt: Prompt
    plane: SlicePlane


@dataclass(frozen=True)
class SliceMask:
    """A mask on a slice's pixels.

    Attributes:
        mask_hw: (rows, columns) bool.
        plane: where the pixels lie.
        prompt: what was asked.
        predicted_iou: the model's own estimate.
    """

    mask_hw: npt.NDArray[np.bool_]
    plane: SlicePlane
    prompt: Prompt
    predicted_iou: float


class Segmenter:
    """A model with a memory. Not thread-safe, except `is_encoded`: one thread at a time.

    Args:
        model: encodes and decodes.
        cache: embeddings that are kept; an own one of the default size if not given.
    """

    def __init__(self, model: SegmentationModel, cache: EmbeddingCache | None = None) -> None:
        self.model = model
        self.cache = EmbeddingCache() if cache is None else cache
        self._model_key = f"{model.identity}|{model.precision}"

    def is_encoded(self, image: SliceImage) -> bool:
        """Whether `predict` on this slice would need no encoder pass."""
        return self._key(image) in self.cache

    def encode(
        self,
        images: Sequence[SliceImage],
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Embedding]:
        """Embeddings of slices; those that the cache has are not computed again.

        Args:
            images: what the model shall see.
            progress: told how many of how many new slices are done.
            cancelled: asked between batches, and in the middle of them as often as the model can.

        Raises:
            CancelledError: ``cancelled`` said so; what was encoded stays in the cache.
            DeviceError: the device's memory does not hold a single slice, even without the embeddings in it.
        """
        keys = [self._key(image) for image in images]
        found = {key: embedding for key in keys if (embedding := self.cache.get(key)) is not None}
        # A dictionary: slices that look the same are encoded once.
        todo = list({key: image for key, image in zip(keys, images, strict=True) if key not in found}.items())
        batch_size = self.model.batch_size if todo else 1
        for start in range(0, len(todo), batch_size):
            stop_if(cancelled)
            batch = todo[start : start + batch_size]
            embeddings = self._encode([image.pixels_u8 for _, image in batch], cancelled)
            for (key, _), embedding in zip(batch, embeddings, strict=True):
                # Before its first use: an answer must not depend on whether the cache had the slice.
                found[key] = embedding.compact()
                self.cache.put(key, found[key])
            if progress is not None:
                progress(min(start + batch_size, len(todo)), len(todo))
        return [found[key] for key in keys]

    def predict(
        self, image: SliceImage, prompts: Sequence[Prompt], *, candidates: bool = False
    ) -> list[SlicePrediction]:
        """Answers to all prompts on one slice, in one decoder pass.

        Raises:
            InvalidPromptError: a prompt is empty, or of a kind that the model does not take.
        """
        (embedding,) = self.encode([image])
        decoded = self.model.decode(embedding, prompts, candidates=candidates)
        return [
            SlicePrediction(decoded.logits[n], decoded.predicted_iou[n], prompt, image.plane)
            for n, prompt in enumerate(prompts)
        ]

    def mask(self, prediction: SlicePrediction, options: MaskOptions, candidate: int | None = None) -> SliceMask:
        """The mask of an answer on the slice's own pixels.

        Args:
            prediction: from `predict`.
            options: threshold and clean-up.
            candidate: which of several; the one of highest predicted IoU if not given.
        """
        chosen = int(np.argmax(prediction.predicted_iou)) if candidate is None else candidate
        plane = prediction.plane
        logits_hw = self.model.logits_on_slice(prediction.logits[chosen], plane.shape_hw)
        mask_hw = mask_from_logits(logits_hw, options, plane.spacing_mm)
        return SliceMask(mask_hw, plane, prediction.prompt, float(prediction.predicted_iou[chosen]))

    def _encode(
        self, slices_u8: Sequence[npt.NDArray[np.uint8]], cancelled: Callable[[], bool] | None
    ) -> list[Embedding]:
        try:
            return self.model.encode(slices_u8, cancelled=cancelled)
        except DeviceError:
            if len(self.cache) == 0:
                raise
        # Embeddings are kept where they were computed, in the memory that is short.
        self.cache.release()
        return self.model.encode(slices_u8, cancelled=cancelled)

    def _key(self, image: SliceImage) -> EmbeddingKey:
        return EmbeddingKey(image.digest, self._model_key)
