"""Masks of a stack's layers to one block of voxels, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentLib.inference.mask_options import MaskOptions, clean_mask
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices


def block_of_layers(masks: npt.NDArray[np.bool_], region: RoiSlices, options: MaskOptions) -> MaskBlock | None:
    """(layers, rows, columns) on a region as one block, cleaned up in 3D; None if there is no voxel."""
    grid = region.stack.geometry
    planes = [
        region.plane(n).crop(int(region.columns[0]), int(region.rows[0]), masks.shape[1:]) for n in range(len(masks))
    ]
    blocks = [block_from_plane_mask(mask_hw, plane, grid) for mask_hw, plane in zip(masks, planes, strict=True)]
    block = _union([block for block in blocks if block is not None])
    if block is None:
        return None
    return MaskBlock(clean_mask(block.mask_kji, options, grid.spacing_ijk), block.extent_ijk, grid).trimmed()


def mask_on_layer(block: MaskBlock | None, stack: SliceStack, layer: int) -> npt.NDArray[np.bool_]:
    """(rows, columns) of a layer's whole plane: the voxels that a block has on it."""
    plane = stack.plane(layer)
    if block is None:
        return np.zeros(plane.shape_hw, dtype=bool)
    return sample(Volume(block.mask_kji.view(np.uint8), block.geometry), plane, fill=0) > 0


def replaced_layers(
    block: MaskBlock | None, stack: SliceStack, masks_of_layers: Mapping[int, npt.NDArray[np.bool_]]
) -> MaskBlock | None:
    """A block with the voxels of some layers exchanged for those of other masks.

    Args:
        block: not changed.
        stack: of the block's whole grid.
        masks_of_layers: by index into the stack, (rows, columns) on the whole plane.
    """
    parts = []
    if block is not None:
        axis = stack.voxel_axis
        first, last = block.extent_ijk[2 * axis : 2 * axis + 2]
        mask_kji = block.mask_kji.copy()
        along = np.moveaxis(mask_kji, 2 - axis, 0)
        for layer in masks_of_layers:
            index = stack.voxel_index(layer)
            if first <= index <= last:
                along[index - first] = False
        parts.append(MaskBlock(mask_kji, block.extent_ijk, block.grid))
    for layer, mask_hw in masks_of_layers.items():
        part = block_from_plane_mask(mask_hw, stack.plane(layer), stack.geometry)
        if part is not None:
            parts.append(part)
    united = _union(parts)
    return None if united is None else united.trimmed()


def _union(blocks: list[MaskBlock]) -> MaskBlock | None:
    return MaskBlock.union(blocks) if blocks else None
