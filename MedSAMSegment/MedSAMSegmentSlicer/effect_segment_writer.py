"""Segments through a Segment Editor effect: the editor on the screen does the writing, its undo history included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from MedSAMSegmentLib.errors import SegmentWriteError
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.segment_writer import (
    EditMode,
    SegmentEdit,
    WriteResult,
    check_taken,
    may_mask,
    modifier_labelmap,
    on_reference_grid,
    segment_mask,
)

_ADD, _REMOVE = 1, 2
"""``qSlicerSegmentEditorAbstractEffect.ModificationModeAdd`` and ``…Remove``: Qt's class is not for this room."""


class EffectSegmentWriter:
    """Implements `SegmentWriter` for the segmentation of an effect's editor.

    Args:
        scripted_effect: ``qSlicerSegmentEditorScriptedEffect``, active.
    """

    def __init__(self, scripted_effect: Any) -> None:
        self._effect = scripted_effect

    def write(self, edits: Sequence[SegmentEdit]) -> list[WriteResult]:
        """See `SegmentWriter.write`."""
        segmentation = self._segmentation()
        known = segmentation.GetSegmentation()
        for edit in edits:
            if known.GetSegment(edit.segment_id) is None:
                raise SegmentWriteError(
                    f"The segment {edit.segment_id!r} is not in {segmentation.GetName()!r} any more. Choose another "
                    "one and draw the box again."
                )
        self._effect.saveStateForUndo()
        return [self._write(segmentation, edit) for edit in edits]

    def add_segments(self, wanted: Sequence[tuple[str, tuple[float, float, float]]]) -> list[str]:
        """Segments of these names and colours, in the same order: those that exist are found, the others are added.

        Called before `write`; what it adds is part of the state that `write` saves for undo, empty.
        """
        segmentation = self._segmentation().GetSegmentation()
        ids = []
        for name, color in wanted:
            segment_id = segmentation.GetSegmentIdBySegmentName(name)
            if not segment_id:
                segment_id = segmentation.AddEmptySegment("", name, color)
            ids.append(segment_id)
        return ids

    def _segmentation(self) -> Any:
        parameters = self._effect.parameterSetNode()
        segmentation = parameters.GetSegmentationNode() if parameters is not None else None
        if segmentation is None:
            raise SegmentWriteError("The Segment Editor has no segmentation any more. Choose one, then try again.")
        return segmentation

    def _write(self, segmentation: Any, edit: SegmentEdit) -> WriteResult:
        added = removed = 0
        if edit.mode is EditMode.REPLACE and edit.region is not None:
            removed -= self._modify(segmentation, edit.segment_id, edit.region, EditMode.SUBTRACT)
        if edit.block is not None:
            if edit.mode is EditMode.SUBTRACT:
                removed -= self._modify(segmentation, edit.segment_id, edit.block, EditMode.SUBTRACT)
            else:
                added += self._modify(segmentation, edit.segment_id, edit.block, EditMode.ADD)
        return WriteResult(edit.segment_id, added, removed)

    def _modify(self, segmentation: Any, segment_id: str, mask: MaskBlock, mode: EditMode) -> int:
        """How many voxels the segment has got, or, as a negative number, lost."""
        block = on_reference_grid(mask, segmentation)
        if block is None:
            return 0
        before = segment_mask(segmentation, segment_id, block)
        labelmap = modifier_labelmap(block, segmentation)
        # Its own extent is the modified one: the labelmap is as small as the mask.
        self._effect.modifySegmentByLabelmap(
            segmentation, segment_id, labelmap, _ADD if mode is EditMode.ADD else _REMOVE
        )
        after = segment_mask(segmentation, segment_id, block)
        check_taken(before, after, block, mode, segment_id, masked=may_mask(self._effect.parameterSetNode()))
        return int(after.sum()) - int(before.sum())
