"""Segments through a Segment Editor effect: the editor on the screen does the writing, its undo history included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from MedSAMSegmentLib.errors import SegmentWriteError
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.new_segment import add_new_segment, unused_name
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

    def write(self, edits: Sequence[SegmentEdit], *, is_begun: bool = False) -> list[WriteResult]:
        """See `SegmentWriter.write`.

        Args:
            edits: of one user action.
            is_begun: `add_segments` was called for the same action: it has saved the state for undo.
        """
        segmentation = self._segmentation()
        known = segmentation.GetSegmentation()
        for edit in edits:
            if known.GetSegment(edit.segment_id) is None:
                raise SegmentWriteError(
                    f"The segment {edit.segment_id!r} is not in {segmentation.GetName()!r} any more. Choose another "
                    "one and draw the box again."
                )
        if not is_begun:
            self._effect.saveStateForUndo()
        return [self._write(segmentation, edit) for edit in edits]

    def add_segments(self, wanted: Sequence[tuple[str, tuple[float, float, float]]]) -> list[str]:
        """Begin a user action with segments of these names and colours: those that exist are found, others are added.

        The state is saved for undo before: what is added goes again with what `write` puts into it.

        Returns:
            Their ids, in the same order, all different: the second of a name gets a number behind it.
        """
        segmentation = self._segmentation()
        self._effect.saveStateForUndo()
        ids: list[str] = []
        for name, color in wanted:
            found = self._other_of_name(name, ids)
            ids.append(found or add_new_segment(segmentation, name, color))
        return ids

    def _other_of_name(self, name: str, taken: Sequence[str]) -> str:
        """The first segment of a name, perhaps with a number behind, beside these; empty if there is none."""
        known = self._segmentation().GetSegmentation()
        names = [known.GetSegment(segment_id).GetName() for segment_id in taken]
        return str(known.GetSegmentIdBySegmentName(unused_name(name, names)))

    def _segmentation(self) -> Any:
        parameters = self._effect.parameterSetNode()
        segmentation = parameters.GetSegmentationNode() if parameters is not None else None
        if segmentation is None:
            raise SegmentWriteError("The Segment Editor has no segmentation any more. Choose one, then try again.")
        return segmentation

    def _write(self, segmentation: Any, edit: SegmentEdit) -> WriteResult:
        added = removed = 0
        if edit.mode is EditMode.REPLACE and edit.region is not None:
            removed -= self._modify(segmentation, edit, edit.region, EditMode.SUBTRACT)
        if edit.block is not None:
            if edit.mode is EditMode.SUBTRACT:
                removed -= self._modify(segmentation, edit, edit.block, EditMode.SUBTRACT)
            else:
                added += self._modify(segmentation, edit, edit.block, EditMode.ADD)
        return WriteResult(edit.segment_id, added, removed)

    def _modify(self, segmentation: Any, edit: SegmentEdit, mask: MaskBlock, mode: EditMode) -> int:
        """How many voxels the segment has got, or, as a negative number, lost."""
        block = on_reference_grid(mask, segmentation)
        if block is None:
            return 0
        before = segment_mask(segmentation, edit.segment_id, block)
        labelmap = modifier_labelmap(block, segmentation)
        # Its own extent is the modified one: the labelmap is as small as the mask.
        self._effect.modifySegmentByLabelmap(
            segmentation, edit.segment_id, labelmap, _ADD if mode is EditMode.ADD else _REMOVE, edit.restores
        )
        after = segment_mask(segmentation, edit.segment_id, block)
        check_taken(before, after, block, mode, edit.segment_id, masked=may_mask(self._effect.parameterSetNode()))
        return int(after.sum()) - int(before.sum())
