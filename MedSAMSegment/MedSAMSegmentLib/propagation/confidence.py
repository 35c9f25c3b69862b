"""How far a slice's mask can be trusted, without knowing the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.evidence import Evidence
from MedSAMSegmentLib.propagation.results import SliceResult
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_STABILITY_OFFSET = 1.0
"""Logits by which the threshold is raised and lowered, as SAM's automatic masks do (Kirillov et al. 2023)."""

DOUBTFUL_BELOW = 0.65
"""Confidence: flags some 30 % of the slices, and six to eight in ten of those whose Dice is below 0.7."""


def stability(logits: npt.NDArray[np.float32], threshold: float) -> float:
    """IoU of a slice's masks at a raised and a lowered threshold; 0 where there is no mask at all."""
    wide = np.count_nonzero(logits > threshold - _STABILITY_OFFSET)
    return float(np.count_nonzero(logits > threshold + _STABILITY_OFFSET)) / wide if wide else 0.0


def neighbour_dice(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(layers,) mean Dice of each layer's mask with those before and after it; 1 for a layer alone."""
    if len(masks) == 1:
        return np.ones(1)
    both = np.count_nonzero(masks[1:] & masks[:-1], axis=(1, 2))
    sizes = np.count_nonzero(masks, axis=(1, 2))
    pairs = sizes[1:] + sizes[:-1]
    dice = np.where(pairs > 0, 2 * both / np.maximum(pairs, 1), 1.0)
    return np.array(
        [np.mean(dice[max(n - 1, 0) : n + 1]) for n in range(len(masks))],
    )


def confidence(predicted_iou: float, stable: float, agreement: float, neighbours: float) -> float:
    """Estimate of a slice's Dice, 0 to 1: a line through the mean of the four.

    Fitted to 198 slices of 17 structures, whose Dice it correlates with by 0.78; a weight for each of the four gained
    0.01 and was not kept. See ``Testing/Benchmarks``, section "Whole structures".
    """
    mean = (predicted_iou + stable + agreement + neighbours) / 4
    return float(np.clip(1.55 * mean - 0.45, 0.0, 1.0))


def slice_results(
    masks: npt.NDArray[np.bool_],
    logits: npt.NDArray[np.float32],
    evidence: Evidence,
    region: RoiSlices,
    boxes: Sequence[BoxPrompt],
    is_key: npt.NDArray[np.bool_],
    options: MaskOptions,
) -> list[SliceResult]:
    """What is known of each layer.

    Args:
        masks: (layers, rows, columns) on ``region``.
        logits: likewise, of the whole structure.
        evidence: of the model.
        region: the layers.
        boxes: the prompts.
        is_key: (layers,) corrected by hand.
        options: with the threshold.
    """
    neighbours = neighbour_dice(masks)
    is_gap = _is_gap(masks)
    predicted_iou = evidence.predicted_iou.mean(axis=0)
    results = []
    for n, layer in enumerate(region.layers):
        stable = stability(logits[n], options.logit_threshold)
        trust = confidence(float(predicted_iou[n]), stable, float(evidence.agreement[n]), float(neighbours[n]))
        if is_gap[n]:
            trust = 0.0
        if is_key[n]:
            trust = 1.0
        results.append(
            SliceResult(
                position_mm=region.stack.position_mm(layer),
                plane=region.plane(n),
                box=boxes[n],
                predicted_iou=float(predicted_iou[n]),
                voxels=int(np.count_nonzero(masks[n])),
                stability=stable,
                agreement=float(evidence.agreement[n]),
                neighbour_dice=float(neighbours[n]),
                confidence=trust,
                is_doubtful=trust < DOUBTFUL_BELOW,
                is_key=bool(is_key[n]),
            )
        )
    return results


def _is_gap(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(layers,) empty, between others that are not: either there are two structures, or the model lost one."""
    used: npt.NDArray[np.bool_] = np.any(masks, axis=(1, 2))
    before, after = np.logical_or.accumulate(used), np.logical_or.accumulate(used[::-1])[::-1]
    return ~used & before & after
