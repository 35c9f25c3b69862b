"""Files that are there whole, all of them, or none."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from MedSAMSegmentLib.errors import InvalidOutputError
from MedSAMSegmentSlicer.deferred_signals import deferred_signals
from MedSAMSegmentSlicer.temporary_folders import remove_leftovers, temporary_folder


def check_output(path: Path, suffixes: tuple[str, ...], inputs: tuple[Path, ...]) -> None:
    """Refuse early what could not be written in the end.

    Args:
        path: of the file to be.
        suffixes: what its name may end with.
        inputs: files that must not be overwritten.

    Raises:
        InvalidOutputError: another suffix, a folder that does not exist or cannot be written to, a file of somebody
            else that cannot be replaced, something that is no file, or an input's path.
    """
    if not path.name.lower().endswith(suffixes):
        raise InvalidOutputError(f"{path} cannot be written: the name must end with {' or '.join(suffixes)}.")
    try:
        if not path.parent.is_dir():
            raise InvalidOutputError(
                f"{path} cannot be written: there is no folder {path.parent.absolute()}. Create it."
            )
        if path.is_dir():
            raise InvalidOutputError(f"{path} cannot be written: it is a folder. Give the name of a file.")
        if path.exists() and not path.is_file():
            raise InvalidOutputError(f"{path} cannot be written: it is a device or a pipe. Give the name of a file.")
        for other in inputs:
            if other.exists() and path.exists() and path.samefile(other):
                raise InvalidOutputError(f"{path} is an input, which is never overwritten. Give another output.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InvalidOutputError(f"{path} cannot be written: no permission in {path.parent.absolute()}.")
        if _is_kept_by_its_owner(path):
            raise InvalidOutputError(
                f"{path} cannot be written: it belongs to another user, and in {path.parent.absolute()} only the owner "
                "of a file may replace it. Give another name or folder."
            )
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise InvalidOutputError(_complaint(error, (path,))) from error


def _is_kept_by_its_owner(path: Path) -> bool:
    """Whether a sticky folder, such as /tmp, keeps others from replacing a file."""
    if not hasattr(os, "geteuid") or not os.path.lexists(path):
        return False
    folder, user = path.parent.stat(), os.geteuid()
    return bool(folder.st_mode & stat.S_ISVTX) and user not in (0, folder.st_uid, path.lstat().st_uid)


@contextmanager
def written_whole(*paths: Path, done: Callable[[], None] | None = None) -> Iterator[tuple[Path, ...]]:
    """Paths to write to, in the same folders; they take the real ones' places, all of them, if nothing is raised.

    If one cannot take its place, those before it are put back as they were. Signals wait meanwhile. Where the process
    is killed (SIGKILL, no power) between two of the renames, every file is whole, but some are new and some old.

    Args:
        paths: what is to be there in the end. What is there already stays until then.
        done: called when all are in place, before a signal that has arrived meanwhile is delivered.

    Raises:
        InvalidOutputError: a disk is full, or a folder cannot be written to.
    """
    try:
        with ExitStack() as stack:
            folders = {}
            for folder in dict.fromkeys(path.parent for path in paths):
                remove_leftovers(folder)
                # Beside, so that the last step is a rename; in a folder, because writers look at the name's ending.
                folders[folder] = stack.enter_context(temporary_folder(folder))
            beside = tuple(folders[path.parent] / path.name for path in paths)
            yield beside
            for temporary in beside:
                _sync(temporary)
            with deferred_signals():
                _replace_all(dict(zip(paths, beside, strict=True)))
                if done is not None:
                    done()
    except OSError as error:
        raise InvalidOutputError(_complaint(error, paths)) from error


def _replace_all(replacements: dict[Path, Path]) -> None:
    """Rename each value to its key; if one cannot be, the others are undone.

    Raises:
        InvalidOutputError: the undoing failed too: what is new, and where the old files are.
        OSError: a file could not be replaced; all are as they were.
    """
    # The last rename is the last step that can fail: its old file needs no copy.
    earlier = list(replacements)[:-1]
    backups = {path: _backup(path, replacements[path]) for path in earlier if os.path.lexists(path)}
    renamed: list[Path] = []
    try:
        for path, temporary in replacements.items():
            temporary.replace(path)
            renamed.append(path)
    except OSError as error:
        for path in reversed(renamed):
            try:
                if path in backups:
                    backups[path].replace(path)
                else:
                    path.unlink()
            except OSError:
                raise InvalidOutputError(
                    f"{_complaint(error, tuple(replacements))} {' and '.join(map(str, renamed))} could not be put "
                    "back as before and may be of this run: delete them."
                ) from error
        raise
    for folder in {path.parent for path in replacements}:
        _sync(folder)


def _backup(path: Path, temporary: Path) -> Path:
    """A second name, or else a copy, of a file that is about to be replaced: the file itself stays where it is."""
    backup = temporary.with_name(f"before-{temporary.name}")
    try:
        os.link(path, backup, follow_symlinks=False)
    except (OSError, NotImplementedError):  # file systems without links, files of others
        shutil.copy2(path, backup, follow_symlinks=False)
    return backup


def _sync(path: Path) -> None:
    """Have the disk itself hold a file, or the names in a folder, where the system can do that for folders."""
    if path.is_dir():
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _complaint(error: OSError, paths: tuple[Path, ...]) -> str:
    names = " and ".join(str(path) for path in paths)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{names} cannot be written: there is no space left on the disk. Free some, or write elsewhere."
    if error.errno == errno.ENAMETOOLONG:
        return f"{names} cannot be written: the name is too long. Give a shorter one."
    return f"{names} cannot be written: {error.strerror or error}. Write elsewhere, or check the permissions."
