"""Where this program keeps models that were imported or fetched by itself; the hub's have the hub's own cache."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

FOLDER_VARIABLE = "MEDSAMSEGMENT_MODELS"
"""Environment variable that names another folder."""


_NO_HOME = Path("/nonexistent")
"""As Debian has it for users without one."""


def models_folder() -> Path:
    """``MEDSAMSEGMENT_MODELS``, or a folder in the user's application data. It need not exist yet.

    Where the system knows no home, as for some users of containers, it is one that never exists.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        with suppress(RuntimeError):  # ~ where there is no home
            return Path(chosen).expanduser()
    return _application_data() / "MedSAMSegment" / "models"


def _application_data() -> Path:
    """As platformdirs has it, which 3D Slicer need not have installed."""
    try:
        home = Path.home()
    except RuntimeError:
        home = _NO_HOME
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
