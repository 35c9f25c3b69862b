"""What is wrong with a markups file, before it comes to Slicer's reader, which answers in its log, or crashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.roi_nodes import ROI_SUFFIX

_TEXTS = ("type", "name", "coordinateSystem", "coordinateUnits", "roiType", "labelFormat", "planeType", "sizeMode")
_COORDINATE_SYSTEMS = ("LPS", "RAS", "0", "1", "")
"""``vtkMRMLStorageNode``'s: 0 is RAS, 1 is LPS, as old files have them."""

_NUMBERS = {
    "center": (3,),
    "origin": (3,),
    "normal": (3,),
    "xAxis": (3,),
    "yAxis": (3,),
    "zAxis": (3,),
    "orientation": (9,),
    "size": (2, 3),
    "planeBounds": (4,),
    "bounds": (4, 6),
    "objectToBase": (16,),
    "baseToNode": (16,),
}
"""How many numbers a markup's list of this name may have."""

_STATES = ("undefined", "preview", "defined")
_COLOURS = ("color", "selectedColor")

_MOST_BYTES = 2**26
_MOST_MARKUPS = 1000
_MOST_POINTS = 20_000
"""Slicer's reader takes the square of these, in time and memory."""
_FARTHEST = 1e7
"""In mm: ten kilometres."""


def checked_markups(path: Path) -> list[dict[str, Any]]:
    """The markups of a file, with what matters of each for its place, name and colour, in types that Slicer expects.

    The file may be in any encoding of Unicode, with a byte order mark or without.

    Raises:
        InvalidPromptError: the file is missing, no markups file, or holds a value that cannot be.
    """
    if not path.is_file():
        raise InvalidPromptError(f"There is no file {path}. Check its path.")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidPromptError(f"{path} is larger than any markups file. Give one that 3D Slicer saved.")
        content = json.loads(path.read_bytes(), parse_constant=_no_number)
    except RecursionError as error:
        raise InvalidPromptError(f"{path} is not a markups file: it is nested too deeply. Save it again.") from error
    except (ValueError, OSError) as error:
        raise InvalidPromptError(f"{path} is not a markups file: {error}. Save it from 3D Slicer again.") from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list):
        raise InvalidPromptError(f"{path} holds no markups. Save one from 3D Slicer as {ROI_SUFFIX}.")
    if len(markups) > _MOST_MARKUPS:
        raise InvalidPromptError(f"{path} holds {len(markups)} markups. Give a file with {_MOST_MARKUPS} at most.")
    for markup in markups:
        if not isinstance(markup, dict) or "type" not in markup:
            raise InvalidPromptError(
                f"{path} holds something that is no markup: {str(markup)[:60]}. Save it from 3D Slicer again."
            )
    return [_checked(markup, path) for markup in markups]


def _checked(markup: dict[str, Any], path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key in _TEXTS:
        if key not in markup:
            continue
        if not isinstance(markup[key], str):
            _refuse(path, key, markup[key], "which is not a text")
        if key != "labelFormat":
            kept[key] = markup[key]
    # An unknown one would be taken for LPS, and the ROI for one in another place.
    if markup.get("coordinateSystem", "LPS") not in _COORDINATE_SYSTEMS:
        raise InvalidPromptError(
            f"A markup in {path} has the coordinateSystem {markup['coordinateSystem']!r}. Use LPS or RAS."
        )
    for key, counts in _NUMBERS.items():
        if key in markup:
            if not _is_numbers(markup[key], counts):
                _refuse(path, key, markup[key], f"which is not a list of {' or '.join(map(str, counts))} numbers in mm")
            kept[key] = markup[key]
    # Slicer's reader takes a negative size for a positive one.
    if markup["type"] == "ROI" and any(side <= 0 for side in kept.get("size", ())):
        raise InvalidPromptError(
            f"An ROI in {path} has the size {kept['size']} mm: every side must be longer than zero. Draw it again."
        )
    if "autoSizeScalingFactor" in markup and _is_numbers([markup["autoSizeScalingFactor"]], (1,)):
        kept["autoSizeScalingFactor"] = markup["autoSizeScalingFactor"]
    kept["controlPoints"] = _checked_points(markup.get("controlPoints", []), path)
    display = markup.get("display")
    if isinstance(display, dict):
        kept["display"] = {
            key: display[key]
            for key in _COLOURS
            if _is_numbers(display.get(key), (3,)) and all(0 <= share <= 1 for share in display[key])
        }
    return kept


def _checked_points(points: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        _refuse(path, "controlPoints", points, "which is not a list of points")
    if len(points) > _MOST_POINTS:
        raise InvalidPromptError(f"A markup in {path} has {len(points)} control points. Use {_MOST_POINTS} at most.")
    kept = []
    for point in points:
        state = point.get("positionStatus", "defined")
        if state not in _STATES:
            _refuse(path, "positionStatus", state, f"which is none of {', '.join(_STATES)}")
        position = point.get("position")
        if state == "defined" and not _is_numbers(position, (3,)):
            _refuse(path, "position", position, "which is not three numbers in mm")
        if _is_numbers(position, (3,)):
            kept.append({"position": position, "positionStatus": state})
        else:
            kept.append({"position": [0.0, 0.0, 0.0], "positionStatus": "undefined"})
    return kept


def _is_numbers(value: Any, counts: tuple[int, ...]) -> bool:
    """Whether this is a list of as many finite numbers as one of the counts, none of them beyond any patient."""
    return (
        isinstance(value, list)
        and len(value) in counts
        and all(type(each) in (int, float) and abs(each) <= _FARTHEST for each in value)
    )


def _refuse(path: Path, key: str, value: Any, why: str) -> None:
    text = repr(value)
    raise InvalidPromptError(
        f"A markup in {path} has the {key} {text if len(text) < 80 else text[:80] + '…'}, {why}. Save it from 3D "
        "Slicer again."
    )


def _no_number(name: str) -> float:
    raise ValueError(f"it holds the number {name}")
