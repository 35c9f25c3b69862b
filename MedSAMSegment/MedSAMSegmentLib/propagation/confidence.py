"""How far a slice's mask can be trusted, without knowing the truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_STABILITY_OFFSET = 1.0
"""Logits by which the threshold is raised and lowered, as SAM's automatic masks do (Kirillov et al. 2023)."""

DOUBTFUL_BELOW = 0.7
"""Confidence."""


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
    """Estimate of a slice's Dice, 0 to 1. Weights: see ``Testing/Benchmarks``, "Whole structures"."""
    return float(np.clip(0.25 * (predicted_iou + stable + agreement + neighbours), 0.0, 1.0))
