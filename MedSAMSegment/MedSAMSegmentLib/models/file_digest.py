"""SHA-256 of weights files: computed, compared, and remembered for as long as a file does not change.

Large files take seconds to read. What was computed is kept in ``digests.json`` of the models folder, together with the
file's size and its times of modification and, where the system has it, of change of its inode, which copying tools
cannot set back. Small files are read anew by every process: that costs less than a blink.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.models_folder import models_folder

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done. What it raises ends the work: so can a user cancel."""

_FILE = "digests.json"
_UNFINISHED = f".{_FILE}-"
_ABANDONED_SECONDS = 60.0
"""A list is written within milliseconds; one unfinished after this was left by a process that was killed."""
_SMALL = 64 * 2**20
_CHUNK = 4 * 2**20


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """SHA-256 of a file, lower-case hexadecimal.

    Raises:
        WeightsError: the file cannot be read.
    """
    known = _unchanged_since_read(path)
    if known is not None:
        return known
    sha256, stamp = _computed(path, progress)
    _remember_if_large(path, sha256, stamp)
    return sha256


def check_sha256(path: Path, expected: str, progress: Progress | None = None, *, anew: bool = False) -> str:
    """Compare a file's SHA-256 with what it should be, and return it.

    Args:
        path: the file.
        expected: lower-case hexadecimal.
        progress: told about bytes.
        anew: read the file even if it has not changed since it was read last: disks fail.

    Raises:
        WeightsError: it differs, or the file cannot be read.
    """
    if not anew and _unchanged_since_read(path) == expected:
        return expected
    sha256, stamp = _computed(path, progress)
    if sha256 != expected:
        raise WeightsError(
            f"{path} is not the file that it should be: its SHA-256 is {sha256}, and {expected} was expected. It is "
            "damaged or was replaced: delete it and get it again."
        )
    _remember_if_large(path, sha256, stamp)
    return sha256


def matches_at_a_glance(path: Path, expected: str) -> bool | None:
    """Whether a file is what it should be, if it is small or unchanged since it was read; None if it has to be read."""
    try:
        known = sha256_of(path) if path.stat().st_size < _SMALL else _unchanged_since_read(path)
    except (OSError, WeightsError):
        return False
    return None if known is None else known == expected


def remember_arrival(path: Path) -> str:
    """Note the SHA-256 of a file that has just arrived, so that `sha256_at_arrival` can tell whether it changes."""
    sha256, stamp = _computed(path, None)
    _remember(path, sha256, stamp)
    return sha256


def sha256_at_arrival(path: Path) -> str | None:
    """What `remember_arrival` noted, or what was read last; None if nothing is known."""
    entry = _read().get(_key(path))
    return entry["sha256"] if entry else None


def _computed(path: Path, progress: Progress | None) -> tuple[str, dict[str, int]]:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            done = 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, stamp["size"])
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    return digest.hexdigest(), stamp


def _stamp(status: os.stat_result) -> dict[str, int]:
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns, "changed_ns": status.st_ctime_ns}


def _unchanged_since_read(path: Path) -> str | None:
    """The SHA-256 of a large file that is as it was when it was read."""
    entry = _read().get(_key(path))
    try:
        stamp = _stamp(path.stat())
    except OSError:
        return None
    if entry is None or stamp["size"] < _SMALL or any(entry.get(name) != value for name, value in stamp.items()):
        return None
    return entry["sha256"]


def _key(path: Path) -> str:
    # Of the hub's cache this is the blob, whatever snapshot it is seen through.
    return str(path.resolve())


def _read() -> dict[str, dict]:
    """All entries; none if the file is missing or not readable: then files are hashed again."""
    try:
        entries = json.loads((models_folder() / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {path: entry for path, entry in entries.items() if isinstance(entry, dict) and "sha256" in entry}


def _remember_if_large(path: Path, sha256: str, stamp: dict[str, int]) -> None:
    if stamp["size"] >= _SMALL:
        _remember(path, sha256, stamp)


def _remember(path: Path, sha256: str, stamp: dict[str, int]) -> None:
    folder = models_folder()
    # A folder that cannot be written to costs time at the next start, not more.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        entries = {known: entry for known, entry in _read().items() if Path(known).exists()}
        entries[_key(path)] = {"sha256": sha256} | stamp
        _remove_abandoned(folder)
        handle, name = tempfile.mkstemp(dir=folder, prefix=_UNFINISHED)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=1)
            Path(name).replace(folder / _FILE)
        finally:
            Path(name).unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink()
