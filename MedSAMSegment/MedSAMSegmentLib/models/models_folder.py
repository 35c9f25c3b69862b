"""Where this program keeps models that were imported or fetched by itself; the hub's have the hub's own cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER_VARIABLE = "MEDSAMSEGMENT_MODELS"
"""Environment variable that names another folder."""


def models_folder() -> Path:
    """``MEDSAMSEGMENT_MODELS``, or a folder in the user's application data. It need not exist yet."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return _application_data() / "MedSAMSegment" / "models"


def _application_data() -> Path:
    """As platformdirs has it, which 3D Slicer need not have installed."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
