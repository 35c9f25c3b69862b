"""Correcting a box: what it had added to the segment is taken back, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, on_reference_grid, segment_mask

if TYPE_CHECKING:
    import numpy.typing as npt

    from MedSAMSegmentSlicer.editor_requests import EditorNodes


class LastBox:
    """Remembers what the box that was drawn last has added."""

    def __init__(self) -> None:
        self._added: tuple[EditorNodes, MaskBlock] | None = None

    def forget(self) -> None:
        """The box is finished: what it added stays."""
        self._added = None

    def withdrawal(self, nodes: EditorNodes) -> list[SegmentEdit]:
        """What takes back what the box added; empty if it added nothing, or not there."""
        added = self._of(nodes)
        return [] if added is None else [SegmentEdit(nodes.segment_id, added, EditMode.SUBTRACT)]

    def before(self, nodes: EditorNodes, mask: MaskBlock | None) -> tuple[MaskBlock, npt.NDArray[np.bool_]] | None:
        """What the segment has where a mask lies, as if the box had not been drawn: ask before writing.

        Returns:
            The mask on the segmentation's grid, and the segment's voxels there; None if it has none there.
        """
        block = mask and on_reference_grid(mask, nodes.segmentation)
        if block is None:
            return None
        voxels = segment_mask(nodes.segmentation, nodes.segment_id, block)
        added = self._of(nodes)
        # What the same box had added counts as not there: it would go again with the next correction.
        return block, voxels if added is None else voxels & ~_overlap(added, block)

    def remember(self, nodes: EditorNodes, before: tuple[MaskBlock, npt.NDArray[np.bool_]] | None) -> None:
        """Tell the voxels that the segment has now and had not `before`: ask after writing."""
        self._added = None
        if before is not None:
            block, voxels = before
            after = segment_mask(nodes.segmentation, nodes.segment_id, block)
            added = MaskBlock(after & ~voxels, block.extent_ijk, block.grid).trimmed()
            self._added = None if added is None else (nodes, added)

    def _of(self, nodes: EditorNodes) -> MaskBlock | None:
        return self._added[1] if self._added is not None and self._added[0] == nodes else None


def _overlap(part: MaskBlock, of: MaskBlock) -> npt.NDArray[np.bool_]:
    """Where a block's voxels are another one's: bool of the other one's shape."""
    whole = MaskBlock.union([part, MaskBlock(np.zeros_like(of.mask_kji), of.extent_ijk, of.grid)])
    first = [of.extent_ijk[2 * axis] - whole.extent_ijk[2 * axis] for axis in (2, 1, 0)]
    return whole.mask_kji[tuple(slice(low, low + size) for low, size in zip(first, of.mask_kji.shape, strict=True))]
