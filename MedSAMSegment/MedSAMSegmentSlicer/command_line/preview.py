"""The slices of a contact sheet: what was segmented, as it is in the volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.propagation.results import SliceResult, Structure
from MedSAMSegmentSlicer.command_line.contact_sheet import Outline, Tile
from MedSAMSegmentSlicer.roi_nodes import Roi

_AXES = {"sagittal": "R", "coronal": "A", "axial": "S", "oblique": "plane at"}


def structure_tiles(volume: Volume, structures: Sequence[tuple[Roi, Structure]]) -> list[Tile]:
    """A tile for every slice that was segmented, with all structures on it, by increasing position.

    The outlines are the voxels that went into the segments, sampled back from the volume's grid: a mask in the wrong
    place shows as such.
    """
    on_slice: dict[tuple[str, float], list[tuple[Roi, Structure, SliceResult]]] = defaultdict(list)
    for roi, structure in structures:
        for result in structure.slices:
            on_slice[structure.orientation, round(result.position_mm, 3)].append((roi, structure, result))
    tiles = []
    for (orientation, position), found in sorted(on_slice.items(), key=lambda item: item[0]):
        plane = found[0][2].plane
        outlines = tuple(
            Outline(mask_on(structure.block, plane), result.box, roi.color) for roi, structure, result in found
        )
        confidence = ", ".join(f"{result.predicted_iou:.2f}" for _, _, result in found)
        axis = _AXES[orientation]
        tiles.append(
            Tile(see(volume, plane, found[0][1].window), outlines, f"{axis} {position:.1f} mm  IoU {confidence}")
        )
    return tiles


def mask_on(block: MaskBlock | None, plane: SlicePlane) -> npt.NDArray[np.bool_]:
    """Which pixels of a plane lie in a block: (rows, columns) bool."""
    if block is None:
        return np.zeros(plane.shape_hw, dtype=bool)
    return sample(Volume(block.mask_kji.astype(np.uint8), block.geometry), plane, fill=0) > 0.5
