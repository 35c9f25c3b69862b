"""A segmented structure, and what is known of each of its slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import Orientation
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.prompts import BoxPrompt


@dataclass(frozen=True)
class SliceResult:
    """What was found on one slice.

    Attributes:
        position_mm: R, A or S coordinate of the slice's centre; for an oblique one, its distance from the origin.
        plane: the slice's pixels.
        box: the prompt.
        predicted_iou: the model's own estimate.
        voxels: that the structure has on this slice.
        stability: IoU of the masks at a higher and at a lower threshold, 0 to 1.
        agreement: how much the answers to different boxes and views agree, 0 to 1.
        neighbour_dice: mean Dice with the neighbouring slices' masks; 1 where it has no neighbour.
        confidence: estimate of this slice's Dice with the truth, from all of these; 1 for a corrected slice.
        is_doubtful: the confidence is low: look at it.
        is_key: corrected by hand, and kept as it was given.
    """

    position_mm: float
    plane: SlicePlane
    box: BoxPrompt
    predicted_iou: float
    voxels: int
    stability: float = 1.0
    agreement: float = 1.0
    neighbour_dice: float = 1.0
    confidence: float = 1.0
    is_doubtful: bool = False
    is_key: bool = False


@dataclass(frozen=True)
class Structure:
    """A segmented structure.

    Attributes:
        block: its voxels on the volume's grid; None if it has none.
        slices: by increasing position.
        orientation: of the slices, or ``oblique`` where a single plane was asked for.
        window: the intensities that the model was shown; None for RGB.
        level: how much work was done.
        encode_seconds: spent in the encoder.
        decode_seconds: spent on prompts and masks.
        roi: what it was segmented from; None for a single plane, and for what was grown from a segment.
        touches_roi_border: it is cut off by a face of the ROI, rather than ending there: the ROI may be too small.
    """

    block: MaskBlock | None
    slices: tuple[SliceResult, ...]
    orientation: Orientation | Literal["oblique"]
    window: Window | None
    level: str
    encode_seconds: float
    decode_seconds: float
    roi: OrientedBox | None = None
    touches_roi_border: bool = False

    @property
    def predicted_iou(self) -> float:
        """Mean of the slices'."""
        return float(np.mean([result.predicted_iou for result in self.slices]))

    @property
    def confidence(self) -> float:
        """Mean of the slices', each weighted with its voxels."""
        weights = np.array([result.voxels for result in self.slices], dtype=float)
        confidences = [result.confidence for result in self.slices]
        return float(np.average(confidences, weights=weights)) if weights.any() else float(np.mean(confidences))

    @property
    def doubtful_slices(self) -> tuple[SliceResult, ...]:
        """Those to look at, the least confident first."""
        return tuple(sorted((s for s in self.slices if s.is_doubtful), key=lambda s: s.confidence))
