"""Correcting a box: what it had done to the segments is undone, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.segment_writer import (
    EditMode,
    SegmentEdit,
    on_reference_grid,
    reference_grid,
    segment_mask,
    segments_under,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from MedSAMSegmentSlicer.editor_requests import EditorNodes


@dataclass
class _Change:
    """What the box did to one segment, all its corrections together: *Undo* may have brought any of them back."""

    got: MaskBlock | None = None
    lost: MaskBlock | None = None


@dataclass(frozen=True)
class BeforeBox:
    """What segments have where an edit goes, as if the box had not been drawn.

    Attributes:
        own: where the selected segment may change, and what it has there, on the segmentation's grid.
        others: the same of each segment that may give way, by its id.
    """

    own: tuple[MaskBlock, npt.NDArray[np.bool_]]
    others: dict[str, tuple[MaskBlock, npt.NDArray[np.bool_]]]


@dataclass
class LastBox:
    """Remembers what the box that was drawn last has changed, in its own segment and in those that gave way."""

    _segment: tuple[Any, str] | None = None
    _changes: dict[str, _Change] = field(default_factory=dict)

    def forget(self) -> None:
        """The box is finished: what it did stays."""
        self._segment, self._changes = None, {}

    def withdrawal(self, nodes: EditorNodes) -> list[SegmentEdit]:
        """What undoes what the box did; empty if it did nothing, or not there."""
        known = nodes.segmentation.GetSegmentation()
        changes = [(id_, change) for id_, change in self._of(nodes).items() if known.GetSegment(id_) is not None]
        return [
            *(SegmentEdit(id_, change.got, EditMode.SUBTRACT, restores=True) for id_, change in changes if change.got),
            *(SegmentEdit(id_, change.lost, restores=True) for id_, change in changes if change.lost),
        ]

    def before(self, nodes: EditorNodes, edit: SegmentEdit) -> BeforeBox | None:
        """How things are where an edit of the selected segment goes: ask before writing.

        Returns:
            None if it goes nowhere.
        """
        mask, region = (each and on_reference_grid(each, nodes.segmentation) for each in (edit.block, edit.region))
        # Of the region, which may reach through the whole volume, only what the segment has there can be lost.
        held = region and MaskBlock(
            segment_mask(nodes.segmentation, nodes.segment_id, region), region.extent_ijk, region.grid
        )
        blocks = [block for block in (mask, held and held.trimmed()) if block is not None]
        if not blocks:
            return None
        place = MaskBlock.union(blocks)
        known, changes = nodes.segmentation.GetSegmentation(), self._of(nodes)
        others = {}
        if mask is not None and edit.mode is not EditMode.SUBTRACT:
            # One that the box has taken out of this place altogether is not found there any more.
            ids = {*segments_under(nodes.segmentation, mask), *changes} - {nodes.segment_id}
            others = {id_: (mask, self._without(nodes, id_, mask)) for id_ in ids if known.GetSegment(id_) is not None}
        return BeforeBox((place, self._without(nodes, nodes.segment_id, place)), others)

    def remember(self, nodes: EditorNodes, before: BeforeBox | None) -> None:
        """Tell what has changed since `before`: ask after writing."""
        changes = self._of(nodes)
        self._segment, self._changes = _segment_of(nodes), changes
        if before is None:
            return
        place, voxels = before.own
        after = segment_mask(nodes.segmentation, nodes.segment_id, place)
        own = changes.setdefault(nodes.segment_id, _Change())
        own.got = _joined(own.got, MaskBlock(after & ~voxels, place.extent_ijk, place.grid))
        own.lost = _joined(own.lost, MaskBlock(voxels & ~after, place.extent_ijk, place.grid))
        for segment_id, (mask, had) in before.others.items():
            lost = had & ~segment_mask(nodes.segmentation, segment_id, mask)
            if lost.any():
                change = changes.setdefault(segment_id, _Change())
                change.lost = _joined(change.lost, MaskBlock(lost, mask.extent_ijk, mask.grid))

    def _without(self, nodes: EditorNodes, segment_id: str, place: MaskBlock) -> npt.NDArray[np.bool_]:
        """What a segment would have in a place if the box had not been drawn."""
        change = self._of(nodes).get(segment_id, _Change())
        now = segment_mask(nodes.segmentation, segment_id, place)
        return now & ~_within(change.got, place) | _within(change.lost, place)

    def _of(self, nodes: EditorNodes) -> dict[str, _Change]:
        """What is known, if it is of this segment, and its voxels lie where they lay."""
        if self._segment != _segment_of(nodes):
            return {}
        grid = reference_grid(nodes.segmentation)
        masks = [mask for change in self._changes.values() for mask in (change.got, change.lost) if mask is not None]
        return self._changes if all(mask.grid.is_same_as(grid) for mask in masks) else {}


def _segment_of(nodes: EditorNodes) -> tuple[Any, str]:
    """A segment of one ``vtkSegmentation``: a node that shows time points has another one at each of them."""
    return nodes.segmentation.GetSegmentation(), nodes.segment_id


def _joined(known: MaskBlock | None, more: MaskBlock) -> MaskBlock | None:
    """The voxels of both, none if there are none."""
    blocks = [block for block in (known, more.trimmed()) if block is not None]
    return MaskBlock.union(blocks) if blocks else None


def _within(part: MaskBlock | None, place: MaskBlock) -> npt.NDArray[np.bool_]:
    """Where a mask's voxels are in a place: bool of the place's shape."""
    empty = np.zeros_like(place.mask_kji)
    if part is None:
        return empty
    whole = MaskBlock.union([part, MaskBlock(empty, place.extent_ijk, place.grid)])
    first = [place.extent_ijk[2 * axis] - whole.extent_ijk[2 * axis] for axis in (2, 1, 0)]
    return whole.mask_kji[tuple(slice(low, low + size) for low, size in zip(first, empty.shape, strict=True))]
