"""Putting a complete folder into the place of another, so that one of the two is always to be found.

Beside the folder ``name`` the new one grows in ``.name-import-…/complete``. When it is whole, the former one moves into
``.name-import-…/former``, and the new one into its place. Whoever is stopped in between leaves both: `recover` puts the
former one back. A lock tells whether the one who works there still lives.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_LOCK = "lock"
_SECONDS_TO_LOCK = 60.0
"""Between the making of a folder and its lock pass milliseconds."""


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder, which takes the place of another, or of none, when the block ends without an exception.

    Whatever ends the block or the exchange, Ctrl-C included, the former folder is in its place afterwards.

    Raises:
        OSError: the file system does not allow it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_prefix(folder)))
    try:
        with (beside / _LOCK).open("wb") as lock:
            _try_to_lock(lock)
            complete = beside / "complete"
            complete.mkdir()
            yield complete
            former = beside / "former"
            try:
                with suppress(FileNotFoundError):
                    folder.replace(former)
                complete.replace(folder)
            except BaseException:
                _restore(former, folder)
                raise
    finally:
        _restore(beside / "former", folder)
        shutil.rmtree(beside, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put back what somebody who was stopped has left beside a folder, and remove the rest of it.

    What cannot be changed, because it is somebody else's, stays.
    """
    for beside in folder.parent.glob(f"{_prefix(folder)}*"):
        if _is_in_use(beside):
            continue
        _restore(beside / "former", folder)
        shutil.rmtree(beside, ignore_errors=True)


def _prefix(folder: Path) -> str:
    return f".{folder.name}-import-"


def _restore(former: Path, folder: Path) -> None:
    """Move the former folder back, if nothing has taken its place."""
    if former.exists() and not folder.exists():
        with suppress(OSError):
            former.replace(folder)


def _is_in_use(beside: Path) -> bool:
    try:
        with (beside / _LOCK).open("r+b") as lock:
            return not _try_to_lock(lock)
    except FileNotFoundError:
        # Its owner may be about to make the lock, unless it is an old one.
        with suppress(OSError):
            return beside.stat().st_mtime > time.time() - _SECONDS_TO_LOCK
        return True
    except OSError:
        return True


def _try_to_lock(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open; whether nobody else has. The system unlocks it when its owner dies."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
