"""Embeddings that outlive the program: files in a folder that the user chose, as many as fit in a number of bytes.

An embedding is not an image, but it was made from one, and a determined reader can tell something of the patient from
it. So nothing is written unless a folder was asked for, and that folder is for its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.inference.embedding_cache import DEFAULT_CAPACITY_BYTES, EmbeddingCache, EmbeddingKey
from MedSAMSegmentLib.models.protocol import Embedding

if TYPE_CHECKING:
    import torch

DEFAULT_DISK_BYTES = 4 * 2**30
"""Some 2000 slices in half precision (256 × 64 × 64 values each, 2 MiB)."""

_SUFFIX = ".embedding.safetensors"
_UNFINISHED = ".embedding.tmp"
_MOST_FILE_BYTES = 256 * 2**20
"""Sixty times SAM's embedding in float32: a larger file is none of ours."""
_ABANDONED_SECONDS = 3600.0
"""A file that is written takes milliseconds; one unfinished after this was left by a process that died."""


class DiskEmbeddingCache(EmbeddingCache):
    """Memory first, then files. Several processes may share a folder: files appear whole, or not at all.

    What does not read as it was written counts as not there, and is removed. What cannot be written is not kept: a full
    disk is no reason to fail.

    Args:
        folder: made if it is not there. Files of other names in it are left alone.
        disk_bytes: upper bound of the files together; those not used for longest go first.
        capacity_bytes: upper bound of what is kept in memory.

    Raises:
        InvalidOptionError: the folder cannot be made.
    """

    def __init__(
        self, folder: Path, disk_bytes: int = DEFAULT_DISK_BYTES, capacity_bytes: int = DEFAULT_CAPACITY_BYTES
    ) -> None:
        super().__init__(capacity_bytes)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidOptionError(
                f"The folder {folder} for embeddings cannot be made: {error.strerror}. Choose another one."
            ) from error
        self._folder = folder
        self._disk_bytes = disk_bytes

    def __contains__(self, key: EmbeddingKey) -> bool:
        if super().__contains__(key):
            return True
        try:
            return _is_own_file(self._path(key).lstat())
        except OSError:
            return False

    def get(self, key: EmbeddingKey) -> Embedding | None:
        embedding = super().get(key)
        if embedding is not None:
            return embedding
        path = self._path(key)
        try:
            embedding = _embedding_from(_contents(path), key)
            # Its time of change tells when it was used last.
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError:
            # It cannot be read, is none of ours, or was removed by another process in between.
            return embedding
        if embedding is None:
            _remove(path)
        else:
            super().put(key, embedding)
        return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        super().put(key, embedding)
        try:
            contents = _file_of(embedding, key)
        except MemoryError:
            return
        if len(contents) > min(self._disk_bytes, _MOST_FILE_BYTES):
            return
        unfinished = None
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=_UNFINISHED, delete=False) as file:
                unfinished = Path(file.name)
                file.write(contents)
            unfinished.replace(self._path(key))
        except OSError:
            if unfinished is not None:
                _remove(unfinished)
        self._make_room()

    def clear(self) -> None:
        """Forget everything, and remove the files."""
        super().clear()
        for path in self._folder.glob(f"*{_SUFFIX}"):
            _remove(path)

    def _path(self, key: EmbeddingKey) -> Path:
        name = hashlib.blake2b(f"{key.pixels_digest}|{key.model}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{name}{_SUFFIX}"

    def _make_room(self) -> None:
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            # Another process may remove it first.
            with contextlib.suppress(OSError):
                status = path.lstat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._disk_bytes:
                break
            _remove(path)
            total -= size
        for path in self._folder.glob(f"*{_UNFINISHED}"):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS:
                    _remove(path)


def _is_own_file(status: os.stat_result) -> bool:
    """Whether this user has written a file, as far as can be told: no link, pipe or device, and nobody else's."""
    is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISREG(status.st_mode) and is_own and status.st_size <= _MOST_FILE_BYTES


def _contents(path: Path) -> bytes:
    """What a file of ours holds. Opening does not wait, which it would for a pipe, and follows no link.

    Raises:
        OSError: it cannot be read, or is none of ours.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not _is_own_file(os.fstat(file.fileno())):
            raise PermissionError(f"{path} was not written by this user")
        return file.read(_MOST_FILE_BYTES)


def _file_of(embedding: Embedding, key: EmbeddingKey) -> bytes:
    import torch
    from safetensors.torch import save

    values = torch.as_tensor(embedding.values).detach().cpu().contiguous()
    metadata = {
        "pixels": key.pixels_digest,
        "model": key.model,
        "shape_hw": ",".join(str(count) for count in embedding.shape_hw),
        "digest": _digest(values),
    }
    return save({"values": values}, metadata)


def _embedding_from(contents: bytes, key: EmbeddingKey) -> Embedding | None:
    """What a file holds, on the CPU; None if it is damaged or belongs to another key."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        (length,) = struct.unpack_from("<Q", contents)
        metadata = json.loads(contents[8 : 8 + length])["__metadata__"]
        values = load(contents)["values"]
        rows, columns = (int(count) for count in metadata["shape_hw"].split(","))
        is_right = (metadata["pixels"], metadata["model"]) == (key.pixels_digest, key.model)
        is_embedding = values.ndim == 3 and values.is_floating_point() and min(rows, columns) > 0
        if is_right and is_embedding and metadata["digest"] == _digest(values) and bool(values.isfinite().all()):
            return Embedding(values, (rows, columns))
    except (
        SafetensorError,
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        MemoryError,
        RecursionError,
    ):
        # Whatever a damaged header says: the file is not ours.
        return None
    return None


def _digest(values: torch.Tensor) -> str:
    import torch

    return hashlib.blake2b(values.flatten().view(torch.uint8).numpy().data, digest_size=16).hexdigest()


def _remove(path: Path) -> None:
    # Another process may have been first, or have it open (Windows): it goes the next time.
    with contextlib.suppress(OSError):
        path.unlink()
