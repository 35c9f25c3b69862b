"""Files that are there whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from MedSAMSegmentLib.errors import InvalidOutputError


def check_output(path: Path, suffixes: tuple[str, ...], inputs: tuple[Path, ...]) -> None:
    """Refuse early what could not be written in the end.

    Args:
        path: of the file to be.
        suffixes: what its name may end with.
        inputs: files that must not be overwritten.

    Raises:
        InvalidOutputError: another suffix, a folder that does not exist or cannot be written to, or an input's path.
    """
    if not path.name.lower().endswith(suffixes):
        raise InvalidOutputError(f"{path} cannot be written: the name must end with {' or '.join(suffixes)}.")
    if not path.parent.is_dir():
        raise InvalidOutputError(f"{path} cannot be written: there is no folder {path.parent.absolute()}. Create it.")
    if path.is_dir():
        raise InvalidOutputError(f"{path} cannot be written: it is a folder. Give the name of a file.")
    for other in inputs:
        if other.exists() and path.exists() and path.samefile(other):
            raise InvalidOutputError(f"{path} is an input, which is never overwritten. Give another output.")
    if not os.access(path.parent, os.W_OK):
        raise InvalidOutputError(f"{path} cannot be written: no permission in {path.parent.absolute()}.")


@contextmanager
def written_whole(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Paths to write to, in the same folders; they take the real ones' places, all of them, if nothing is raised.

    Args:
        paths: what is to be there in the end. What is there already stays until then.

    Raises:
        InvalidOutputError: a disk is full, or a folder cannot be written to.
    """
    folders: list[Path] = []
    try:
        beside = []
        for path in paths:
            # Beside, so that the last step is a rename; in a folder, because writers look at the name's ending.
            folders.append(Path(mkdtemp(dir=path.parent, prefix=".medsam-segment-")))
            beside.append(folders[-1] / path.name)
        yield tuple(beside)
        for temporary in beside:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        for temporary, path in zip(beside, paths, strict=True):
            temporary.replace(path)
    except OSError as error:
        raise InvalidOutputError(_complaint(error, paths)) from error
    finally:
        for folder in folders:
            _remove(folder)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _complaint(error: OSError, paths: tuple[Path, ...]) -> str:
    names = " and ".join(str(path) for path in paths)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{names} cannot be written: there is no space left on the disk. Free some, or write elsewhere."
    return f"{names} cannot be written: {error.strerror or error}. Write elsewhere, or check the permissions."
