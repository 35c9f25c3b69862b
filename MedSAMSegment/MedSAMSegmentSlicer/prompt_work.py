"""What the worker thread does for one prompt: numpy in, numpy out, no node is touched."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.cross_section_mask import kept_in_turned_roi
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import Orientation, SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter, SliceMask
from MedSAMSegmentLib.inference.slice_image import SliceImage, see
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.results import Structure


class FrozenWindow:
    """A window that is chosen once, from the first prompt that comes, and kept for those that follow.

    While a handle is dragged, the slice has to be encoded once, and not for each position of the ROI.

    Args:
        window: the one to keep, if it is known already, or a rule.
    """

    def __init__(self, window: Window | str) -> None:
        self._window = window

    def choose(self, volume: Volume, roi: OrientedBox | None) -> Window:
        """The window; for the worker thread alone."""
        if not isinstance(self._window, Window):
            self._window = choose_window(self._window, volume, roi)
        return self._window


@dataclass(frozen=True)
class PromptRequest:
    """A structure to segment.

    Attributes:
        volume: what to look at.
        planes: the slices on which the structure is asked for.
        roi: around the structure; where it is turned in a slice, nothing outside it is kept there.
        window: intensity mapping, or the rule that chooses one.
        options: from logits to a mask.
    """

    volume: Volume
    planes: tuple[SlicePlane, ...]
    roi: OrientedBox
    window: Window | FrozenWindow | str
    options: MaskOptions


@dataclass(frozen=True)
class SliceAnswer:
    """One slice.

    Attributes:
        plane: where it is.
        box: the prompt.
        predicted_iou: the model's own estimate.
        mask: None where it is not kept: in whole structures.
        image: what the model saw; None where it is not kept.
    """

    plane: SlicePlane
    box: BoxPrompt
    predicted_iou: float
    mask: SliceMask | None = None
    image: SliceImage | None = None


@dataclass(frozen=True)
class PromptAnswer:
    """A structure.

    Attributes:
        block: its voxels, on the volume's grid; None where the masks are empty.
        slices: in the order of the planes; those that the ROI misses are left out.
        window: the one that was used; None for RGB images, which are passed through.
        seconds: of computing, without the time in the queue; of several that were asked for together, the share of one.
        identity: of the model.
        structure: what is known of each slice; None for answers on single slices.
    """

    block: MaskBlock | None
    slices: tuple[SliceAnswer, ...]
    window: Window | None
    seconds: float
    identity: ModelIdentity
    structure: Structure | None = None

    @property
    def predicted_iou(self) -> float:
        """Mean of the slices' confidence."""
        return float(np.mean([answer.predicted_iou for answer in self.slices]))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A box on a slice, for one of several requests; equal to itself only."""

    request: int
    plane: SlicePlane
    box: BoxPrompt
    image: SliceImage


def answer_prompts(
    segmenter: Segmenter,
    requests: Sequence[PromptRequest],
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[PromptAnswer]:
    """Segment structures on their slices; boxes on slices that look the same are answered together.

    Args:
        segmenter: answers.
        requests: a structure each.
        progress: told how many boxes of how many are answered.
        cancelled: asked between slices, and in the middle of them as often as the model can.

    Returns:
        An answer for each request, in the same order.

    Raises:
        InvalidPromptError: an ROI meets none of its planes.
        CancelledError: ``cancelled`` said so.
    """
    start = time.perf_counter()
    windows = []
    asked: list[_Asked] = []
    for n, request in enumerate(requests):
        boxes = [(plane, box) for plane in request.planes if (box := box_on_view(request.roi, plane, request.volume))]
        if not boxes:
            raise InvalidPromptError(
                "The box or ROI is not on this slice of the image. Draw it over the image, or scroll to a slice that "
                "it crosses."
            )
        windows.append(window_for(request.window, request.volume, request.roi))
        for plane, box in boxes:
            stop_if(cancelled)
            asked.append(_Asked(n, plane, box, see(request.volume, plane, windows[n])))
    alike: dict[str, list[_Asked]] = {}
    for each in asked:
        alike.setdefault(each.image.digest, []).append(each)
    groups = list(alike.values())
    found: dict[_Asked, SliceMask] = {}
    at_once = segmenter.model.batch_size
    for first in range(0, len(groups), at_once):
        stop_if(cancelled)
        batch = groups[first : first + at_once]
        segmenter.encode([group[0].image for group in batch], cancelled=cancelled)
        for group in batch:
            predictions = segmenter.predict(group[0].image, [Prompt(box=each.box) for each in group])
            for each, prediction in zip(group, predictions, strict=True):
                # Slices that look the same may lie in different places.
                placed = replace(prediction, plane=each.plane)
                found[each] = _kept(segmenter.mask(placed, requests[each.request].options), requests[each.request])
            if progress is not None:
                progress(len(found), len(asked))
    share = (time.perf_counter() - start) / len(requests)
    return [
        _answer(request, [(each, found[each]) for each in asked if each.request == n], windows[n], share, segmenter)
        for n, request in enumerate(requests)
    ]


def _kept(mask: SliceMask, request: PromptRequest) -> SliceMask:
    thickness_mm = layer_thickness(mask.plane, request.volume.geometry)
    return replace(mask, mask_hw=kept_in_turned_roi(mask.mask_hw, request.roi, mask.plane, thickness_mm))


def _answer(
    request: PromptRequest,
    masks: Sequence[tuple[_Asked, SliceMask]],
    window: Window,
    seconds: float,
    segmenter: Segmenter,
) -> PromptAnswer:
    grid = request.volume.geometry
    blocks = [block_from_plane_mask(mask.mask_hw, each.plane, grid) for each, mask in masks]
    there = [block for block in blocks if block is not None]
    slices = tuple(SliceAnswer(each.plane, each.box, mask.predicted_iou, mask, each.image) for each, mask in masks)
    union = MaskBlock.union(there) if there else None
    return PromptAnswer(union, slices, window, seconds, segmenter.model.identity)


def answer_structure(
    segmenter: Segmenter,
    request: PromptRequest,
    level: str,
    *,
    orientation: str = "auto",
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PromptAnswer:
    """Segment a whole structure in 3D; ``request.planes`` is not used.

    Raises:
        InvalidPromptError: the ROI lies outside the volume.
        CancelledError: ``cancelled`` said so.
    """
    from MedSAMSegmentLib.propagation.structure import segment_structure

    start = time.perf_counter()
    structure = segment_structure(
        request.volume,
        request.roi,
        segmenter.model,
        level=level,
        window_rule=_as_rule(request.window),
        orientation=orientation,
        mask_options=request.options,
        cache=segmenter.cache,
        progress=progress,
        cancelled=cancelled,
    )
    slices = tuple(SliceAnswer(each.plane, each.box, each.predicted_iou) for each in structure.slices)
    return PromptAnswer(
        structure.block, slices, structure.window, time.perf_counter() - start, segmenter.model.identity, structure
    )


def _as_rule(window: Window | FrozenWindow | str) -> str:
    if isinstance(window, FrozenWindow):
        raise TypeError("A frozen window is for previews, and a whole structure is not previewed.")
    return f"{window.level!r},{window.width!r}" if isinstance(window, Window) else window


def window_for(window: Window | FrozenWindow | str, volume: Volume, roi: OrientedBox | None) -> Window:
    """A window as it is, or what a rule gives."""
    if isinstance(window, FrozenWindow):
        return window.choose(volume, roi)
    return window if isinstance(window, Window) else choose_window(window, volume, roi)


def box_on_view(roi: OrientedBox, plane: SlicePlane, volume: Volume) -> BoxPrompt | None:
    """The tight box of an ROI on a plane; a flat ROI counts on the plane within whose layer it lies."""
    return roi.box_on(plane) or roi.box_on(plane, layer_thickness(plane, volume.geometry))


def layer_thickness(plane: SlicePlane, geometry: VolumeGeometry) -> float:
    """How far apart, in mm, a volume's layers are along a plane's normal."""
    return 1.0 / float(np.linalg.norm(geometry.ras_to_ijk[:3, :3] @ plane.normal_ras))


def planes_through(roi: OrientedBox, plane: SlicePlane, geometry: VolumeGeometry) -> tuple[SlicePlane, ...]:
    """All slices parallel to a plane that an ROI crosses: voxel layers where the plane is one, else evenly spaced.

    Raises:
        InvalidPromptError: the ROI lies outside the volume.
    """
    stack = _stack_of(plane, geometry)
    if stack is not None:
        return tuple(stack.plane(index) for index in stack.slab_crossed(roi))
    step = layer_thickness(plane, geometry)
    low, high = roi.interval_along(plane.normal_ras)
    first = int(np.ceil((low - plane.offset_mm) / step - 1e-4))
    last = int(np.floor((high - plane.offset_mm) / step + 1e-4))
    shifted = [_shifted(plane, n * step) for n in range(first, last + 1)]
    crossed = tuple(each for each in shifted if roi.box_on(each) is not None)
    return crossed or (plane,)


def _stack_of(plane: SlicePlane, geometry: VolumeGeometry) -> SliceStack | None:
    orientations: Sequence[Orientation] = ("axial", "sagittal", "coronal")
    for orientation in orientations:
        stack = SliceStack.of(geometry, orientation)
        first = stack.first_plane
        if first.shape_hw == plane.shape_hw and np.allclose(
            [first.column_direction_ras, first.row_direction_ras],
            [plane.column_direction_ras, plane.row_direction_ras],
            atol=1e-6,
        ):
            return stack
    return None


def _shifted(plane: SlicePlane, distance_mm: float) -> SlicePlane:
    return replace(plane, origin_ras=plane.origin_ras + distance_mm * plane.normal_ras)
