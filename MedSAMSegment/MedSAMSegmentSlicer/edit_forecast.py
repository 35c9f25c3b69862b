"""What edits would change, before they are made: an undo state that changes nothing is not wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.segment_writer import (
    EditMode,
    SegmentEdit,
    Unchanged,
    modifier_labelmap,
    on_reference_grid,
    segment_mask,
    segments_under,
)


def why_unchanged(segmentation: Any, parameters: Any, edits: Sequence[SegmentEdit]) -> Unchanged | None:
    """Why edits, one after the other, would leave all segments as they are; None if they would change a voxel.

    The rules are those of ``vtkSlicerSegmentEditorLogic::ModifySegmentByLabelmap``. Where the editable area itself
    depends on what the first of several edits do, a change is assumed.

    Args:
        segmentation: ``vtkMRMLSegmentationNode`` with a reference geometry.
        parameters: ``vtkMRMLSegmentEditorNode``: editable area, intensity range, overwrite mode.
        edits: of one user action.

    Raises:
        SegmentWriteError: the segmentation has no reference geometry.
    """
    reason: Unchanged | None = Unchanged.NOTHING_FOUND
    # What is put back may be taken away again by what follows. Other edits are of different segments.
    together = any(edit.restores for edit in edits)
    for group in [edits] if together else [[edit] for edit in edits]:
        steps = [step for edit in group for step in _steps(segmentation, edit)]
        if steps:
            reason = _why_steps_change_nothing(segmentation, parameters, steps)
        if reason is None:
            return None
    return reason


def _why_steps_change_nothing(segmentation: Any, parameters: Any, steps: Sequence[_Step]) -> Unchanged | None:
    is_area = parameters.GetMaskMode() != segmentation.EditAllowedEverywhere
    if is_area and len(steps) > 1:
        return None
    now = _Segments(segmentation, parameters, MaskBlock.union([mask for _edit, mask, _adds in steps]))
    reasons = [now.apply(edit, mask, adds=adds) for edit, mask, adds in steps]
    if now.are_changed:
        return None
    # What the last one meets is what the user asked for; before it, earlier work is put back.
    return reasons[-1]


_Step = tuple[SegmentEdit, MaskBlock, bool]
"""What the engine is asked for: edit, mask on the reference grid, whether it is added."""


def _steps(segmentation: Any, edit: SegmentEdit) -> list[_Step]:
    region = edit.region if edit.mode is EditMode.REPLACE else None
    asked = [(region, False), (edit.block, edit.mode is not EditMode.SUBTRACT)]
    on_grid = [(mask and on_reference_grid(mask, segmentation), adds) for mask, adds in asked]
    return [(edit, mask, adds) for mask, adds in on_grid if mask is not None]


class _Segments:
    """What segments have in a place, as edits change it."""

    def __init__(self, segmentation: Any, parameters: Any, place: MaskBlock) -> None:
        self._segmentation = segmentation
        self._parameters = parameters
        self._place = place
        self._before: dict[str, npt.NDArray[np.bool_]] = {}
        self._now: dict[str, npt.NDArray[np.bool_]] = {}

    @property
    def are_changed(self) -> bool:
        return any((self._now[segment_id] != before).any() for segment_id, before in self._before.items())

    def apply(self, edit: SegmentEdit, mask: MaskBlock, *, adds: bool) -> Unchanged:
        """Change them; what would be the reason if nothing changed."""
        wanted = MaskBlock.union(
            [mask, MaskBlock(np.zeros_like(self._place.mask_kji), self._place.extent_ijk, self._place.grid)]
        ).mask_kji
        own = self._of(edit.segment_id)
        allowed, reason = wanted, Unchanged.ALREADY_SO
        if not edit.restores:
            limits = (
                (Unchanged.EDITABLE_AREA, self._area(edit.segment_id)),
                (Unchanged.INTENSITY_RANGE, self._in_range()),
            )
            for keeps, may in limits:
                left = allowed & may
                if not self._differs(own, left, adds=adds) and self._differs(own, allowed, adds=adds):
                    reason = keeps
                allowed = left
            single = self._parameters.GetMaskMode() == self._segmentation.EditAllowedInsideSingleSegment
            if single and not adds:
                # The engine lets everything of the segment itself be erased then.
                allowed = wanted
        if adds:
            if not edit.restores:
                for segment_id in self._overwritten(edit.segment_id):
                    self._now[segment_id] = self._of(segment_id) & ~allowed
            self._now[edit.segment_id] = self._of(edit.segment_id) | allowed
        else:
            self._now[edit.segment_id] = own & ~allowed
        return reason

    @staticmethod
    def _differs(own: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_], *, adds: bool) -> bool:
        return bool((mask & ~own).any() if adds else (mask & own).any())

    def _of(self, segment_id: str) -> npt.NDArray[np.bool_]:
        if segment_id not in self._now:
            voxels = segment_mask(self._segmentation, segment_id, self._place)
            self._before[segment_id] = self._now[segment_id] = voxels
        return self._now[segment_id]

    def _overwritten(self, segment_id: str) -> list[str]:
        """The others that give way here."""
        mode, display = self._parameters.GetOverwriteMode(), self._segmentation.GetDisplayNode()
        if mode == self._parameters.OverwriteNone:
            return []
        everywhere = MaskBlock(np.ones_like(self._place.mask_kji), self._place.extent_ijk, self._place.grid)
        there = {*segments_under(self._segmentation, everywhere), *self._now} - {segment_id}
        if mode == self._parameters.OverwriteVisibleSegments:
            return [each for each in there if display is not None and display.GetSegmentVisibility(each)]
        return list(there)

    def _area(self, segment_id: str) -> npt.NDArray[np.bool_]:
        """The editable area of a segment, as the engine makes it."""
        import slicer

        mode = self._parameters.GetMaskMode()
        if mode == self._segmentation.EditAllowedEverywhere:
            return np.ones_like(self._place.mask_kji)
        kept_out = slicer.vtkOrientedImageData()
        grid = modifier_labelmap(self._place, self._segmentation)
        area = self._parameters.GetMaskSegmentID()
        self._segmentation.GenerateEditMask(kept_out, mode, grid, segment_id, area or "")
        return _voxels(kept_out, self._place) == 0

    def _in_range(self) -> npt.NDArray[np.bool_]:
        """Where the source volume is in the editable range, once it is brought to the grid as the engine does it."""
        import slicer
        import vtk

        volume = self._parameters.GetSourceVolumeNode()
        if not self._parameters.GetSourceVolumeIntensityMask() or volume is None or volume.GetImageData() is None:
            return np.ones_like(self._place.mask_kji)
        extract = vtk.vtkImageExtractComponents()
        extract.SetInputData(volume.GetImageData())
        extract.SetComponents(0)
        extract.Update()
        source = slicer.vtkOrientedImageData()
        source.ShallowCopy(extract.GetOutput())
        ijk_to_ras = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(ijk_to_ras)
        source.SetGeometryFromImageToWorldMatrix(ijk_to_ras)
        to_segmentation = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
            volume.GetParentTransformNode(), self._segmentation.GetParentTransformNode(), to_segmentation
        )
        aligned = slicer.vtkOrientedImageData()
        slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
            source, modifier_labelmap(self._place, self._segmentation), aligned, True, False, to_segmentation,
            volume.GetImageBackgroundScalarComponentAsDouble(0),
        )  # fmt: skip
        low, high = self._parameters.GetSourceVolumeIntensityMaskRange()
        values = _voxels(aligned, self._place)
        return (values >= low) & (values <= high)


def _voxels(image: Any, place: MaskBlock) -> npt.NDArray:
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(place.mask_kji.shape)
