"""From a segment to the slices beside it: what is there goes on, slice by slice, until it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.block_resampling import block_on_grid
from MedSAMSegmentLib.geometry.box_around import box_around_mask
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, Orientation, SliceStack, orientation_named
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.protocol import Prompt, SegmentationModel
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.confidence import DOUBTFUL_BELOW
from MedSAMSegmentLib.propagation.field_of_view import FieldOfView
from MedSAMSegmentLib.propagation.results import SliceResult

_WIDENED_BY = 0.1
"""Share of a mask's longer side that is added to its box on every side, and one pixel at least.

That much may a structure grow from a slice to the next.
"""

_FIELD_OF_VIEW = 5.0
"""In multiples of the box's longer side, as in the near view of whole structures."""


@dataclass(frozen=True)
class Growth:
    """What was found beside a segment.

    Attributes:
        block: the new slices' voxels, without those of the segment, on the volume's grid; None if there are none.
        slices: that got voxels, by increasing position.
        orientation: of the slices.
        window: the intensities that the model was shown; None for RGB.
        ended_below: the structure ended before as many slices as were asked for were found below it.
        ended_above: likewise above it.
    """

    block: MaskBlock | None
    slices: tuple[SliceResult, ...]
    orientation: Orientation
    window: Window | None
    ended_below: bool
    ended_above: bool


def grow(
    volume: Volume,
    segment: MaskBlock,
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
    """Continue a segment beyond its outermost slices.

    The model is asked on each next slice with the box of the mask before it, a little wider. The segment ends where the
    answer is empty, has nothing in common with the mask before it, or the volume ends. Its own slices are left alone.

    Args:
        volume: not changed.
        segment: what is there, on any grid.
        model: answers.
        below: slices towards R, A or S with a minus sign: left, posterior, inferior.
        above: slices towards right, anterior, superior.
        orientation: ``axial``, ``sagittal``, ``coronal``, or ``auto`` for the plane in which a segment of a single
            slice lies, and of others the planes that the volume was taken in.
        window_rule: see `choose_window`; the segment's box counts as ROI.
        mask_options: threshold and clean-up, on each slice.
        cache: embeddings that are kept.
        progress: told the share that is done, and what is going on.
        cancelled: asked before each slice.

    Raises:
        InvalidPromptError: the segment has no voxel in the volume.
        InvalidOptionError: no such orientation or window rule, or no slice was asked for.
        CancelledError: ``cancelled`` said so.
    """
    if below < 0 or above < 0 or below + above == 0:
        raise InvalidOptionError(
            f"Growing by {below} slices below and {above} above is not possible. Ask for 1 or more."
        )
    own = block_on_grid(segment, volume.geometry)
    if own is None:
        raise InvalidPromptError("The segment has no voxel in the image. Choose a segment that is not empty.")
    stack = _stack(own, volume.geometry, orientation)
    window = None if volume.is_rgb else choose_window(window_rule, volume, box_around_mask(own))
    segmenter, options = Segmenter(model, cache), mask_options or MaskOptions()
    ends = sorted(_layer_of(own, stack, side) for side in (0, 1))
    blocks: list[MaskBlock] = []
    results: list[SliceResult] = []
    ended = []
    done = 0
    for start, step, wanted in ((ends[0], -1, below), (ends[1], 1, above)):
        before = _mask_on(own, stack, start)
        found = 0
        for layer in range(start + step, start + step * (wanted + 1), step):
            if not 0 <= layer < len(stack):
                break
            stop_if(cancelled)
            answer = _ask(volume, stack, layer, before, window, segmenter, options)
            if answer is None:
                break
            block, result = answer
            blocks.append(block)
            results.append(result)
            before = _mask_on(block, stack, layer)
            found += 1
            if progress is not None:
                progress((done + found) / (below + above), f"Slice at {stack.position_mm(layer):.1f} mm")
        done += wanted
        ended.append(found < wanted)
        if progress is not None:
            progress(done / (below + above), f"{len(results)} new slices")
    return Growth(
        block=MaskBlock.union(blocks).trimmed() if blocks else None,
        slices=tuple(sorted(results, key=lambda result: result.position_mm)),
        orientation=stack.orientation,
        window=window,
        ended_below=ended[0],
        ended_above=ended[1],
    )


def _stack(own: MaskBlock, geometry: VolumeGeometry, orientation: str) -> SliceStack:
    """The slices to grow on; ``own`` is trimmed."""
    if orientation == "auto":
        stacks = [SliceStack.of(geometry, each) for each in ORIENTATIONS]
        flat = [stack for stack in stacks if own.mask_kji.shape[2 - stack.voxel_axis] == 1]
        if len(flat) == 1:
            return flat[0]
    return SliceStack.of(geometry, orientation_named(orientation, geometry))


def _layer_of(block: MaskBlock, stack: SliceStack, side: int) -> int:
    """The first (side 0) or last (1) layer of a trimmed block along its voxel axis, as an index into the stack."""
    return stack.voxel_index(block.extent_ijk[2 * stack.voxel_axis + side])


def _mask_on(block: MaskBlock, stack: SliceStack, layer: int) -> npt.NDArray[np.bool_]:
    """(rows, columns) of a layer's whole plane."""
    return sample(Volume(block.mask_kji.view(np.uint8), block.geometry), stack.plane(layer), fill=0) > 0


def _ask(
    volume: Volume,
    stack: SliceStack,
    layer: int,
    before: npt.NDArray[np.bool_],
    window: Window | None,
    segmenter: Segmenter,
    options: MaskOptions,
) -> tuple[MaskBlock, SliceResult] | None:
    """A slice's voxels, and what is known of them; None where the structure has ended."""
    plane = stack.plane(layer)
    box = _widened(before)
    field = FieldOfView.around(box, _FIELD_OF_VIEW, plane)
    shown = field.box(box)
    if shown is None:
        return None
    image = field.image(volume, plane, window)
    (prediction,) = segmenter.predict(image, [Prompt(box=shown)])
    answer = segmenter.mask(prediction, options)
    rows, columns = np.indices(answer.mask_hw.shape)
    inside = (columns >= shown.x_min) & (columns <= shown.x_max) & (rows >= shown.y_min) & (rows <= shown.y_max)
    block = block_from_plane_mask(answer.mask_hw & inside, answer.plane, volume.geometry)
    if block is None:
        return None
    now = _mask_on(block, stack, layer)
    both = np.count_nonzero(now & before)
    if both == 0:
        return None
    dice = float(2 * both / (np.count_nonzero(now) + np.count_nonzero(before)))
    # Not calibrated, unlike that of a whole structure: the only other things that are known of the slice.
    confidence = (answer.predicted_iou + dice) / 2
    return block, SliceResult(
        position_mm=stack.position_mm(layer),
        plane=plane,
        box=box,
        predicted_iou=answer.predicted_iou,
        voxels=block.voxel_count,
        neighbour_dice=dice,
        confidence=confidence,
        is_doubtful=confidence < DOUBTFUL_BELOW,
    )


def _widened(mask: npt.NDArray[np.bool_]) -> BoxPrompt:
    """The box around a mask's pixels, with a margin, in pixels of its plane and not beyond it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(_WIDENED_BY * max(np.ptp(rows) + 1, np.ptp(columns) + 1), 1.0)
    return BoxPrompt(
        max(float(columns[0]) - 0.5 - margin, -0.5),
        max(float(rows[0]) - 0.5 - margin, -0.5),
        min(float(columns[-1]) + 0.5 + margin, mask.shape[1] - 0.5),
        min(float(rows[-1]) + 0.5 + margin, mask.shape[0] - 0.5),
    )
