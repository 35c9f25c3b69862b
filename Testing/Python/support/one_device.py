"""A stand-in for a GPU: torch's meta device, on which shapes are computed and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from MedSAMSegmentLib.models.encoder_model import EncoderModel
from MedSAMSegmentLib.models.protocol import Embedding, Prompt

STAND_IN = "meta"
"""A device for `EncoderModel`: everything but the CPU is computed alike."""


class OneDevice(TorchDispatchMode):
    """Fails where an operation gets tensors of several devices, as a GPU's kernels do; counts operations by dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: list[torch.dtype] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs: Mapping[str, Any] = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        # A single number may come from the CPU.
        devices = {tensor.device.type for tensor in tensors if tensor.dim()}
        copies = "copy" in str(func)
        assert len(devices) < 2 or copies, f"{func} got tensors of {sorted(devices)}"
        if STAND_IN in devices:
            self.dtypes += [tensor.dtype for tensor in tensors]
        return func(*args, **kwargs)


def encode_and_decode(
    model: EncoderModel, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> tuple[Embedding, OneDevice]:
    """An embedding of a model on `STAND_IN`, and the answers' shapes checked, under `OneDevice`."""
    # What is computed there has no values to bring back.
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype))
    with OneDevice() as watched:
        (embedding,) = model.encode([np.zeros((60, 90), dtype=np.uint8)])
        assert embedding.values.device.type == STAND_IN
        for given in (embedding, Embedding(torch.zeros(embedding.values.shape), embedding.shape_hw)):
            decoded = model.decode(given, prompts, candidates=True, region=(slice(10, 40), slice(5, 70)))
            assert decoded.logits.shape[:2] == (len(prompts), 3)
    return embedding, watched
