"""Embeddings that were computed before, as many as fit in a given number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from MedSAMSegmentLib.models.protocol import Embedding

DEFAULT_CAPACITY_BYTES = 512 * 2**20
"""Some 250 slices of LiteMedSAM or SAM (256 × 64 × 64 values of two bytes each, 2 MiB)."""


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding depends on: the pixels that the model saw, and the model as it computed.

    Attributes:
        pixels_digest: ``SliceImage.digest``.
        model: the model's identity and how it computes, as one string.
    """

    pixels_digest: str
    model: str


class EmbeddingCache:
    """Least recently used embeddings go first. Safe to use from several threads.

    Args:
        capacity_bytes: upper bound of what is kept; an embedding larger than that is not kept at all.
    """

    def __init__(self, capacity_bytes: int = DEFAULT_CAPACITY_BYTES) -> None:
        self._capacity_bytes = capacity_bytes
        self._embeddings: OrderedDict[EmbeddingKey, Embedding] = OrderedDict()
        self._byte_count = 0
        self._lock = threading.Lock()

    @property
    def byte_count(self) -> int:
        return self._byte_count

    def __len__(self) -> int:
        return len(self._embeddings)

    def __contains__(self, key: EmbeddingKey) -> bool:
        """Whether a key is there; does not count as a use."""
        return key in self._embeddings

    def get(self, key: EmbeddingKey) -> Embedding | None:
        with self._lock:
            embedding = self._embeddings.get(key)
            if embedding is not None:
                self._embeddings.move_to_end(key)
            return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        if embedding.byte_count > self._capacity_bytes:
            return
        with self._lock:
            replaced = self._embeddings.pop(key, None)
            if replaced is not None:
                self._byte_count -= replaced.byte_count
            self._embeddings[key] = embedding
            self._byte_count += embedding.byte_count
            while self._byte_count > self._capacity_bytes:
                _, dropped = self._embeddings.popitem(last=False)
                self._byte_count -= dropped.byte_count

    def release(self) -> None:
        """Let go of what is in memory."""
        with self._lock:
            self._embeddings.clear()
            self._byte_count = 0

    def clear(self) -> None:
        """Forget everything."""
        self.release()
