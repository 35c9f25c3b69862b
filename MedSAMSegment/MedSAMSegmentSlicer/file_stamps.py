"""Whether a local model's files are those that were loaded: a look at the disk, without reading them."""

from __future__ import annotations

from pathlib import Path

FileStamp = tuple[str, int, int]
"""Path, bytes, time of the last change in nanoseconds."""


def file_stamps(model: str) -> tuple[FileStamp, ...]:
    """The files of a model that is given as a file or a folder; none for an id of a known model, or if it is gone."""
    path = Path(model)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return tuple((str(file), (status := file.stat()).st_size, status.st_mtime_ns) for file in files)
    except (OSError, ValueError):  # not there, or no name that a file can have
        return ()
