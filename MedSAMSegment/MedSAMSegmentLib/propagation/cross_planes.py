"""A structure seen in the two other planes: they show where it begins and ends, which no slice shows alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, SliceStack
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.propagation.evidence import Evidence, View, gather_evidence
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_MOST_LAYERS = 8
"""Of each of the other planes: between them it is interpolated."""

_COARSEST = 3.5
"""Ratio of the volume's spacings up to which planes across the slices are looked at. At 5 it lost on a lesion in CT."""


def cross_regions(region: RoiSlices) -> tuple[RoiSlices, ...]:
    """Layers of the two other stacks that an ROI crosses, evenly spread, at most 8 of each.

    None where the slices lie too far apart for that, or where only some of the ROI's layers are asked for: two planes
    across would take longer than these.
    """
    spacing_ijk = region.stack.geometry.spacing_ijk
    if max(spacing_ijk) > _COARSEST * min(spacing_ijk) or len(region.layers) < len(
        region.stack.slab_crossed(region.roi)
    ):
        return ()
    regions = []
    for orientation in ORIENTATIONS:
        if orientation == region.stack.orientation:
            continue
        stack = SliceStack.of(region.stack.geometry, orientation)
        crossed = stack.slab_crossed(region.roi)
        step = -(-len(crossed) // _MOST_LAYERS)
        regions.append(RoiSlices(stack, region.roi, tuple(crossed[(len(crossed) - 1) % step // 2 :: step])))
    return tuple(regions)


def cross_evidence(
    volume: Volume,
    region: RoiSlices,
    across: RoiSlices,
    view: View,
    segmenter: Segmenter,
    *,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Evidence:
    """What the model says of a structure in another plane, on the layers of its own.

    Args:
        volume: not changed.
        region: the structure's layers.
        across: the layers of another plane, see `cross_regions`.
        view: how they are looked at.
        segmenter: with the embeddings that are kept.
        progress: told the share that is done, and what is going on.
        cancelled: asked between batches.

    Returns:
        One view on the layers of ``region``. Its predicted IoU is the mean over those of ``across``.

    Raises:
        CancelledError: ``cancelled`` said so.
    """
    boxes = [(box, across.shrunk_box(n)) for n, box in enumerate(across.boxes)]
    evidence = gather_evidence(volume, across, boxes, [view], segmenter, progress=progress, cancelled=cancelled)
    layers = (1, len(region.layers))
    return replace(
        evidence,
        logits=on_layers(evidence.logits[0], across, region)[None],
        predicted_iou=np.full(layers, evidence.predicted_iou.mean(), dtype=np.float32),
        agreement=np.ones(layers[1], dtype=np.float32),
    )


def on_layers(values: npt.NDArray[np.float32], across: RoiSlices, region: RoiSlices) -> npt.NDArray[np.float32]:
    """Values on the pixels of one plane's layers, on those of another: linear between layers, the ends repeated.

    Both are made of the same voxels: rows and columns of the one need no interpolation on the other.

    Args:
        values: (layers, rows, columns) on ``across``.
        across: of the same volume and ROI.
        region: where the values are wanted.

    Returns:
        (layers, rows, columns) float32 on ``region``.
    """
    ras_to_pixel = across.stack.plane(0).ras_to_pixel
    to_ijk = across.stack.geometry.ras_to_ijk[across.stack.voxel_axis]
    rows, columns = np.meshgrid(region.rows, region.columns, indexing="ij")
    flat = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)], axis=-1)
    result = np.empty((len(region.layers), len(region.rows), len(region.columns)), dtype=np.float32)
    for n in range(len(result)):
        ras = flat @ region.plane(n).pixel_to_ras.T
        # A sheared volume's layers are shifted against each other: take each voxel's place on its own layer.
        along = ras @ to_ijk
        layer = len(across.stack) - 1 - along if across.stack.is_reversed else along
        in_first = ras[..., :3] - layer[..., None] * across.stack.step_ras
        pixel = in_first @ ras_to_pixel[:2, :3].T + ras_to_pixel[:2, 3]
        column = np.clip(np.rint(pixel[..., 0]).astype(int) - across.columns[0], 0, len(across.columns) - 1)
        row = np.clip(np.rint(pixel[..., 1]).astype(int) - across.rows[0], 0, len(across.rows) - 1)
        place = np.interp(layer, across.layers, np.arange(len(across.layers)))
        below = np.minimum(place.astype(int), max(len(across.layers) - 2, 0))
        above = np.minimum(below + 1, len(across.layers) - 1)
        fraction = (place - below).astype(np.float32)
        result[n] = (1 - fraction) * values[below, row, column] + fraction * values[above, row, column]
    return result
