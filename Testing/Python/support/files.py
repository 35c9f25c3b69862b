"""Files as users have them: volumes and ROI markups, made independently of the project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SPHERE_CENTER_LPS = (4.0, -6.0, 20.0)
SPHERE_RADIUS_MM = 11.0
SPHERE_VOLUME_MM3 = 4 / 3 * np.pi * SPHERE_RADIUS_MM**3

PLANE_MARKUP = {
    "type": "Plane",
    "coordinateSystem": "RAS",
    "planeType": "pointNormal",
    "sizeMode": "auto",
    "center": [-4.0, 6.0, 19.0],
    "orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "controlPoints": [{"id": "1", "position": [-4.0, 6.0, 19.0], "positionStatus": "defined"}],
}
"""Axial, through the middle of a layer of the sphere's image. Not to be changed."""


def sphere_image(size: Sequence[int] = (40, 44, 24), spacing: Sequence[float] = (1.0, 1.0, 2.0)) -> sitk.Image:
    """A bright sphere (100) on dark ground (0), int16, placed so that the sphere lies well inside."""
    image = sitk.Image(list(size), sitk.sitkInt16)
    image.SetSpacing(list(spacing))
    half = [(n - 1) * step / 2 for n, step in zip(size, spacing, strict=True)]
    image.SetOrigin([c - h for c, h in zip(SPHERE_CENTER_LPS, half, strict=True)])
    k, j, i = np.indices(tuple(reversed(size)))
    points = np.stack([i, j, k], axis=-1) * np.array(spacing) + np.array(image.GetOrigin())
    inside = np.linalg.norm(points - np.array(SPHERE_CENTER_LPS), axis=-1) <= SPHERE_RADIUS_MM
    filled = sitk.GetImageFromArray((inside * 100).astype(np.int16))
    filled.CopyInformation(image)
    return filled


def write_sphere(path: Path) -> Path:
    sitk.WriteImage(sphere_image(), str(path))
    return path


def roi_markup(
    center_lps: Sequence[float] = SPHERE_CENTER_LPS,
    size: Sequence[float] = (24.0, 24.0, 24.0),
    color: Sequence[float] = (0.2, 0.8, 0.4),
) -> dict:
    """One ROI as it stands in the list ``markups`` of a .mrk.json."""
    return {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "roiType": "Box",
        "center": list(center_lps),
        "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
        "size": list(size),
        "controlPoints": [{"id": "1", "position": list(center_lps), "positionStatus": "defined"}],
        "display": {"color": list(color), "selectedColor": list(color)},
    }


def markup(kind: str, *points_lps: Sequence[float]) -> dict:
    """A markup of points, such as a Line or ClosedCurve, as it stands in the list ``markups`` of a .mrk.json."""
    return {
        "type": kind,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": [
            {"id": str(n), "position": list(point), "positionStatus": "defined"}
            for n, point in enumerate(points_lps, start=1)
        ],
    }


def write_rois(path: Path, *markups: dict) -> Path:
    """A .mrk.json with these markups; one default ROI around the sphere if none is given."""
    schema = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
    path.write_text(json.dumps({"@schema": schema, "markups": list(markups) or [roi_markup()]}))
    return path
