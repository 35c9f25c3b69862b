"""From the model's answers on single slices to one structure.

What was tried, and what each part brings: ``Testing/Benchmarks``, section "Whole structures".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.propagation.evidence import Evidence
from MedSAMSegmentLib.propagation.intensity_evidence import brightness_bins, brightness_logits
from MedSAMSegmentLib.propagation.key_slices import ExpectedShape
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices
from MedSAMSegmentLib.propagation.view_choice import trust_in_views

_SMOOTHING_MM = 2.0
"""Sigma of the Gaussian across slices: neighbours that lie much further apart have no say."""

_TRUST_SCALE = 0.03
"""A view that the model is surer of by this much counts e times as much."""

_OWN_PLANE = 2.0
"""Weight of the structure's own slices against that of each of the other planes."""

_PRIOR_PER_DOUBT, _SURE = 15.0, 0.92
"""Logits at the ROI's centre for each unit of predicted IoU that is missing to being sure."""
_STRONGEST_PRIOR = 9.0
_UNLIKE_AN_ELLIPSOID, _LIKE_AN_ELLIPSOID = 0.55, 0.67
"""Dice of a view's own mask with the ROI's ellipsoid: from none of the prior to all of it."""
_FURTHEST_OUT = 1.5

_EXPECTED = np.float32(6.0)
"""Logits inside and outside of a shape that corrected slices make one expect."""

_BRIGHTNESS_PER_DOUBT = 10.0
"""Weight of brightness for each unit of predicted IoU that is missing to 1."""
_ROUNDS = 2
"""Brightness inside and outside is measured on the answer so far, and then once more."""


def fuse(
    evidence: Evidence,
    weights: Sequence[float],
    volume: Volume,
    region: RoiSlices,
    expected: Sequence[ExpectedShape | None] | None = None,
    across: Sequence[Evidence] = (),
) -> npt.NDArray[np.float32]:
    """Logits of the structure: what the model says, what is likely by the place in the ROI, and the brightness.

    The less sure the model is of itself, the more the other two count; the place counts only as far as the model's own
    mask resembles what one expects in a box, an ellipsoid: a hippocampus or a ventricle does not.

    Args:
        evidence: of every view.
        weights: of the views, before it is taken into account how sure the model is of each.
        volume: not changed.
        region: the slices.
        expected: what corrected slices say of each.
        across: of other planes, on the same layers.

    Returns:
        (layers, rows, columns) float32; minus infinity outside the ROI.
    """
    trust = trust_in_views(evidence)
    shares = np.asarray(weights) * np.exp((trust - trust.max()) / _TRUST_SCALE)
    shares /= shares.sum()
    shares *= _OWN_PLANE / (_OWN_PLANE + len(across))
    shares = np.append(shares, np.full(len(across), 1 / (_OWN_PLANE + len(across))))
    views = [logits for each in (evidence, *across) for logits in each.logits]
    view_iou = np.concatenate([each.predicted_iou.mean(axis=1) for each in (evidence, *across)])
    sureness = float(shares @ view_iou)

    radius = np.stack([region.squared_radius(n) for n in range(len(region.layers))])
    inside = np.stack([region.is_inside(n) for n in range(len(region.layers))])
    answer = np.zeros_like(views[0])
    for share, logits in zip(shares, views, strict=True):
        answer += np.float32(share) * logits
    answer = smoothed_across(answer, region.layers, region.stack.thickness_mm)
    likeness = max(_dice((logits > 0) & inside, radius <= 1) for logits in (*views, answer))
    likeness = (likeness - _UNLIKE_AN_ELLIPSOID) / (_LIKE_AN_ELLIPSOID - _UNLIKE_AN_ELLIPSOID)
    prior = np.clip(_PRIOR_PER_DOUBT * (_SURE - sureness), 0, _STRONGEST_PRIOR) * np.clip(likeness, 0, 1)
    answer += np.float32(prior) * np.clip(1 - radius, -_FURTHEST_OUT, _FURTHEST_OUT)
    for n, shape in enumerate(expected or ()):
        if shape is not None:
            own = np.float32(prior) * np.clip(1 - radius[n], -_FURTHEST_OUT, _FURTHEST_OUT)
            answer[n] += np.float32(shape.share) * (_EXPECTED * shape.level - own)

    bins = brightness_bins(volume, region)
    weight = np.float32(_BRIGHTNESS_PER_DOUBT * max(1 - sureness, 0.0))
    result = answer
    for _ in range(_ROUNDS):
        result = answer + weight * brightness_logits(bins, result, region)
    result[~inside] = -np.inf
    return result


def smoothed_across(
    logits: npt.NDArray[np.float32], layers: tuple[int, ...], thickness_mm: float
) -> npt.NDArray[np.float32]:
    """Average each layer with its neighbours in space, by their distance.

    Args:
        logits: (layers, rows, columns).
        layers: indices into the stack, increasing; gaps are distances.
        thickness_mm: of a layer.
    """
    distance_mm = np.subtract.outer(layers, layers) * thickness_mm
    weights = np.exp(-0.5 * (distance_mm / _SMOOTHING_MM) ** 2)
    weights[np.abs(distance_mm) > 3 * _SMOOTHING_MM] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    result = np.zeros_like(logits)
    for n, m in zip(*np.nonzero(weights), strict=True):
        result[n] += np.float32(weights[n, m]) * logits[m]
    return result


def _dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * float(np.count_nonzero(a & b)) / total if total else 1.0
