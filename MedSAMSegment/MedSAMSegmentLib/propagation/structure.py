"""A whole structure from one ROI, and what changes when a slice of it is corrected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack, orientation_named
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.protocol import Prompt, SegmentationModel
from MedSAMSegmentLib.propagation.border import is_cut_off
from MedSAMSegmentLib.propagation.confidence import slice_results
from MedSAMSegmentLib.propagation.cross_planes import cross_evidence, cross_regions
from MedSAMSegmentLib.propagation.evidence import Evidence, View, gather_evidence
from MedSAMSegmentLib.propagation.field_of_view import FieldOfView
from MedSAMSegmentLib.propagation.fusion import fuse
from MedSAMSegmentLib.propagation.key_slices import KeySlice, expected_shapes
from MedSAMSegmentLib.propagation.layer_masks import block_of_layers, mask_on_layer, replaced_layers
from MedSAMSegmentLib.propagation.levels import LEVELS, Level, level_of
from MedSAMSegmentLib.propagation.results import SliceResult, Structure
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices
from MedSAMSegmentLib.propagation.view_choice import ChosenViews, choose_view

__all__ = ["LEVELS", "KeySlice", "SliceResult", "Structure", "repropagate", "segment_structure"]

_Masks = npt.NDArray[np.bool_]
_Progress = Callable[[float, str], None]


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
    progress: _Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    key_slices: Sequence[KeySlice] = (),
) -> Structure:
    """Segment what an ROI surrounds.

    Every slice is asked for with the ROI's own box and with the smaller one that an ellipsoid in the ROI has there. The
    answers are averaged before the threshold, smoothed across slices, and weighed against the place in the ROI and the
    brightness, see `fusion.fuse`. Nothing outside the ROI belongs to the structure, but for what was corrected by hand.

    Args:
        volume: not changed.
        roi: around the structure.
        model: answers.
        level: ``fast``, one view of each slice (and one more of two of them, to choose by); ``best``; or ``auto``,
            best on a GPU and fast elsewhere.
        window_rule: see `choose_window`.
        orientation: ``axial``, ``sagittal``, ``coronal``, or ``auto`` for the planes that the volume was taken in.
        slices: ``all`` that the ROI crosses, its ``center`` one, or those nearest to some positions (mm).
        mask_options: threshold and clean-up.
        cache: embeddings that are kept.
        progress: told the share that is done, and what is going on.
        cancelled: asked between slices.
        key_slices: corrected slices; they are kept as they are given.

    Raises:
        InvalidOptionError: no such level, window rule or orientation, or a position that the ROI does not cross.
        InvalidPromptError: the ROI, or a key slice's mask, does not fit the volume.
        CancelledError: ``cancelled`` said so.
    """
    work = _Work(
        volume,
        Segmenter(model, cache),
        level_of(level, model.device),
        None if volume.is_rgb else choose_window(window_rule, volume, roi),
        mask_options or MaskOptions(),
        progress,
        cancelled,
    )
    stack = SliceStack.of(volume.geometry, orientation_named(orientation, volume.geometry))
    region = RoiSlices.of(stack, roi, slices)
    chosen = work.views(region)
    keys = work.key_masks(key_slices, region, chosen)
    masks, results, evidence = work.solve(region, keys, chosen)
    block = replaced_layers(block_of_layers(masks, region, work.options), stack, keys)
    return work.structure(block, results, region, masks, evidence)


def repropagate(
    structure: Structure,
    volume: Volume,
    model: SegmentationModel,
    key_slices: Sequence[KeySlice],
    changed_mm: float,
    *,
    mask_options: MaskOptions | None = None,
    cache: EmbeddingCache | None = None,
    progress: _Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Structure:
    """Segment again what lies between a slice that was corrected and its neighbouring key slices.

    All other slices keep the voxels that they have in ``structure``, and their results.

    Args:
        structure: from `segment_structure` on the same volume, or from this function.
        volume: not changed.
        model: answers.
        key_slices: all corrected slices so far, the last one included.
        changed_mm: position of the one that was corrected last.
        mask_options: threshold and clean-up.
        cache: embeddings that are kept: with those of the first time, this takes no encoder pass.
        progress: told the share that is done, and what is going on.
        cancelled: asked between slices.

    Raises:
        InvalidOptionError: ``changed_mm`` is none of the key slices, or one of them is not of the structure.
        InvalidPromptError: a key slice's mask does not fit the volume.
        CancelledError: ``cancelled`` said so.
    """
    work = _Work(
        volume,
        Segmenter(model, cache),
        level_of(structure.level, model.device),
        structure.window,
        mask_options or MaskOptions(),
        progress,
        cancelled,
    )
    roi, orientation = structure.roi, structure.orientation
    if roi is None or orientation == "oblique":
        raise InvalidOptionError(
            "Only a structure that was segmented from an ROI, slice by slice, can be corrected so."
        )
    stack = SliceStack.of(volume.geometry, orientation)
    whole = RoiSlices(stack, roi, tuple(stack.nearest(result.position_mm) for result in structure.slices))
    chosen = work.views(whole)
    keys = work.key_masks(key_slices, whole, chosen)
    changed = stack.nearest(changed_mm)
    if changed not in keys:
        raise InvalidOptionError(
            f"There is no corrected slice at {changed_mm:.1f} mm. Give the position of one of the key slices."
        )
    before = max((key for key in keys if key < changed), default=-1)
    after = min((key for key in keys if key > changed), default=len(stack))
    # The corrected slice takes part, so that its result is new as well.
    between = RoiSlices(stack, roi, tuple(layer for layer in whole.layers if before < layer < after))
    masks, results, evidence = work.solve(between, keys, chosen)
    block = block_of_layers(masks, between, work.options)
    kept = {layer: mask_on_layer(structure.block, stack, layer) for layer in whole.layers}
    kept = {layer: mask_hw for layer, mask_hw in kept.items() if layer not in between.layers}
    kept.update({layer: mask_hw for layer, mask_hw in keys.items() if layer in between.layers})
    block = replaced_layers(block, stack, kept)
    new = dict(zip(between.layers, results, strict=True))
    merged = [new.get(layer, old) for layer, old in zip(whole.layers, structure.slices, strict=True)]
    region_masks = np.stack(
        [mask_on_layer(block, stack, layer)[np.ix_(whole.rows, whole.columns)] for layer in whole.layers]
    )
    return work.structure(block, merged, whole, region_masks, evidence)


@dataclass(frozen=True)
class _Work:
    """What stays the same while one structure is made."""

    volume: Volume
    segmenter: Segmenter
    level: Level
    window: Window | None
    options: MaskOptions
    progress: _Progress | None
    cancelled: Callable[[], bool] | None

    def views(self, region: RoiSlices) -> ChosenViews:
        """How all layers of a structure are looked at."""
        views = [
            View(factor, self.window, weight)
            for factor, weight in zip(self.level.fields_of_view, self.level.weights, strict=True)
        ]
        if not self.level.takes_one:
            return ChosenViews(tuple(views), cross_regions(region) if self.level.looks_across else ())
        return choose_view(self.volume, region, views, self.segmenter, cancelled=self.cancelled)

    def solve(
        self, region: RoiSlices, keys: Mapping[int, _Masks], chosen: ChosenViews
    ) -> tuple[_Masks, list[SliceResult], Evidence]:
        """Masks of a region's layers, and what is known of each."""
        expected = expected_shapes(region, keys)
        boxes = []
        for n, shape in enumerate(expected):
            own = (region.boxes[n], region.shrunk_box(n))
            boxes.append(own if shape is None else tuple(shape.box(region, box) for box in own))
        sizes = [len(region.layers) * len(chosen.views), *(len(other.layers) for other in chosen.across)]
        steps = iter(self._progress_of_parts(sizes))
        evidence = gather_evidence(
            self.volume,
            region,
            boxes,
            chosen.views,
            self.segmenter,
            progress=next(steps),
            cancelled=self.cancelled,
        )
        across = [
            cross_evidence(
                self.volume,
                region,
                other,
                chosen.views[0],
                self.segmenter,
                progress=next(steps),
                cancelled=self.cancelled,
            )
            for other in chosen.across
        ]
        evidence = replace(
            evidence,
            encode_seconds=chosen.encode_seconds + sum(each.encode_seconds for each in (evidence, *across)),
            decode_seconds=chosen.decode_seconds + sum(each.decode_seconds for each in (evidence, *across)),
        )
        stop_if(self.cancelled)
        logits = fuse(evidence, [view.weight for view in chosen.views], self.volume, region, expected, across)
        masks = logits > self.options.logit_threshold
        is_key = np.array([layer in keys for layer in region.layers])
        corrected = [n for n, layer in enumerate(region.layers) if layer in keys]
        for n in corrected:
            masks[n] = keys[region.layers[n]][np.ix_(region.rows, region.columns)]
        results = slice_results(masks, logits, evidence, region, [pair[0] for pair in boxes], is_key, self.options)
        for n in corrected:
            results[n] = replace(results[n], voxels=int(np.count_nonzero(keys[region.layers[n]])))
        return masks, results, evidence

    def _progress_of_parts(self, sizes: Sequence[int]) -> list[_Progress | None]:
        """What each of several parts of this work reports to, by their sizes."""
        progress = self.progress
        if progress is None:
            return [None] * len(sizes)

        def part(before: int, size: int) -> _Progress:
            return lambda share, text: progress((before + share * size) / sum(sizes), text)

        return [part(sum(sizes[:n]), size) for n, size in enumerate(sizes)]

    def key_masks(self, key_slices: Sequence[KeySlice], region: RoiSlices, chosen: ChosenViews) -> dict[int, _Masks]:
        """The corrected slices' masks by layer, (rows, columns) on the whole plane."""
        masks = {}
        for key in key_slices:
            layer = region.stack.nearest(key.position_mm)
            if layer not in region.layers:
                raise InvalidOptionError(
                    f"The corrected slice at {key.position_mm:.1f} mm is none of the structure's slices. Enlarge the "
                    "ROI, or leave it out."
                )
            mask_hw = self._mask_in_box(key, region, layer, chosen) if key.mask_hw is None else key.mask_hw
            if mask_hw.shape != region.stack.plane(layer).shape_hw:
                raise InvalidPromptError(
                    f"The corrected slice at {key.position_mm:.1f} mm has a mask of {mask_hw.shape} pixels; the slice "
                    f"has {region.stack.plane(layer).shape_hw}."
                )
            masks[layer] = mask_hw
        return masks

    def _mask_in_box(self, key: KeySlice, region: RoiSlices, layer: int, chosen: ChosenViews) -> _Masks:
        """The model's answer to a corrected box, as it is."""
        plane, box = region.stack.plane(layer), key.box
        mask_hw = np.zeros(plane.shape_hw, dtype=bool)
        field = FieldOfView.around(region.largest_box, max(view.factor for view in chosen.views), plane)
        shown = None if box is None else field.box(box)
        if shown is None:
            raise InvalidPromptError(f"The box {box} on the slice at {key.position_mm:.1f} mm is not near the ROI.")
        image = field.image(self.volume, plane, self.window)
        (prediction,) = self.segmenter.predict(image, [Prompt(box=shown)])
        logits = self.segmenter.model.logits_on_slice(prediction.logits[0], field.shown_hw)
        rows = field.first_row + np.arange(field.crop_hw[0])
        columns = field.first_column + np.arange(field.crop_hw[1])
        mask_hw[np.ix_(rows, columns)] = field.on_slice(logits, rows, columns) > self.options.logit_threshold
        return mask_hw

    def structure(
        self,
        block: MaskBlock | None,
        results: Sequence[SliceResult],
        region: RoiSlices,
        masks: _Masks,
        evidence: Evidence,
    ) -> Structure:
        """What is handed back."""
        return Structure(
            block=block,
            slices=tuple(results),
            orientation=region.stack.orientation,
            window=self.window,
            level=self.level.name,
            encode_seconds=evidence.encode_seconds,
            decode_seconds=evidence.decode_seconds,
            roi=region.roi,
            touches_roi_border=is_cut_off(masks, region),
        )
