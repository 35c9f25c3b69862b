"""Files that are shipped beside the code."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_FOLDERS = (_PACKAGE / "Resources", _PACKAGE.parent / "Resources")
"""In a wheel they lie inside the package; in the extension and a checkout, beside it."""


def resource_path(name: str) -> Path:
    """The path of a shipped file, such as ``models.json``.

    Raises:
        FileNotFoundError: it was not installed.
    """
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is missing in {_FOLDERS[0]} and {_FOLDERS[1]}: install MedSAMSegment again.")
