"""Slices of a segment that a person corrected by hand, and what follows for the slices between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.geometry.block_resampling import block_on_grid
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.propagation.key_slices import KeySlice
from MedSAMSegmentLib.propagation.layer_masks import mask_on_layer
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentLib.propagation.structure import repropagate
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit


def corrected_slices(
    structure: Structure, written: MaskBlock | None, now: MaskBlock | None, grid: VolumeGeometry
) -> list[KeySlice]:
    """The slices of a structure on which a segment is no longer what was written, or was corrected before.

    Args:
        structure: what the model said.
        written: what the segment held after it was written: masking may have kept voxels out.
        now: what it holds now, painted on and erased from as one likes.
        grid: of the volume.

    Returns:
        Key slices with their present masks, by increasing position.

    Raises:
        InvalidOptionError: the structure is of a single oblique plane.
    """
    stack = _stack(structure, grid)
    before, after = (None if block is None else block_on_grid(block, grid) for block in (written, now))
    keys = []
    for result in structure.slices:
        layer = stack.nearest(result.position_mm)
        mask_hw = mask_on_layer(after, stack, layer)
        if result.is_key or (mask_hw != mask_on_layer(before, stack, layer)).any():
            keys.append(KeySlice(result.position_mm, mask_hw=mask_hw))
    return keys


def update_between(
    structure: Structure,
    volume: Volume,
    model: SegmentationModel,
    keys: Sequence[KeySlice],
    *,
    mask_options: MaskOptions | None = None,
    cache: EmbeddingCache | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Structure:
    """Segment again the slices next to and between the corrected ones; for a worker thread.

    Args:
        structure: what there was.
        volume: not changed.
        model: answers.
        keys: from `corrected_slices`; at least one.
        mask_options: threshold and clean-up.
        cache: of the first time: no slice is encoded again then.
        progress: told the share that is done, and what is going on.
        cancelled: asked between slices.

    Raises:
        InvalidOptionError: there is no corrected slice.
        CancelledError: ``cancelled`` said so.
    """
    if not keys:
        raise InvalidOptionError("No slice was corrected. Paint or erase on a slice first, with any effect.")
    known = {round(result.position_mm, 3) for result in structure.slices if result.is_key}
    # Those that were corrected before have had their effect, unless they are all there is.
    changed = [key for key in keys if round(key.position_mm, 3) not in known] or list(keys)
    for n, key in enumerate(changed):

        def told(share: float, doing: str, n: int = n) -> None:
            if progress is not None:
                progress((n + share) / len(changed), doing)

        structure = repropagate(
            structure,
            volume,
            model,
            keys,
            key.position_mm,
            mask_options=mask_options,
            cache=cache,
            progress=told,
            cancelled=cancelled,
        )
    return structure


def update_edits(segment_id: str, before: Structure, after: Structure, grid: VolumeGeometry) -> list[SegmentEdit]:
    """What brings a segment from one structure to another, for a single `SegmentWriter.write`.

    Only slices that are not key slices are touched, and on them only voxels of either structure: what else was painted
    there stays.
    """
    stack = _stack(after, grid)
    layers = [stack.nearest(result.position_mm) for result in after.slices if not result.is_key]
    lost, got = (_on_layers(structure.block, stack, layers) for structure in (before, after))
    edits = []
    if lost is not None:
        edits.append(SegmentEdit(segment_id, lost, EditMode.SUBTRACT))
    if got is not None:
        edits.append(SegmentEdit(segment_id, got))
    return edits


def _on_layers(block: MaskBlock | None, stack: SliceStack, layers: Sequence[int]) -> MaskBlock | None:
    """The part of a block that lies on some layers."""
    if block is None:
        return None
    axis = stack.voxel_axis
    first = block.extent_ijk[2 * axis]
    wanted = [stack.voxel_index(layer) - first for layer in layers]
    inside = [index for index in wanted if 0 <= index < block.mask_kji.shape[2 - axis]]
    mask_kji = np.zeros_like(block.mask_kji)
    np.moveaxis(mask_kji, 2 - axis, 0)[inside] = np.moveaxis(block.mask_kji, 2 - axis, 0)[inside]
    return MaskBlock(mask_kji, block.extent_ijk, block.grid).trimmed()


def _stack(structure: Structure, grid: VolumeGeometry) -> SliceStack:
    if structure.orientation == "oblique":
        raise InvalidOptionError("A structure on a single oblique plane has no slices to update between.")
    return SliceStack.of(grid, structure.orientation)
