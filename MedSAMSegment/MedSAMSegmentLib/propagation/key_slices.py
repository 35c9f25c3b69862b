"""Slices that a person corrected: they stay as they are, and say what to expect on the slices between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices

_SOFT_SHARE = 0.1
"""Of the shorter side of the ROI's box: how far from an expected outline one is sure of inside or outside."""

_FAR_MM = 1e3
"""Distance to an outline that does not exist."""


@dataclass(frozen=True)
class KeySlice:
    """A corrected slice: either its mask, or a new box for the model.

    Attributes:
        position_mm: R, A or S coordinate of the slice's centre.
        mask_hw: (rows, columns) bool on the whole plane that `SliceStack` has there, or None; may be empty.
        box: in pixels of that plane, or None.

    Raises:
        InvalidPromptError: there is neither a mask nor a box, or both.
    """

    position_mm: float
    mask_hw: npt.NDArray[np.bool_] | None = None
    box: BoxPrompt | None = None

    def __post_init__(self) -> None:
        if (self.mask_hw is None) == (self.box is None):
            raise InvalidPromptError(
                f"The corrected slice at {self.position_mm:.1f} mm needs either a mask or a box. Give one of them."
            )


@dataclass(frozen=True)
class ExpectedShape:
    """What corrected slices say of another one.

    Attributes:
        level: (rows, columns) from -1, outside, over 0 on the outline to 1, inside.
        share: how much this counts against what the ROI itself says, 0 to 1.
    """

    level: npt.NDArray[np.float32]
    share: float

    def box(self, region: RoiSlices, otherwise: BoxPrompt) -> BoxPrompt:
        """The tight box of the shape, drawn towards another box as far as the shape does not count."""
        rows, columns = np.nonzero(self.level > 0)
        if rows.size == 0:
            return otherwise
        left, right = region.columns[columns.min()] - 0.5, region.columns[columns.max()] + 0.5
        top, bottom = region.rows[rows.min()] - 0.5, region.rows[rows.max()] + 0.5
        mixed = self.share * np.array([left, top, right, bottom]) + (1 - self.share) * np.array(otherwise.xyxy)
        return BoxPrompt(*(float(value) for value in mixed))


def expected_shapes(
    region: RoiSlices, masks_of_layers: Mapping[int, npt.NDArray[np.bool_]]
) -> list[ExpectedShape | None]:
    """What corrected layers say of each layer of a region.

    Between two of them, the outline whose signed distances are those of both, by the distance to each (Raya and Udupa
    1990). Beyond the outermost one its own outline, which counts less and less towards the end of the ROI.

    Args:
        region: the layers.
        masks_of_layers: for the corrected ones, by index into the stack, (rows, columns) on the whole plane.

    Returns:
        One entry a layer; None where nothing is corrected.
    """
    if not masks_of_layers:
        return [None] * len(region.layers)
    distances = {layer: _signed_distance(mask, region) for layer, mask in masks_of_layers.items()}
    keys = sorted(distances)
    spacing_mm = region.plane(0).spacing_mm
    box = region.largest_box
    softness = max(_SOFT_SHARE * min(box.width * spacing_mm[0], box.height * spacing_mm[1]), *spacing_mm)
    first, last = region.stack.slab_crossed(region.roi)[0], region.stack.slab_crossed(region.roi)[-1]
    shapes: list[ExpectedShape | None] = []
    for layer in region.layers:
        below = max((key for key in keys if key <= layer), default=None)
        above = min((key for key in keys if key >= layer), default=None)
        if above is None and below is not None:
            distance, trust = distances[below], 1 - (layer - below) / (max(last, layer) - below + 1)
        elif below is None and above is not None:
            distance, trust = distances[above], 1 - (above - layer) / (above - min(first, layer) + 1)
        elif below is not None and above is not None:
            share = (layer - below) / (above - below) if above > below else 0.0
            distance, trust = (1 - share) * distances[below] + share * distances[above], 1.0
        shapes.append(ExpectedShape(np.clip(distance / softness, -1, 1).astype(np.float32), trust))
    return shapes


def _signed_distance(mask_hw: npt.NDArray[np.bool_], region: RoiSlices) -> npt.NDArray[np.float32]:
    """(rows, columns) mm to the outline on the region's pixels: positive inside."""
    import SimpleITK as sitk  # only here, and only when a slice was corrected

    part = mask_hw[np.ix_(region.rows, region.columns)]
    if part.all() or not part.any():
        return np.full(part.shape, _FAR_MM if part.any() else -_FAR_MM, dtype=np.float32)
    image = sitk.GetImageFromArray(part.astype(np.uint8))
    image.SetSpacing(region.plane(0).spacing_mm)
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    return sitk.GetArrayFromImage(distance)
