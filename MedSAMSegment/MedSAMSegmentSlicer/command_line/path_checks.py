"""Paths that are refused before anything is read."""

from __future__ import annotations

from pathlib import Path

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOptionError


def check_name(path: Path) -> None:
    """Refuse a name that Slicer's and ITK's readers and writers, which take UTF-8, cannot be given.

    Raises:
        InvalidOptionError: it is not UTF-8.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidOptionError(
            f"The name {path} is not UTF-8, which 3D Slicer's readers and writers need. Rename the file or folder."
        ) from None


def check_input(path: Path) -> None:
    """Refuse what is neither a file nor a folder, as it would be waited for without an end; what is not there passes.

    Raises:
        InvalidOptionError: the name is not UTF-8.
        InvalidImageError: a pipe, a socket or a device, or a name that no file can have.
    """
    check_name(path)
    try:
        is_special = path.exists() and not (path.is_file() or path.is_dir())
    except OSError as error:
        raise InvalidImageError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    if is_special:
        raise InvalidImageError(
            f"{path} is neither a file nor a folder: pipes and devices cannot be read. Save it as a file first."
        )


def check_cache_folder(folder: Path, inputs: tuple[Path, ...]) -> None:
    """Refuse a folder for embeddings where the patient's files are: they are copied, sent and archived together.

    Raises:
        InvalidOptionError: a patient's file lies in it, or below it.
    """
    check_name(folder)
    cache = folder.resolve()
    for path in inputs:
        place = path.resolve() if path.is_dir() else path.resolve().parent
        if place in (cache, *cache.parents):
            raise InvalidOptionError(
                f"The folder {folder} for embeddings lies where {path.name} does, among the patient's files. Choose "
                "another one."
            )
