"""ROIs from markups files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.markups_files import loaded_markups
from MedSAMSegmentSlicer.roi_nodes import ROI_SUFFIX, Roi
from MedSAMSegmentSlicer.roi_selection import is_roi_source
from MedSAMSegmentSlicer.roi_sources import roi_from_markup


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
    file_name = path.name.removesuffix(ROI_SUFFIX)
    rois: list[Roi] = []
    with loaded_markups(path) as markups:
        for markup in markups:
            if is_roi_source(markup.node):
                name = markup.name or (f"{file_name}_{len(rois)}" if rois else file_name)
                markup.node.SetName(name)  # errors name it
                rois.append(replace(roi_from_markup(markup.node, thickness_mm), name=name))
    if not rois:
        raise InvalidPromptError(
            f"There is no ROI in {path}, nor a line, plane or closed curve. Save one from 3D Slicer (module Markups)."
        )
    return rois
