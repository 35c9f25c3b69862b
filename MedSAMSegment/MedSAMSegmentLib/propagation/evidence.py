"""What the model says of each slice of an ROI, averaged over views and boxes, before anything is made of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.field_of_view import FieldOfView
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_SURE_LOGIT = 6.0
"""Logits are bent towards this: one answer that is beyond doubt must not outvote several others."""


@dataclass(frozen=True)
class View:
    """One way of looking at every slice.

    Attributes:
        factor: field of view, in multiples of the ROI's longer side; infinite for the whole slice.
        window: intensity mapping; None for RGB.
        weight: of its answers, before it is known how sure the model is of them.
    """

    factor: float
    window: Window | None
    weight: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """The model's answers on the layers of `RoiSlices`.

    Attributes:
        logits: (views, layers, rows, columns) float32 between -6 and 6, mean over boxes.
        predicted_iou: (views, layers) the model's own estimate for the first box.
        agreement: (layers,) mean Dice of the single answers' masks with the mask of their mean.
        encode_seconds: spent in the encoder.
        decode_seconds: spent on prompts and averaging.
    """

    logits: npt.NDArray[np.float32]
    predicted_iou: npt.NDArray[np.float32]
    agreement: npt.NDArray[np.float32]
    encode_seconds: float
    decode_seconds: float


def gather_evidence(
    volume: Volume,
    region: RoiSlices,
    boxes: Sequence[Sequence[BoxPrompt]],
    views: Sequence[View],
    segmenter: Segmenter,
    *,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Evidence:
    """Ask the model on every layer.

    Args:
        volume: not changed.
        region: the layers.
        boxes: for each layer, the boxes to ask with, in pixels of its whole plane; the first is the main one.
        views: each costs one encoder pass a layer.
        segmenter: with the embeddings that are kept.
        progress: told the share that is done, and what is going on.
        cancelled: asked between batches.

    Raises:
        CancelledError: ``cancelled`` said so.
    """
    count = len(region.layers)
    rows, columns = region.rows, region.columns
    logits = np.empty((len(views), count, len(rows), len(columns)), dtype=np.float32)
    predicted_iou = np.empty((len(views), count), dtype=np.float32)
    agreement = np.empty(count, dtype=np.float32)
    encode_seconds = decode_seconds = 0.0
    at_once = segmenter.model.batch_size
    for start in range(0, count, at_once):
        stop_if(cancelled)
        batch = range(start, min(start + at_once, count))
        began = time.perf_counter()
        fields = [FieldOfView.around(region.largest_box, view.factor, region.plane(0)) for view in views]
        images = [
            field.image(volume, region.plane(n), view.window)
            for n in batch
            for field, view in zip(fields, views, strict=True)
        ]
        embeddings = iter(segmenter.encode(images, cancelled=cancelled))
        encoded = time.perf_counter()
        for n in batch:
            answers = []
            for view, field in enumerate(fields):
                prompts = [Prompt(box=shown) for box in boxes[n] if (shown := field.box(box)) is not None]
                needed = field.region(rows, columns)
                decoded = segmenter.model.decode(next(embeddings), prompts, region=needed)
                on_view = segmenter.model.logits_on_slice(decoded.logits[:, 0], field.shown_hw, needed)
                on_slice = _SURE_LOGIT * np.tanh(field.on_slice(on_view, rows, columns) / _SURE_LOGIT)
                logits[view, n] = on_slice.mean(axis=0)
                predicted_iou[view, n] = decoded.predicted_iou[0, 0]
                answers.append(on_slice)
            agreement[n] = _mean_dice(np.concatenate(answers) > 0, logits[:, n].mean(axis=0) > 0)
        encode_seconds += encoded - began
        decode_seconds += time.perf_counter() - encoded
        if progress is not None:
            progress(batch.stop / count, f"Slice {batch.stop} of {count}")
    return Evidence(logits, predicted_iou, agreement, encode_seconds, decode_seconds)


def _mean_dice(masks: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> float:
    """Of several masks with one; 1 where both are empty."""
    both = np.count_nonzero(masks & reference, axis=(1, 2))
    sizes = np.count_nonzero(masks, axis=(1, 2)) + np.count_nonzero(reference)
    return math.fsum(2 * b / s if s else 1.0 for b, s in zip(both, sizes, strict=True)) / len(masks)
