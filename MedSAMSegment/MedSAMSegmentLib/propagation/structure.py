"""A whole structure from one ROI: the masks of the slices that it crosses, chained into one block of voxels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from MedSAMSegmentLib.errors import CancelledError, InvalidOptionError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, Orientation, SliceStack, acquisition_orientation
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions, clean_mask
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.protocol import Prompt, SegmentationModel
from MedSAMSegmentLib.prompts import BoxPrompt

LEVELS = ("auto", "fast", "best")


@dataclass(frozen=True)
class SliceResult:
    """What was found on one slice.

    Attributes:
        position_mm: R, A or S coordinate of the slice's centre.
        plane: the slice's pixels.
        box: the prompt.
        predicted_iou: the model's own estimate.
        voxels: that the mask has on this slice.
    """

    position_mm: float
    plane: SlicePlane
    box: BoxPrompt
    predicted_iou: float
    voxels: int


@dataclass(frozen=True)
class Structure:
    """A segmented structure.

    Attributes:
        block: its voxels on the volume's grid; None if it has none.
        slices: by increasing position.
        orientation: of the slices.
        window: the intensities that the model was shown; None for RGB.
        level: how much work was done.
        encode_seconds: spent in the encoder.
        decode_seconds: spent on prompts and masks.
    """

    block: MaskBlock | None
    slices: tuple[SliceResult, ...]
    orientation: Orientation
    window: Window | None
    level: str
    encode_seconds: float
    decode_seconds: float

    @property
    def predicted_iou(self) -> float:
        """Mean of the slices'."""
        return float(np.mean([result.predicted_iou for result in self.slices]))


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
    """Segment what an ROI surrounds, slice by slice.

    Args:
        volume: not changed.
        roi: around the structure.
        model: answers.
        level: ``fast``, one encoder pass a slice; ``best``; or ``auto``, best on a GPU and fast elsewhere.
        window_rule: see `choose_window`.
        orientation: ``axial``, ``sagittal``, ``coronal``, or ``auto`` for the planes that the volume was taken in.
        slices: ``all`` that the ROI crosses, its ``center`` one, or those nearest to some positions (mm).
        mask_options: threshold and clean-up.
        cache: embeddings that are kept; shared between ROIs of one volume.
        progress: told the share that is done, and what is going on.
        cancelled: asked between slices.

    Raises:
        InvalidOptionError: no such level, window rule or orientation, or a position that the ROI does not cross.
        InvalidPromptError: the ROI lies outside the volume.
        CancelledError: ``cancelled`` said so.
    """
    options = mask_options or MaskOptions()
    if level not in LEVELS:
        raise InvalidOptionError(f"There is no level {level!r}. Use one of: {', '.join(LEVELS)}.")
    chosen = acquisition_orientation(volume.geometry) if orientation == "auto" else orientation
    if chosen not in ORIENTATIONS:
        raise InvalidOptionError(f"There is no plane {orientation!r}. Use one of: auto, {', '.join(ORIENTATIONS)}.")
    stack = SliceStack.of(volume.geometry, chosen)
    layers = _layers(stack, roi, slices)
    window = None if volume.is_rgb else choose_window(window_rule, volume, roi)
    segmenter = Segmenter(model, cache)

    encode_seconds = decode_seconds = 0.0
    results = []
    blocks = []
    for n, layer in enumerate(layers):
        if cancelled is not None and cancelled():
            raise CancelledError("Cancelled. Nothing was written.")
        box = stack.box_on(layer, roi)
        if box is None:
            continue
        start = time.perf_counter()
        image = see(volume, stack.plane(layer), window)
        segmenter.encode([image])
        encoded = time.perf_counter()
        (prediction,) = segmenter.predict(image, [Prompt(box=box)])
        answer = segmenter.mask(prediction, MaskOptions(options.threshold))
        block = block_from_plane_mask(answer.mask_hw, image.plane, volume.geometry)
        if block is not None:
            blocks.append(block)
        decode_seconds += time.perf_counter() - encoded
        encode_seconds += encoded - start
        results.append(
            SliceResult(
                stack.position_mm(layer), image.plane, box, answer.predicted_iou, int(np.count_nonzero(answer.mask_hw))
            )
        )
        if progress is not None:
            progress((n + 1) / len(layers), f"Slice {n + 1} of {len(layers)}")
    return Structure(
        _joined(blocks, options), tuple(results), stack.orientation, window, "fast", encode_seconds, decode_seconds
    )


def _joined(blocks: Sequence[MaskBlock], options: MaskOptions) -> MaskBlock | None:
    """The slices' masks as one block, cleaned up in 3D."""
    if not blocks:
        return None
    block = MaskBlock.union(blocks)
    cleaned = clean_mask(block.mask_kji, options, block.grid.spacing_ijk)
    return MaskBlock(cleaned, block.extent_ijk, block.grid).trimmed()


def _layers(stack: SliceStack, roi: OrientedBox, slices: Sequence[float] | str) -> list[int]:
    crossed = stack.slab_crossed(roi)
    if slices == "all":
        return list(crossed)
    if slices == "center":
        return [stack.center_layer(roi)]
    if isinstance(slices, str):
        raise InvalidOptionError(f"There is no choice of slices {slices!r}. Use all, center, or positions in mm.")
    layers = sorted({stack.nearest(position) for position in slices})
    outside = [layer for layer in layers if layer not in crossed]
    if outside:
        raise InvalidOptionError(
            f"The ROI does not cross the slice at {stack.position_mm(outside[0]):.1f} mm: it goes from "
            f"{stack.position_mm(crossed[0]):.1f} to {stack.position_mm(crossed[-1]):.1f} mm."
        )
    return layers
