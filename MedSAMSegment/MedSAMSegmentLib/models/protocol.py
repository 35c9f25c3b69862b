"""What every model can do, whatever its family: encode slices, decode prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.prompts import BoxPrompt, PointPrompt

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.description import ModelIdentity
    from MedSAMSegmentLib.models.resampling import Region


@dataclass(frozen=True)
class Embedding:
    """Encoder output of one slice.

    Attributes:
        values: torch tensor (C, h, w) on the model's device, in the model's precision; opaque to callers (any array
            with ``nbytes`` in a stand-in).
        shape_hw: rows and columns of the slice that was encoded.
    """

    values: Any
    shape_hw: tuple[int, int]

    @property
    def byte_count(self) -> int:
        return int(self.values.nbytes)

    def compact(self) -> Embedding:
        """The same with two bytes a value: a torch tensor of float32 becomes float16, everything else stays.

        Behind their last norm embeddings are about 1: masks keep a Dice of 0.9999, see ``Testing/Benchmarks``.
        """
        if str(getattr(self.values, "dtype", None)) != "torch.float32":
            return self
        return replace(self, values=self.values.half())


@dataclass(frozen=True)
class Prompt:
    """One structure on one slice: a box, points, or both, in pixels of the slice that was encoded."""

    box: BoxPrompt | None = None
    points: tuple[PointPrompt, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """What the decoder answers to N prompts.

    Attributes:
        logits: (N, M, h, w) float32 at the decoder's own resolution and in its frame; M is 1, or 3 candidates. NaN
            where they were not asked for.
        predicted_iou: (N, M) float32, the model's own estimate of each mask's IoU.
        shape_hw: rows and columns of the slice that was encoded.
    """

    logits: npt.NDArray[np.float32]
    predicted_iou: npt.NDArray[np.float32]
    shape_hw: tuple[int, int]


class SegmentationModel(Protocol):
    """A loaded model on a device. Not thread-safe: one thread at a time."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model, revision and weights this is: for provenance and cache keys."""
        ...

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``mps``, with an index where there are several."""
        ...

    @property
    def precision(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``: of the encoder."""
        ...

    @property
    def batch_size(self) -> int:
        """How many slices are best given to `encode` at once, with the memory that is free now."""
        ...

    def encode(
        self, slices_u8: Sequence[npt.NDArray[np.uint8]], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Embedding]:
        """Encode slices, each (H, W) or (H, W, 3) uint8 after windowing; in smaller batches where memory is short.

        Args:
            slices_u8: what the model shall see.
            cancelled: asked in the middle of the computation as often as the model can.

        Raises:
            CancelledError: ``cancelled`` said so.
            DeviceError: the device's memory does not hold even a single slice.
        """
        ...

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        candidates: bool = False,
        region: Region | None = None,
    ) -> Decoded:
        """Masks of all prompts on one slice, in one batch.

        Args:
            embedding: of the slice.
            prompts: what is asked.
            candidates: three masks for each instead of one.
            region: rows and columns of the slice that will be looked at. A model may leave out the rest: logits that
                `logits_on_slice` does not need for this region may be NaN.

        Raises:
            InvalidPromptError: a prompt has neither a box nor a point, or a kind that this model does not take.
        """
        ...

    def logits_on_slice(
        self, logits: npt.NDArray[np.float32], shape_hw: tuple[int, int], region: Region | None = None
    ) -> npt.NDArray[np.float32]:
        """Decoder logits on the slice's own pixels, as the model's authors do it.

        Args:
            logits: (…, h, w) from `decode`.
            shape_hw: rows and columns of the slice.
            region: the part of the slice that is wanted; its values are those of the whole, bit for bit.

        Returns:
            (…, H, W), or as many rows and columns as the region has.
        """
        ...
