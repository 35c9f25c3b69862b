"""What all models share once their modules exist: batches of slices through an encoder, as far as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from MedSAMSegmentLib.errors import DeviceError
from MedSAMSegmentLib.models.interruption import Interruption
from MedSAMSegmentLib.models.preprocessing import ModelPreprocessing
from MedSAMSegmentLib.models.prompt_decoder import PromptDecoder
from MedSAMSegmentLib.models.protocol import Decoded, Embedding, Prompt

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.description import ModelIdentity
    from MedSAMSegmentLib.models.resampling import Region

_SHARE_OF_FREE_MEMORY = 0.6
"""Of a GPU: the rest is for the decoder, other programs, and fragmentation."""
_LARGEST_BATCH = 16
"""Beyond this a GPU gains nothing."""
_CPU_BATCH = 1
"""On a CPU a batch costs cache, and gains nothing: one slice keeps all cores busy."""


class EncoderModel:
    """An encoder and a decoder on a device: implements `SegmentationModel`. Not thread-safe.

    Args:
        encoder: (B, 3, size, size) float32 to (B, C, h, w) in ``precision``; on ``device``.
        decoder: answers prompts; its modules on ``device``, float32.
        preprocessing: the model's own.
        identity: which model this is.
        device: ``cpu``, ``cuda`` or ``mps``, with an index where there are several.
        precision: ``float32``, ``bfloat16`` or ``float16``: of the encoder.
        bytes_per_slice: memory that encoding takes for each further slice of a batch, in ``precision``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: PromptDecoder,
        preprocessing: ModelPreprocessing,
        identity: ModelIdentity,
        device: str,
        precision: str,
        bytes_per_slice: int,
    ) -> None:
        self.encoder = encoder
        self._interruption = Interruption(encoder)
        self._decoder = decoder
        self.preprocessing = preprocessing
        self._identity = identity
        self._device = device
        self._precision = precision
        self._bytes_per_slice = bytes_per_slice

    @property
    def identity(self) -> ModelIdentity:
        return self._identity

    @property
    def device(self) -> str:
        return self._device

    @property
    def precision(self) -> str:
        return self._precision

    @property
    def batch_size(self) -> int:
        """See `SegmentationModel.batch_size`."""
        if not self._device.startswith("cuda"):
            return _CPU_BATCH
        free, _ = torch.cuda.mem_get_info(self._device)
        # What torch holds for reuse is free for it, though the GPU says that it is taken.
        free += torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return max(1, min(_LARGEST_BATCH, int(free * _SHARE_OF_FREE_MEMORY) // self._bytes_per_slice))

    def encode(
        self, slices_u8: Sequence[npt.NDArray[np.uint8]], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Embedding]:
        """See `SegmentationModel.encode`."""
        embeddings: list[Embedding] = []
        batch_size = self.batch_size
        start = 0
        while start < len(slices_u8):
            batch = slices_u8[start : start + batch_size]
            try:
                with self._interruption.when(cancelled):
                    values = self._encode_batch(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                # Outside of the handler: its traceback keeps the batch's tensors alive.
                values = None
            if values is None:
                _release_memory(self._device)
                if len(batch) == 1:
                    ways_out = ["close other programs that use it", "choose a smaller model such as lite-medsam"]
                    if self._device != "cpu":
                        ways_out.append("choose the device cpu")
                    raise DeviceError(
                        f"The memory of device {self._device} does not hold a single slice. Do one of these: "
                        f"{'; '.join(ways_out)}."
                    )
                batch_size = len(batch) // 2
                continue
            # Each embedding on its own: a view would keep the whole batch alive in a cache.
            parts = values.unbind(0) if len(batch) == 1 else [part.clone() for part in values.unbind(0)]
            embeddings += [
                Embedding(part, (pixels.shape[0], pixels.shape[1])) for part, pixels in zip(parts, batch, strict=True)
            ]
            start += len(batch)
        return embeddings

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        candidates: bool = False,
        region: Region | None = None,
    ) -> Decoded:
        """See `SegmentationModel.decode`."""
        return self._decoder.decode(embedding, prompts, candidates=candidates, region=region)

    def logits_on_slice(
        self, logits: npt.NDArray[np.float32], shape_hw: tuple[int, int], region: Region | None = None
    ) -> npt.NDArray[np.float32]:
        """See `SegmentationModel.logits_on_slice`."""
        return self.preprocessing.logits_on_slice(logits, shape_hw, region)

    def _encode_batch(self, slices_u8: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
        """(B, C, h, w) on the device."""
        with torch.inference_mode():
            images = [self.preprocessing.to_input(pixels, self._device) for pixels in slices_u8]
            return self.encoder(torch.stack(images))


def _is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an error of its own; MPS and the CPU's allocator say it in words."""
    words = str(error).lower()
    is_said = any(part in words for part in ("out of memory", "can't allocate memory", "not enough memory"))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or is_said


def _release_memory(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device.startswith("mps"):
        torch.mps.empty_cache()
