"""Temporary folders that do not outlive their process for long, even if it is killed.

They hold what was derived from patients' images. A folder holds a file that its process keeps locked: the system gives
the lock up when the process ends, however it ends, and the next run then knows that nobody uses the folder any more.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

from MedSAMSegmentSlicer.deferred_signals import deferred_signals

_PREFIX = ".medsam-segment-"
_LOCK = "in-use"
_SECONDS_TO_LOCK = 1
"""A younger folder may be one that is just being made, and not locked yet."""


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder for its owner alone, gone with everything in it at the end.

    Raises:
        OSError: the parent cannot be written to.
    """
    folder: Path | None = None
    lock: IO[bytes] | None = None
    try:
        with deferred_signals():
            folder = Path(mkdtemp(dir=parent, prefix=_PREFIX))
            lock = (folder / _LOCK).open("wb")
            # File systems that cannot lock: the next run leaves the folder alone then.
            with suppress(OSError):
                _lock(lock)
        yield folder
    finally:
        try:
            with deferred_signals():
                _give_up(folder, lock)
        except BaseException:  # a signal that came before it could be deferred
            _give_up(folder, lock)
            raise


def _give_up(folder: Path | None, lock: IO[bytes] | None) -> None:
    if lock is not None:
        lock.close()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders that processes of this user have left in a folder; those in use stay.

    What cannot be looked at or removed is left: this is tidying, and no reason to fail.
    """
    with suppress(OSError):
        for folder in parent.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                if _is_left_over(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_left_over(folder: Path) -> bool:
    status = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
        return False
    if time.time() - status.st_mtime < _SECONDS_TO_LOCK:
        return False
    try:
        with (folder / _LOCK).open("rb+") as lock:
            _lock(lock)
    except FileNotFoundError:  # ended before the lock was made
        return True
    except OSError:
        return False
    return True


def _lock(file: IO[bytes]) -> None:
    """Lock a file until it is closed.

    Raises:
        OSError: another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
