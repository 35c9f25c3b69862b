"""ROIs from markups files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.roi_nodes import ROI_SUFFIX, Roi
from MedSAMSegmentSlicer.roi_selection import is_roi_source
from MedSAMSegmentSlicer.roi_sources import roi_from_markup
from MedSAMSegmentSlicer.scene import headless_scene


def read_rois(path: Path, thickness_mm: float | None = None) -> list[Roi]:
    """The ROIs of a markups file, in its order, and those that its lines, planes and closed curves stand for.

    Every markup that can stand for an ROI counts, beside ROIs too: Slicer saves one markup a file, so whoever names a
    file with a line means the line. Points, angles and open curves surround nothing; they are passed over.

    Slicer reads names in markups files but does not write them: an ROI without one is named after its file, further
    ones in it with a number behind.

    Args:
        path: a .mrk.json file.
        thickness_mm: see `roi_from_markup`.

    Raises:
        InvalidPromptError: the file is missing, not a markups file, has nothing that can stand for an ROI, or something
            that would but was not placed.
    """
    given = _checked_names(path)
    with headless_scene() as scene:
        scene.markups.LoadMarkups(str(path), path.name.removesuffix(ROI_SUFFIX))
        nodes = scene.mrml.GetNodesByClass("vtkMRMLMarkupsNode")
        nodes.UnRegister(None)
        markups = [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
        rois = [roi_from_markup(node, thickness_mm) for node in markups if is_roi_source(node)]
    if not rois:
        raise InvalidPromptError(
            f"There is no ROI in {path}, nor a line, plane or closed curve. Save one from 3D Slicer (module Markups)."
        )
    name = path.name.removesuffix(ROI_SUFFIX)
    return [roi if roi.name in given else replace(roi, name=f"{name}_{n}" if n else name) for n, roi in enumerate(rois)]


_TEXTS = ("type", "name", "coordinateSystem", "roiType", "labelFormat")
_COORDINATE_SYSTEMS = ("LPS", "RAS", "0", "1", "")
"""``vtkMRMLStorageNode``'s: 0 is RAS, 1 is LPS, as old files have them."""


def _checked_names(path: Path) -> set[str]:
    """The names that a file gives its markups, if Slicer's reader can read it.

    Raises:
        InvalidPromptError: what that reader would answer with a line in its log, or not at all.
    """
    if not path.is_file():
        raise InvalidPromptError(f"There is no file {path}. Check the path of the ROI.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InvalidPromptError(
            f"{path} is not a markups file: {error}. Save the ROI from 3D Slicer again."
        ) from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list):
        raise InvalidPromptError(f"{path} holds no markups. Save the ROI from 3D Slicer as {ROI_SUFFIX}.")
    for markup in markups:
        if not isinstance(markup, dict) or "type" not in markup:
            raise InvalidPromptError(
                f"{path} holds something that is no markup: {str(markup)[:60]}. Save the ROI from 3D Slicer again."
            )
        for key in _TEXTS:
            # Slicer's reader ends the whole process at a text that is none.
            if not isinstance(markup.get(key, ""), str):
                raise InvalidPromptError(
                    f"A markup in {path} has the {key} {markup[key]!r}, which is not a text. Save the ROI from 3D "
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
