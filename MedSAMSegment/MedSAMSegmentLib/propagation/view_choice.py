"""Which view of a structure the model understands best: the whole slice shows its surroundings, a near one its outline.

Neither wins always, and how large the structure is, in pixels or in mm, does not tell which one will: see
``Testing/Benchmarks``, section "Whole structures". The model's own doubts do, if it is asked away from the centre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.propagation.confidence import stability
from MedSAMSegmentLib.propagation.evidence import Evidence, View, gather_evidence
from MedSAMSegmentLib.propagation.field_of_view import FieldOfView
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_PROBED_AT = (-0.6, 0.6)
"""Heights in the ROI's ellipsoid: in the middle every view does well, and says so."""


@dataclass(frozen=True)
class ChosenViews:
    """The views that are taken.

    Attributes:
        views: some of those to choose from.
        across: layers of other planes that are looked at as well, in the first of the views.
        encode_seconds: that the choice took.
        decode_seconds: likewise.
    """

    views: tuple[View, ...]
    across: tuple[RoiSlices, ...] = ()
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0


def trust_in_views(evidence: Evidence) -> npt.NDArray[np.float64]:
    """(views,) mean over the layers of predicted IoU and stability: how sure the model is of each view."""
    stable = [np.mean([stability(logits, 0.0) for logits in layers]) for layers in evidence.logits]
    return (evidence.predicted_iou.mean(axis=1) + np.array(stable)) / 2


def choose_view(
    volume: Volume,
    region: RoiSlices,
    views: Sequence[View],
    segmenter: Segmenter,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> ChosenViews:
    """The view that the model is surest of on two of the layers; the first one of several that are equally good.

    That takes one encoder pass more on these two layers for each further view. The answers depend on the ROI only, not
    on corrections, so that the choice stays the same while a structure is corrected.

    Args:
        volume: not changed.
        region: the structure's layers, all of them.
        views: to choose from. Those that show the same pixels, because the slice ends there, count as one.
        segmenter: with the embeddings that are kept.
        cancelled: asked between batches.

    Raises:
        CancelledError: ``cancelled`` said so.
    """
    fields = [FieldOfView.around(region.largest_box, view.factor, region.plane(0)) for view in views]
    different = [view for n, view in enumerate(views) if fields[n] not in fields[:n]]
    if len(different) == 1:
        return ChosenViews((different[0],))
    probed = replace(region, layers=_probed_layers(region))
    boxes = [(box, probed.shrunk_box(n)) for n, box in enumerate(probed.boxes)]
    evidence = gather_evidence(volume, probed, boxes, different, segmenter, cancelled=cancelled)
    best = different[int(np.argmax(trust_in_views(evidence)))]
    return ChosenViews((best,), (), evidence.encode_seconds, evidence.decode_seconds)


def _probed_layers(region: RoiSlices) -> tuple[int, ...]:
    heights = np.array([region.ellipsoid.height_on(region.plane(n)) for n in range(len(region.layers))])
    return tuple(sorted({region.layers[int(np.argmin(np.abs(heights - height)))] for height in _PROBED_AT}))
