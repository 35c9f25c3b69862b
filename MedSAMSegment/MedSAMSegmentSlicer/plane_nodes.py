"""Planes that a user names: plane markups, from the scene or from files, or six numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentSlicer.markups_files import loaded_markups
from MedSAMSegmentSlicer.roi_nodes import ROI_SUFFIX

_FARTHEST = 1e7
"""In mm."""


@dataclass(frozen=True)
class NamedPlane:
    """A plane without borders: a normal and a point on it, each (3,) in RAS mm."""

    normal_ras: npt.NDArray[np.float64]
    point_ras: npt.NDArray[np.float64]


def plane_from_node(node: Any) -> NamedPlane:
    """A ``vtkMRMLMarkupsPlaneNode`` as it lies in the world.

    Raises:
        InvalidOptionError: it has not been placed.
    """
    if not node.GetIsPlaneValid():
        raise InvalidOptionError(f"The plane {node.GetName()!r} has not been placed yet. Place it in a view.")
    return NamedPlane(np.array(node.GetNormalWorld()), np.array(node.GetCenterWorld()))


def parse_plane(text: str) -> NamedPlane:
    """A plane from a markups file, or from ``NX,NY,NZ X,Y,Z``: its normal, and a point on it, in RAS mm.

    Raises:
        InvalidOptionError: it is neither.
        InvalidPromptError: the file is missing, or is not a markups file.
    """
    if text.endswith(ROI_SUFFIX):
        return _read_plane(Path(text))
    try:
        normal, point = (np.array([float(value) for value in part.split(",")]) for part in text.split())
    except ValueError:
        normal = point = np.empty(0)
    if normal.shape != (3,) or point.shape != (3,):
        raise InvalidOptionError(
            f"There is no plane {text!r}. Use auto, axial, sagittal, coronal, a markups plane ({ROI_SUFFIX}), or a "
            "normal and a point in RAS mm such as '0,0.7,0.7 10,-20,35'."
        )
    if not (np.abs((*normal, *point)) <= _FARTHEST).all() or np.linalg.norm(normal) < 1e-6:
        raise InvalidOptionError(
            f"The plane {text!r} has no normal, or lies beyond anybody. Use a normal such as 0,0.7,0.7 and a point "
            "in RAS mm."
        )
    return NamedPlane(normal, point)


def _read_plane(path: Path) -> NamedPlane:
    with loaded_markups(path) as markups:
        planes = [markup for markup in markups if markup.node.IsA("vtkMRMLMarkupsPlaneNode")]
        if not planes:
            raise InvalidOptionError(f"There is no plane in {path}. Save one from 3D Slicer (module Markups, Plane).")
        if len(planes) > 1:
            raise InvalidOptionError(
                f"There are {len(planes)} planes in {path}. Give a file with the one that is meant."
            )
        (plane,) = planes
        plane.node.SetName(plane.name or path.name.removesuffix(ROI_SUFFIX))
        return plane_from_node(plane.node)
