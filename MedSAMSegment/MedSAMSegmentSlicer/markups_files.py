"""Markups nodes from files, by Slicer's own reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.markups_check import checked_markups
from MedSAMSegmentSlicer.roi_nodes import ROI_SUFFIX
from MedSAMSegmentSlicer.scene import headless_scene

_KNOWN_TYPES = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI")


@dataclass(frozen=True)
class LoadedMarkup:
    """A markup of a file.

    Attributes:
        node: ``vtkMRMLMarkupsNode``, as long as the file is open.
        name: that the file gives it; empty where it gives none.
    """

    node: Any
    name: str


@contextmanager
def loaded_markups(path: Path) -> Iterator[list[LoadedMarkup]]:
    """The markups of a file, in its order, in a scene of their own; those of types that Slicer lacks are left out.

    Slicer's reader gets a copy with what was checked: it takes UTF-8 without a byte order mark only, ends the process
    at some damaged values, and takes the name that it is given for a format in which ``%`` means something.

    Raises:
        InvalidPromptError: the file is missing or is not a markups file, or Slicer cannot read a markup in it.
    """
    known = [markup for markup in checked_markups(path) if markup["type"] in _KNOWN_TYPES]
    with headless_scene() as scene, TemporaryDirectory(prefix="medsam-segment-") as folder:
        copy = Path(folder) / f"markups{ROI_SUFFIX}"
        copy.write_text(json.dumps({"markups": known}), encoding="utf-8")
        if known:
            scene.markups.LoadMarkups(str(copy), "markups")
        nodes = scene.mrml.GetNodesByClass("vtkMRMLMarkupsNode")
        nodes.UnRegister(None)
        if nodes.GetNumberOfItems() != len(known):
            raise InvalidPromptError(
                f"3D Slicer can read {nodes.GetNumberOfItems()} of the {len(known)} markups in {path} only. Save them "
                "again."
            )
        yield [LoadedMarkup(nodes.GetItemAsObject(n), markup.get("name", "")) for n, markup in enumerate(known)]
