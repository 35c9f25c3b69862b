"""ROI markups, from the scene or from files, as boxes in the patient."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentSlicer.matrices import node_to_world, to_numpy
from MedSAMSegmentSlicer.scene import headless_scene

ROI_SUFFIX = ".mrk.json"


@dataclass(frozen=True)
class Roi:
    """What a segment is made from and named after.

    Attributes:
        name: of the markup.
        box: in the world, parent transforms included.
        color: red, green and blue, 0 to 1: as the markup is shown when selected, which is how it is placed.
    """

    name: str
    box: OrientedBox
    color: tuple[float, float, float]


def roi_from_node(node: Any) -> Roi:
    """A ``vtkMRMLMarkupsROINode`` as it lies in the world.

    Raises:
        InvalidPromptError: it has not been placed, or a side is not longer than zero.
        InvalidImageError: its parent transform is not linear.
    """
    name = node.GetName()
    if node.GetNumberOfDefinedControlPoints() == 0:
        raise InvalidPromptError(f"The ROI {name!r} has not been placed yet. Place it in a slice view.")
    node_to_world(node)  # raises for a transform that is not linear, which the matrix below would ignore
    try:
        box = OrientedBox(to_numpy(node.GetObjectToWorldMatrix()), node.GetSize())
    except InvalidPromptError as error:
        raise InvalidPromptError(f"The ROI {name!r} cannot be used. {error}") from error
    display = node.GetDisplayNode()
    color = (1.0, 0.5, 0.5) if display is None else display.GetSelectedColor()
    return Roi(name, box, (float(color[0]), float(color[1]), float(color[2])))


def read_rois(path: Path) -> list[Roi]:
    """All ROIs of a markups file; other markups in it are passed over.

    Markups files hold no names: an ROI is named after its file, further ones in it with a number behind.

    Raises:
        InvalidPromptError: the file is missing, not a markups file, or has no ROI that can be used.
    """
    _check_readable(path)
    with headless_scene() as scene:
        scene.markups.LoadMarkups(str(path), path.name.removesuffix(ROI_SUFFIX))
        nodes = scene.mrml.GetNodesByClass("vtkMRMLMarkupsROINode")
        rois = [roi_from_node(nodes.GetItemAsObject(n)) for n in range(nodes.GetNumberOfItems())]
    if not rois:
        raise InvalidPromptError(f"There is no ROI in {path}. Save one from 3D Slicer (module Markups, ROI).")
    return [replace(roi, name=f"{roi.name}_{n}") if n else roi for n, roi in enumerate(rois)]


def _check_readable(path: Path) -> None:
    """What Slicer's reader would answer with a line in its log."""
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
        size = markup.get("size") if isinstance(markup, dict) and markup.get("type") == "ROI" else None
        # Slicer's reader takes a negative size for a positive one.
        if size is not None and not all(isinstance(side, (int, float)) and side > 0 for side in size):
            raise InvalidPromptError(
                f"An ROI in {path} has the size {size} mm: every side must be longer than zero. Draw it again."
            )
