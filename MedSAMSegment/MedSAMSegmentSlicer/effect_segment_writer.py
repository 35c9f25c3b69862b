"""Segments through a Segment Editor effect: the editor on the screen does the writing, its undo history included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib.errors import SegmentWriteError
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.edit_forecast import why_unchanged
from MedSAMSegmentSlicer.new_segment import add_new_segment, unused_name
from MedSAMSegmentSlicer.segment_writer import (
    EditMode,
    SegmentEdit,
    WriteResult,
    check_taken,
    intensity_range_lifted,
    may_mask,
    modifier_labelmap,
    on_reference_grid,
    segment_mask,
)

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.editor_requests import EditorNodes

_ADD, _REMOVE = 1, 2
"""``qSlicerSegmentEditorAbstractEffect.ModificationModeAdd`` and ``…Remove``: Qt's class is not for this room."""


class EffectSegmentWriter:
    """Implements `SegmentWriter` for the segmentation of an effect's editor.

    Args:
        scripted_effect: ``qSlicerSegmentEditorScriptedEffect``, whose editor is there; it need not be active.
        nodes: what the masks were asked for, if the editor may work on something else by now. What is written to a
            segmentation that it has left is not in its undo history, which Slicer empties when it is left.
    """

    def __init__(self, scripted_effect: Any, nodes: EditorNodes | None = None) -> None:
        self._effect = scripted_effect
        self._nodes = nodes
        self._state_is_saved = False

    def write(self, edits: Sequence[SegmentEdit], *, is_begun: bool = False) -> list[WriteResult]:
        """See `SegmentWriter.write`. Where no voxel would change, no state is saved for undo.

        Args:
            edits: of one user action.
            is_begun: `add_segments` was called for the same action: it has saved the state for undo if it added any.
        """
        segmentation = self._segmentation()
        known = segmentation.GetSegmentation()
        for edit in edits:
            if known.GetSegment(edit.segment_id) is None:
                raise SegmentWriteError(
                    f"The segment {edit.segment_id!r} is not in {segmentation.GetName()!r} any more. Choose another "
                    "one and draw the box again."
                )
        self._check_masking()
        is_saved, self._state_is_saved = is_begun and self._state_is_saved, False
        unchanged = why_unchanged(segmentation, self._effect.parameterSetNode(), edits)
        if unchanged is not None:
            return [WriteResult(edit.segment_id, 0, 0, unchanged) for edit in edits]
        if not is_saved and self._is_in_editor():
            self._effect.saveStateForUndo()
        return [self._write(segmentation, edit) for edit in edits]

    def add_segments(self, wanted: Sequence[tuple[str, tuple[float, float, float]]]) -> list[str]:
        """Begin a user action with segments of these names and colours: those that exist are found, others are added.

        If any is added, the state is saved for undo before: it goes again with what `write` puts into it.

        Returns:
            Their ids, in the same order, all different: the second of a name gets a number behind it.
        """
        segmentation = self._segmentation()
        self._check_masking()
        self._state_is_saved = False
        ids: list[str] = []
        for name, color in wanted:
            found = self._other_of_name(name, ids)
            if not found and not self._state_is_saved and self._is_in_editor():
                self._effect.saveStateForUndo()
                self._state_is_saved = True
            ids.append(found or add_new_segment(segmentation, name, color))
        return ids

    def _other_of_name(self, name: str, taken: Sequence[str]) -> str:
        """The first segment of a name, perhaps with a number behind, beside these; empty if there is none."""
        known = self._segmentation().GetSegmentation()
        names = [known.GetSegment(segment_id).GetName() for segment_id in taken]
        return str(known.GetSegmentIdBySegmentName(unused_name(name, names)))

    def _segmentation(self) -> Any:
        if self._nodes is not None:
            return self._nodes.segmentation
        parameters = self._effect.parameterSetNode()
        segmentation = parameters.GetSegmentationNode() if parameters is not None else None
        if segmentation is None:
            raise SegmentWriteError("The Segment Editor has no segmentation any more. Choose one, then try again.")
        return segmentation

    def _is_in_editor(self) -> bool:
        """Whether the editor still works on the segmentation."""
        return self._nodes is None or self._effect.parameterSetNode().GetSegmentationNode() is self._nodes.segmentation

    def _check_masking(self) -> None:
        """Whether the editor's masking is that of the segmentation and the image of the masks.

        Raises:
            SegmentWriteError: it is for others, and might keep voxels out, or let them in, wrongly.
        """
        parameters = self._effect.parameterSetNode()
        if parameters is None:
            raise SegmentWriteError("The Segment Editor was closed. Open it, and segment again.")
        if self._nodes is None:
            return
        by_area, by_intensity = parameters.GetMaskMode() != 0, bool(parameters.GetSourceVolumeIntensityMask())
        is_image_other = parameters.GetSourceVolumeNode() is not self._nodes.volume
        if (by_intensity and is_image_other) or ((by_area or by_intensity) and not self._is_in_editor()):
            segment = self._nodes.segmentation.GetSegmentation().GetSegment(self._nodes.segment_id)
            raise SegmentWriteError(
                f"Nothing was written to {segment.GetName()!r}: another image or segmentation was chosen meanwhile, "
                "and what is set under Masking is for that one. Choose the one before, and segment again."
            )

    @contextmanager
    def _selected(self, segment_id: str) -> Iterator[None]:
        """The engine takes the segment that is selected, not the one that it modifies, as the one that is edited: it
        belongs to no area that is closed to editing. Select another one for as long as it is written to."""
        parameters = self._effect.parameterSetNode()
        selected = parameters.GetSelectedSegmentID()
        if parameters.GetMaskMode() == 0 or selected == segment_id or not self._is_in_editor():
            yield
            return
        was_modifying = parameters.StartModify()
        try:
            parameters.SetSelectedSegmentID(segment_id)
            yield
        finally:
            parameters.SetSelectedSegmentID(selected)
            parameters.EndModify(was_modifying)

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
        parameters = self._effect.parameterSetNode()
        lifted = intensity_range_lifted(parameters) if edit.restores else nullcontext()
        with self._selected(edit.segment_id), lifted:
            # Its own extent is the modified one: the labelmap is as small as the mask.
            self._effect.modifySegmentByLabelmap(
                segmentation, edit.segment_id, labelmap, _ADD if mode is EditMode.ADD else _REMOVE, edit.restores
            )
        after = segment_mask(segmentation, edit.segment_id, block)
        masked = not edit.restores and may_mask(parameters)
        check_taken(before, after, block, mode, edit.segment_id, masked=masked)
        return int(after.sum()) - int(before.sum())
