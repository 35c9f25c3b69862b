"""What is wrong with a markups file, before Slicer's reader sees it."""

from __future__ import annotations

import json
from pathlib import Path

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.roi_nodes import ROI_SUFFIX

_TEXTS = ("type", "name", "coordinateSystem", "roiType", "labelFormat")
_COORDINATE_SYSTEMS = ("LPS", "RAS", "0", "1", "")
"""``vtkMRMLStorageNode``'s: 0 is RAS, 1 is LPS, as old files have them."""


def checked_names(path: Path) -> set[str]:
    """The names that a file gives its markups, if Slicer's reader can read it.

    Raises:
        InvalidPromptError: what that reader would answer with a line in its log, or not at all.
    """
    if not path.is_file():
        raise InvalidPromptError(f"There is no file {path}. Check its path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InvalidPromptError(f"{path} is not a markups file: {error}. Save it from 3D Slicer again.") from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list):
        raise InvalidPromptError(f"{path} holds no markups. Save one from 3D Slicer as {ROI_SUFFIX}.")
    for markup in markups:
        if not isinstance(markup, dict) or "type" not in markup:
            raise InvalidPromptError(
                f"{path} holds something that is no markup: {str(markup)[:60]}. Save it from 3D Slicer again."
            )
        for key in _TEXTS:
            # Slicer's reader ends the whole process at a text that is none.
            if not isinstance(markup.get(key, ""), str):
                raise InvalidPromptError(
                    f"A markup in {path} has the {key} {markup[key]!r}, which is not a text. Save it from 3D "
                    "Slicer again."
                )
        # An unknown one would be taken for LPS, and the ROI for one in another place.
        if markup.get("coordinateSystem", "LPS") not in _COORDINATE_SYSTEMS:
            raise InvalidPromptError(
                f"A markup in {path} has the coordinateSystem {markup['coordinateSystem']!r}. Use LPS or RAS."
            )
        size = markup.get("size") if markup.get("type") == "ROI" else None
        # Slicer's reader takes a negative size for a positive one.
        if size is not None and not (
            isinstance(size, list) and all(isinstance(side, (int, float)) and side > 0 for side in size)
        ):
            raise InvalidPromptError(
                f"An ROI in {path} has the size {size} mm: every side must be longer than zero. Draw it again."
            )
    return {markup["name"] for markup in markups if markup.get("name")}
