"""ROIs from markups files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.markups_check import checked_names
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
    given = checked_names(path)
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
