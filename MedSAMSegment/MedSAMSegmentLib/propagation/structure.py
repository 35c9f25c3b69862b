"""A whole structure from one ROI."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import CancelledError, InvalidOptionError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, Orientation, SliceStack, acquisition_orientation
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions, clean_mask
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.propagation.border import is_cut_off
from MedSAMSegmentLib.propagation.confidence import DOUBTFUL_BELOW, confidence, neighbour_dice, stability
from MedSAMSegmentLib.propagation.evidence import Evidence, View, gather_evidence
from MedSAMSegmentLib.propagation.fusion import ellipsoid_prior, fused
from MedSAMSegmentLib.propagation.levels import LEVELS, level_of
from MedSAMSegmentLib.propagation.results import SliceResult, Structure
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

__all__ = ["LEVELS", "SliceResult", "Structure", "segment_structure"]


def segment_structure(
    volume: Volume,
    roi: OrientedBox,
    model: SegmentationModel,
    *,
    level: str = "auto",
    window_rule: str = "auto",
    orientation: str = "auto",
    slices: Sequence[float] | str = "all",
    mask_options: MaskOptions | None = None,
    cache: EmbeddingCache | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Structure:
    """Segment what an ROI surrounds.

    Every slice is asked for with the ROI's own box and with the smaller one that an ellipsoid in the ROI has there; the
    answers are averaged before the threshold, smoothed across slices, and weighed against how likely a voxel is to
    belong to the structure by its place in the ROI. Nothing outside the ROI belongs to it.

    Args:
        volume: not changed.
        roi: around the structure.
        model: answers.
        level: ``fast``, one encoder pass a slice; ``best``; or ``auto``, best on a GPU and fast elsewhere.
        window_rule: see `choose_window`.
        orientation: ``axial``, ``sagittal``, ``coronal``, or ``auto`` for the planes that the volume was taken in.
        slices: ``all`` that the ROI crosses, its ``center`` one, or those nearest to some positions (mm).
        mask_options: threshold and clean-up.
        cache: embeddings that are kept.
        progress: told the share that is done, and what is going on.
        cancelled: asked between slices.

    Raises:
        InvalidOptionError: no such level, window rule or orientation, or a position that the ROI does not cross.
        InvalidPromptError: the ROI lies outside the volume.
        CancelledError: ``cancelled`` said so.
    """
    options = mask_options or MaskOptions()
    chosen = level_of(level, model.device)
    stack = SliceStack.of(volume.geometry, _orientation(orientation, volume))
    region = RoiSlices.of(stack, roi, slices)
    window = None if volume.is_rgb else choose_window(window_rule, volume, roi)
    views = [View(factor, window) for factor in chosen.fields_of_view]
    boxes = [(region.boxes[n], region.shrunk_box(n)) for n in range(len(region.layers))]
    evidence = gather_evidence(
        volume, region, boxes, views, Segmenter(model, cache), progress=progress, cancelled=cancelled
    )
    if cancelled is not None and cancelled():
        raise CancelledError("Cancelled. Nothing was written.")
    logits = fused(evidence.logits, region, ellipsoid_prior(region))
    masks = logits > options.logit_threshold
    return Structure(
        block=_block(masks, region, options),
        slices=_slice_results(masks, logits, evidence, region, options),
        orientation=stack.orientation,
        window=window,
        level=chosen.name,
        encode_seconds=evidence.encode_seconds,
        decode_seconds=evidence.decode_seconds,
        roi=roi,
        touches_roi_border=is_cut_off(masks, region),
        logits=evidence.logits.astype(np.float16),
    )


def _orientation(name: str, volume: Volume) -> Orientation:
    if name == "auto":
        return acquisition_orientation(volume.geometry)
    for orientation in ORIENTATIONS:
        if name == orientation:
            return orientation
    raise InvalidOptionError(f"There is no plane {name!r}. Use one of: auto, {', '.join(ORIENTATIONS)}.")


def _block(masks: npt.NDArray[np.bool_], region: RoiSlices, options: MaskOptions) -> MaskBlock | None:
    """The slices' masks as one block, cleaned up in 3D."""
    grid = region.stack.geometry
    blocks = []
    for n, mask_hw in enumerate(masks):
        plane = region.plane(n).crop(int(region.columns[0]), int(region.rows[0]), mask_hw.shape)
        block = block_from_plane_mask(mask_hw, plane, grid)
        if block is not None:
            blocks.append(block)
    if not blocks:
        return None
    block = MaskBlock.union(blocks)
    return MaskBlock(clean_mask(block.mask_kji, options, grid.spacing_ijk), block.extent_ijk, grid).trimmed()


def _slice_results(
    masks: npt.NDArray[np.bool_],
    logits: npt.NDArray[np.float32],
    evidence: Evidence,
    region: RoiSlices,
    options: MaskOptions,
) -> tuple[SliceResult, ...]:
    neighbours = neighbour_dice(masks)
    results = []
    for n, layer in enumerate(region.layers):
        stable = stability(logits[n], options.logit_threshold)
        trust = confidence(float(evidence.predicted_iou[n]), stable, float(evidence.agreement[n]), float(neighbours[n]))
        results.append(
            SliceResult(
                position_mm=region.stack.position_mm(layer),
                plane=region.plane(n),
                box=region.boxes[n],
                predicted_iou=float(evidence.predicted_iou[n]),
                voxels=int(np.count_nonzero(masks[n])),
                stability=stable,
                agreement=float(evidence.agreement[n]),
                neighbour_dice=float(neighbours[n]),
                confidence=trust,
                is_doubtful=trust < DOUBTFUL_BELOW,
            )
        )
    return tuple(results)
