"""Grow a segment of a scene to the slices beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.propagation.growth import Growth, grow
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_writer import SegmentEdit, SegmentWriter
from MedSAMSegmentSlicer.volume_nodes import volume_from_node


def grow_segment(
    writer: SegmentWriter,
    volume_node: Any,
    segmentation: Any,
    segment_id: str,
    model: SegmentationModel,
    *,
    below: int = 1,
    above: int = 1,
    orientation: str = "auto",
    window_rule: str = "auto",
    mask_options: MaskOptions | None = None,
    cache: EmbeddingCache | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Growth:
    """Add to a segment what the model finds of it on the next slices: one undo state, none if nothing is found.

    The slices that the segment has already are not changed. To work in another thread, call `segment_block`,
    `volume_from_node` (and copy its voxels) and `grow` there, and `write_growth` in the main thread.

    Args:
        writer: for ``segmentation``.
        volume_node: ``vtkMRMLScalarVolumeNode`` that is looked at.
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: not its name.
        model: answers.
        below: slices to the left, posterior or inferior side; see `grow`, as the rest.
        above: slices to the right, anterior or superior side.
        orientation: of the slices.
        window_rule: intensities.
        mask_options: threshold and clean-up.
        cache: embeddings that are kept.
        progress: told the share that is done, and what is going on.
        cancelled: asked before each slice.

    Raises:
        InvalidPromptError: there is no such segment, or it has no voxel in the volume.
        InvalidImageError: a parent transform is not linear.
        InvalidOptionError: no such orientation or window rule, or no slice was asked for.
        SegmentWriteError: the engine did not take the new slices.
        CancelledError: ``cancelled`` said so; nothing was written.
    """
    block = segment_block(segmentation, segment_id)
    if block is None:
        name = segmentation.GetSegmentation().GetSegment(segment_id).GetName()
        raise InvalidPromptError(f"The segment {name!r} is empty: segment or paint it on one slice first.")
    growth = grow(
        volume_from_node(volume_node),
        block,
        model,
        below=below,
        above=above,
        orientation=orientation,
        window_rule=window_rule,
        mask_options=mask_options,
        cache=cache,
        progress=progress,
        cancelled=cancelled,
    )
    write_growth(writer, segment_id, growth)
    return growth


def write_growth(writer: SegmentWriter, segment_id: str, growth: Growth) -> None:
    """Add what was found to a segment; see `SegmentWriter.write`. Nothing happens where nothing was found."""
    if growth.block is not None:
        writer.write([SegmentEdit(segment_id, growth.block)])
