"""Which segment belongs to an ROI: segmented again, an ROI continues its own segment.

ROI and volume get a key as an attribute, and the segment both keys as a tag. They survive renaming, saving, and loading
into a scene where other nodes have the same ids.
"""

from __future__ import annotations

import uuid
from typing import Any

_ATTRIBUTE = "MedSAMSegment.Key"
_TAG = "MedSAMSegment.roi"


def segment_of_roi(segmentation: Any, roi: Any, volume: Any, taken: list[str]) -> str | None:
    """The id of the segment that an ROI continues; None if it needs a new one.

    It is the segment that was made from this ROI in this volume, whatever the names are now; else one with the ROI's
    name, unless that was made from another ROI or volume of the scene.

    Args:
        segmentation: ``vtkMRMLSegmentationNode``.
        roi: ``vtkMRMLMarkupsNode``.
        volume: ``vtkMRMLScalarVolumeNode`` that is segmented.
        taken: ids that other ROIs of the same run continue.
    """
    segments = segmentation.GetSegmentation()
    wanted = [_key(roi), _key(volume)]
    free = [segments.GetNthSegmentID(n) for n in range(segments.GetNumberOfSegments())]
    free = [segment_id for segment_id in free if segment_id not in taken]
    for segment_id in free:
        if _keys_on(segments.GetSegment(segment_id)) == wanted:
            return segment_id
    for segment_id in free:
        segment = segments.GetSegment(segment_id)
        if segment.GetName() == roi.GetName() and not _is_of_another(_keys_on(segment), roi, volume):
            return segment_id
    return None


def mark_segment(segment: Any, roi: Any, volume: Any) -> None:
    """Note on a ``vtkSegment`` which ROI and volume it was made from."""
    segment.SetTag(_TAG, f"{_key(roi)} {_key(volume)}")


def _is_of_another(keys: list[str], roi: Any, volume: Any) -> bool:
    """Whether a segment's keys are those of another ROI or volume that is still in the scene."""
    return any(
        key != _key(node) and key in [other.GetAttribute(_ATTRIBUTE) for other in _like(node)]
        for key, node in zip(keys, (roi, volume), strict=False)
    )


def _keys_on(segment: Any) -> list[str]:
    """The keys of the ROI and of the volume; none for a segment that was made in another way."""
    import vtk

    value = vtk.mutable("")
    return str(value).split() if segment.GetTag(_TAG, value) else []


def _key(node: Any) -> str:
    """A node's own key. A copy, which has got that of the node it was made from, gets a new one."""
    key = node.GetAttribute(_ATTRIBUTE)
    first = next((other for other in _like(node) if other.GetAttribute(_ATTRIBUTE) == key), node)
    if key is None or first is not node:
        key = uuid.uuid4().hex
        node.SetAttribute(_ATTRIBUTE, key)
    return str(key)


def _like(node: Any) -> list[Any]:
    """The nodes of the same class in its scene, itself included."""
    scene = node.GetScene()
    count = 0 if scene is None else scene.GetNumberOfNodesByClass(node.GetClassName())
    return [scene.GetNthNodeByClass(n, node.GetClassName()) for n in range(count)]
