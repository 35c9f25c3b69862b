"""New segments, of which nothing is taken over from the segments before them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from MedSAMSegmentLib.errors import SegmentWriteError


def add_new_segment(segmentation: Any, name: str, color: tuple[float, float, float], segment_id: str = "") -> str:
    """Add an empty segment; the id of it. A name that is taken gets a number behind, as Slicer does it.

    Its terminology is what Slicer's *Add* button gives to the first segment of a segmentation: the segmentation's own
    default, else *Tissue*. Slicer's engine gives a later one the terminology of the segment before it, whatever that
    is: a structure would be exported under another one's code.

    Args:
        segmentation: ``vtkMRMLSegmentationNode``.
        name: what users read.
        color: red, green, blue, 0 to 1.
        segment_id: wanted; a new one if it is taken or empty.

    Raises:
        SegmentWriteError: Slicer did not add it.
    """
    import slicer

    known = segmentation.GetSegmentation()
    names = {known.GetNthSegment(n).GetName() for n in range(known.GetNumberOfSegments())}
    unique = unused_name(name, names)
    made = known.AddEmptySegment(segment_id, unique, color)
    if not made:
        raise SegmentWriteError(f"The segment {unique!r} cannot be added to {segmentation.GetName()!r}.")
    default = slicer.vtkSlicerTerminologiesModuleLogic.GetDefaultTerminologyEntryAsString(segmentation)
    known.GetSegment(made).SetTerminology(default or slicer.vtkSegment().GetTerminology())
    return made


def unused_name(name: str, taken: Collection[str]) -> str:
    """A name, or the first of ``name_1``, ``name_2``, … that is free."""
    unique, number = name, 1
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique
