"""How masks reach segments: what both ways into Slicer's segment editing engine have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import SegmentWriteError
from MedSAMSegmentLib.geometry.block_resampling import block_on_grid
from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from MedSAMSegmentSlicer.matrices import node_to_world, to_numpy, to_vtk


class EditMode(Enum):
    """What a mask does to a segment."""

    ADD = "add"
    SUBTRACT = "subtract"
    REPLACE = "replace"
    """Within the edit's region, the segment becomes the mask; outside of it, it stays."""


@dataclass(frozen=True)
class SegmentEdit:
    """A mask for a segment.

    Attributes:
        segment_id: not its name.
        block: what to add or subtract; None for an empty mask, which makes sense with a region to replace in.
        mode: what the mask does.
        region: with `EditMode.REPLACE`, where the segment is replaced: the voxels of the slices that were segmented.
        restores: puts back what an earlier edit changed: editable area and intensity range have no say, and no other
            segment gives way.
    """

    segment_id: str
    block: MaskBlock | None
    mode: EditMode = EditMode.ADD
    region: MaskBlock | None = None
    restores: bool = False


class Unchanged(Enum):
    """Why an edit changes no voxel."""

    NOTHING_FOUND = "the mask is empty, or lies outside of the segmentation's grid"
    ALREADY_SO = "the segment is like that already"
    EDITABLE_AREA = "the editable area keeps the mask out"
    INTENSITY_RANGE = "the editable intensity range keeps the mask out"


@dataclass(frozen=True)
class WriteResult:
    """What an edit did. Masking can keep voxels from changing.

    Attributes:
        segment_id: of the edit.
        added: voxels that the segment got.
        removed: voxels that it lost.
        unchanged: why the whole user action changed nothing, and is no step of *Undo*; None if it changed a voxel.
    """

    segment_id: str
    added: int
    removed: int
    unchanged: Unchanged | None = None


class SegmentWriter(Protocol):
    """Writes masks through Slicer's engine: masking, editable area and overwrite mode are honoured."""

    def write(self, edits: Sequence[SegmentEdit]) -> list[WriteResult]:
        """Make all edits of one user action: one undo state.

        Raises:
            SegmentWriteError: the engine did not take a mask.
        """
        ...


def reference_grid(segmentation: Any) -> VolumeGeometry:
    """The voxel grid that a segmentation's labelmaps lie on, in the world.

    Raises:
        SegmentWriteError: it has none.
        InvalidImageError: its parent transform is not linear.
    """
    import slicer
    import vtk

    image = slicer.vtkOrientedImageData()
    conversion = segmentation.GetSegmentation().GetConversionParameter("Reference image geometry")
    if not conversion or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(conversion, image, False):
        raise SegmentWriteError(
            f"The segmentation {segmentation.GetName()!r} has no reference geometry. Choose its source volume first."
        )
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    i_min, i_max, j_min, j_max, k_min, k_max = image.GetExtent()
    ijk_to_ras = node_to_world(segmentation) @ to_numpy(matrix)
    # A grid starts at index 0, an image's extent need not.
    ijk_to_ras[:3, 3] = (ijk_to_ras @ (i_min, j_min, k_min, 1.0))[:3]
    return VolumeGeometry((k_max - k_min + 1, j_max - j_min + 1, i_max - i_min + 1), ijk_to_ras)


def on_reference_grid(block: MaskBlock, segmentation: Any) -> MaskBlock | None:
    """A mask on the voxels of a segmentation; None if it lies outside of them. Errors as `reference_grid`."""
    return block_on_grid(block, reference_grid(segmentation))


def modifier_labelmap(block: MaskBlock, segmentation: Any) -> Any:
    """A mask as the engine takes it: ``vtkOrientedImageData`` of uint8, in the segmentation's own coordinates.

    It is only as large as the block: the engine's time then depends on the mask, not on the volume. It has the matrix
    of the reference grid, without which the engine refuses it, silently, where it masks by intensity.

    Args:
        block: on the segmentation's reference grid.
        segmentation: ``vtkMRMLSegmentationNode``.
    """
    import slicer
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetExtent(block.extent_ijk)
    voxels = np.ascontiguousarray(block.mask_kji, dtype=np.uint8).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=True))
    image.SetImageToWorldMatrix(to_vtk(np.linalg.inv(node_to_world(segmentation)) @ block.grid.ijk_to_ras))
    return image


def segment_mask(segmentation: Any, segment_id: str, block: MaskBlock) -> npt.NDArray[np.bool_]:
    """Which voxels a segment has where a block of the reference grid lies: (k, j, i) bool of the block's shape.

    A labelmap on another grid, as it stays behind when the reference geometry is changed, is resampled.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    labelmap = _labelmap_of(segment)
    if labelmap is None:
        return np.zeros(block.mask_kji.shape, dtype=bool)
    return _labels_on(labelmap, block, segmentation) == segment.GetLabelValue()


def segments_under(segmentation: Any, block: MaskBlock) -> list[str]:
    """The ids of the segments that have voxels under a mask on the reference grid.

    Segments that share a labelmap are looked up together: a hundred of them cost little more than one.
    """
    known = segmentation.GetSegmentation()
    labels: dict[Any, set[int]] = {}
    found = []
    for n in range(known.GetNumberOfSegments()):
        segment = known.GetNthSegment(n)
        labelmap = _labelmap_of(segment)
        if labelmap is None:
            continue
        if labelmap not in labels:
            labels[labelmap] = set(np.unique(_labels_on(labelmap, block, segmentation)[block.mask_kji]).tolist())
        if segment.GetLabelValue() in labels[labelmap]:
            found.append(known.GetNthSegmentID(n))
    return found


def check_taken(
    before: npt.NDArray[np.bool_],
    after: npt.NDArray[np.bool_],
    block: MaskBlock,
    mode: EditMode,
    segment_id: str,
    *,
    masked: bool,
) -> None:
    """Whether the engine did what it was told: it refuses without a word.

    Args:
        before: `segment_mask` before the edit.
        after: and after it.
        block: the mask, on the reference grid.
        mode: `EditMode.ADD` or `EditMode.SUBTRACT`.
        segment_id: for the message.
        masked: whether masking may keep voxels from changing.

    Raises:
        SegmentWriteError: a voxel did not change that should have, or the other way round.
    """
    wanted = (before | block.mask_kji) if mode is EditMode.ADD else (before & ~block.mask_kji)
    wrong = (after != wanted) & (after != before) if masked else after != wanted
    if wrong.any():
        raise SegmentWriteError(
            f"Slicer's segment editing engine did not take the mask of the segment {segment_id!r} whole: "
            f"{int(wrong.sum())} voxels are not as they should be. Undo, and check the segmentation's geometry (module "
            "Segmentations)."
        )


def may_mask(parameters: Any) -> bool:
    """Whether a ``vtkMRMLSegmentEditorNode`` may keep voxels of a segment from changing."""
    overwrites = parameters.GetOverwriteMode() == parameters.OverwriteAllSegments
    return bool(parameters.GetMaskMode() != 0 or parameters.GetSourceVolumeIntensityMask() or not overwrites)


@contextmanager
def intensity_range_lifted(parameters: Any) -> Iterator[None]:
    """Let the engine write where the editable intensity range of a ``vtkMRMLSegmentEditorNode`` excludes it.

    Bypassing masking does not bypass that range. Nobody is told of the switch: it is back before anybody looks.
    """
    was_on, was_silent = parameters.GetSourceVolumeIntensityMask(), parameters.GetDisableModifiedEvent()
    parameters.SetDisableModifiedEvent(True)
    try:
        parameters.SetSourceVolumeIntensityMask(False)
        yield
    finally:
        parameters.SetSourceVolumeIntensityMask(was_on)
        parameters.SetDisableModifiedEvent(was_silent)


def _image_to_world(image: Any) -> npt.NDArray[np.float64]:
    """(4, 4) of a ``vtkOrientedImageData``, which leaves parent transforms out."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return to_numpy(matrix)


def _labelmap_of(segment: Any) -> Any:
    """The binary labelmap of a ``vtkSegment``, perhaps shared with others; None if it has none, or an empty one."""
    import slicer

    labelmap = segment.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
    return None if labelmap is None or labelmap.IsEmpty() else labelmap


def _labels_on(labelmap: Any, block: MaskBlock, segmentation: Any) -> npt.NDArray:
    """The values of a labelmap where a block of the reference grid lies: (k, j, i), 0 where it does not reach."""
    from vtk.util.numpy_support import vtk_to_numpy

    wanted = block.extent_ijk
    if not np.allclose(_image_to_world(labelmap), _image_to_world(modifier_labelmap(block, segmentation)), atol=1e-4):
        return _resampled(labelmap, block, segmentation)
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
    labels = np.zeros(block.mask_kji.shape, dtype=voxels.dtype)
    own = labelmap.GetExtent()
    shared = [(max(own[2 * axis], wanted[2 * axis]), min(own[2 * axis + 1], wanted[2 * axis + 1])) for axis in range(3)]
    if all(low <= high for low, high in shared):
        there = tuple(slice(low - wanted[2 * n], high - wanted[2 * n] + 1) for n, (low, high) in enumerate(shared))
        here = tuple(slice(low - own[2 * n], high - own[2 * n] + 1) for n, (low, high) in enumerate(shared))
        labels[there[::-1]] = voxels[here[::-1]]
    return labels


def _resampled(labelmap: Any, block: MaskBlock, segmentation: Any) -> npt.NDArray:
    """A labelmap on a block, by Slicer's own resampling: nearest neighbour."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    on_block = slicer.vtkOrientedImageData()
    target = modifier_labelmap(block, segmentation)
    if not slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        labelmap, target, on_block
    ):
        raise SegmentWriteError(
            f"The segments of {segmentation.GetName()!r} cannot be brought to its reference geometry. Set it again "
            "(module Segmentations, section Representations)."
        )
    return vtk_to_numpy(on_block.GetPointData().GetScalars()).reshape(block.mask_kji.shape)
