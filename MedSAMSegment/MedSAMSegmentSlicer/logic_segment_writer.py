"""Segments through ``vtkSlicerSegmentEditorLogic``: without a Segment Editor on the screen, or without a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, get_args

from MedSAMSegmentLib.errors import InvalidOptionError, SegmentWriteError
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.new_segment import add_new_segment
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

Overwrite = Literal["all", "visible", "none"]


@contextmanager
def logic_segment_writer(
    scene: Any, segmentation: Any, source_volume: Any, *, overwrite: Overwrite = "none"
) -> Iterator[LogicSegmentWriter]:
    """A writer with an editor of its own, which is gone afterwards; no other Segment Editor is touched.

    Args:
        scene: ``vtkMRMLScene`` with both nodes.
        segmentation: ``vtkMRMLSegmentationNode``; gets the volume's grid as reference geometry if it has none.
        source_volume: ``vtkMRMLScalarVolumeNode``.
        overwrite: which other segments give way. By default none does: segments may overlap, and nothing is lost.

    Raises:
        InvalidOptionError: no such overwrite mode.
        SegmentWriteError: the segmentation's source representation cannot become a labelmap.
    """
    import slicer

    if overwrite not in get_args(Overwrite):
        raise InvalidOptionError(
            f"There is no overwrite mode {overwrite!r}. Use one of: {', '.join(get_args(Overwrite))}."
        )
    editor = slicer.vtkSlicerSegmentEditorLogic()
    editor.SetMRMLScene(scene)
    parameters = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    parameters.SetHideFromEditors(True)
    parameters.SetOverwriteMode(
        {
            "all": parameters.OverwriteAllSegments,
            "visible": parameters.OverwriteVisibleSegments,
            "none": parameters.OverwriteNone,
        }[overwrite]
    )
    try:
        if not segmentation.GetSegmentation().GetConversionParameter("Reference image geometry"):
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(source_volume)
        editor.SetSegmentEditorNode(parameters)
        editor.SetSegmentationNode(segmentation)
        editor.SetSourceVolumeNode(source_volume)
        if not editor.SetSourceRepresentationToBinaryLabelMap():
            raise SegmentWriteError(
                f"The segmentation {segmentation.GetName()!r} cannot be converted to a binary labelmap. Do that in the "
                "module Segmentations, section Representations, or choose another one."
            )
        yield LogicSegmentWriter(editor, segmentation)
    finally:
        editor.SetSegmentEditorNode(None)
        scene.RemoveNode(parameters)


class LogicSegmentWriter:
    """Implements `SegmentWriter`. Made with `logic_segment_writer`.

    Args:
        editor: ``vtkSlicerSegmentEditorLogic`` with its nodes set.
        segmentation: ``vtkMRMLSegmentationNode``, the editor's.
    """

    def __init__(self, editor: Any, segmentation: Any) -> None:
        self.editor = editor
        self._segmentation = segmentation

    def add_segment(self, name: str, color: tuple[float, float, float]) -> str:
        """Add an empty segment; the id of it. A name that is taken gets a number behind, as Slicer does it.

        Raises:
            SegmentWriteError: the engine did not add it.
        """
        # The frames of a sequence know each other's segments by their ids.
        return add_new_segment(self._segmentation, name, color, segment_id=name)

    def write(self, edits: Sequence[SegmentEdit]) -> list[WriteResult]:
        """See `SegmentWriter.write`."""
        for edit in edits:
            if self._segmentation.GetSegmentation().GetSegment(edit.segment_id) is None:
                raise SegmentWriteError(
                    f"The segment {edit.segment_id!r} is not in {self._segmentation.GetName()!r} any more: choose "
                    "another."
                )
        self.editor.SaveStateForUndo()
        return [self._write(edit) for edit in edits]

    def undo(self) -> None:
        """Take the last `write` back."""
        self.editor.Undo()

    def redo(self) -> None:
        """Make the last `write` that was taken back again."""
        self.editor.Redo()

    def _write(self, edit: SegmentEdit) -> WriteResult:
        self.editor.SetCurrentSegmentID(edit.segment_id)
        added = removed = 0
        if edit.mode is EditMode.REPLACE and edit.region is not None:
            removed += -self._modify(edit, edit.region, EditMode.SUBTRACT)
        if edit.block is not None:
            if edit.mode is EditMode.SUBTRACT:
                removed += -self._modify(edit, edit.block, EditMode.SUBTRACT)
            else:
                added += self._modify(edit, edit.block, EditMode.ADD)
        return WriteResult(edit.segment_id, added, removed)

    def _modify(self, edit: SegmentEdit, mask: MaskBlock, mode: EditMode) -> int:
        """How many voxels the segment has got, or, as a negative number, lost."""
        block = on_reference_grid(mask, self._segmentation)
        if block is None:
            return 0
        before = segment_mask(self._segmentation, edit.segment_id, block)
        labelmap = modifier_labelmap(block, self._segmentation)
        adds = mode is EditMode.ADD
        modification = self.editor.ModificationModeAdd if adds else self.editor.ModificationModeRemove
        parameters = self.editor.GetSegmentEditorNode()
        with intensity_range_lifted(parameters) if edit.restores else nullcontext():
            self.editor.ModifySegmentByLabelmap(
                self._segmentation, edit.segment_id, labelmap, modification, block.extent_ijk, True, edit.restores
            )
        after = segment_mask(self._segmentation, edit.segment_id, block)
        masked = not edit.restores and may_mask(parameters)
        check_taken(before, after, block, mode, edit.segment_id, masked=masked)
        return int(after.sum()) - int(before.sum())
