"""The slices that an ROI crosses: which pixels may belong to the structure, and what the model is asked there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.geometry.cross_section_mask import pixels_in_roi
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.inscribed_ellipsoid import InscribedEllipsoid

_MARGIN, _MARGIN_PIXELS = 0.15, 2
"""Of the ROI's size, on either side: surroundings that brightness is compared with."""

_TOLERANCE = 1e-4
"""In pixels, and in half sides of the ROI: a centre on a face of the ROI is inside."""


@dataclass(frozen=True)
class RoiSlices:
    """The layers of a stack that an ROI crosses, and one rectangle of pixels that holds the ROI on all of them.

    Attributes:
        stack: of the volume.
        roi: of the structure.
        layers: indices into the stack, increasing.
    """

    stack: SliceStack
    roi: OrientedBox
    layers: tuple[int, ...]

    @classmethod
    def of(cls, stack: SliceStack, roi: OrientedBox, slices: Sequence[float] | str = "all") -> RoiSlices:
        """All layers that an ROI crosses, its ``center`` one, or those nearest to some positions (mm).

        Raises:
            InvalidPromptError: the ROI, or a position, lies outside the volume.
            InvalidOptionError: no such choice, or a position that the ROI does not cross.
        """
        crossed = stack.slab_crossed(roi)
        if slices == "all":
            return cls(stack, roi, tuple(crossed))
        if slices == "center":
            return cls(stack, roi, (stack.center_layer(roi),))
        if isinstance(slices, str):
            raise InvalidOptionError(f"There is no choice of slices {slices!r}. Use all, center, or positions in mm.")
        layers = sorted({stack.nearest(position) for position in slices})
        outside = [layer for layer in layers if layer not in crossed]
        if outside:
            raise InvalidOptionError(
                f"The ROI does not cross the slice at {stack.position_mm(outside[0]):.1f} mm: it goes from "
                f"{stack.position_mm(crossed[0]):.1f} to {stack.position_mm(crossed[-1]):.1f} mm."
            )
        return cls(stack, roi, tuple(layers))

    def plane(self, n: int) -> SlicePlane:
        """The whole plane of the n-th of the layers."""
        return self.stack.plane(self.layers[n])

    @cached_property
    def boxes(self) -> tuple[BoxPrompt, ...]:
        """The ROI's tight box on each of the layers."""
        boxes = [self.stack.box_on(layer, self.roi) for layer in self.layers]
        return tuple(box for box in boxes if box is not None)

    @cached_property
    def largest_box(self) -> BoxPrompt:
        """Around the boxes of all layers: the ROI seen along the stack."""
        boxes = np.array([box.xyxy for box in self.boxes])
        return BoxPrompt(*(float(value) for value in (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))))

    @cached_property
    def rows(self) -> npt.NDArray[np.intp]:
        """Consecutive rows of the planes' pixels that hold the ROI and some of what surrounds it."""
        return _pixels_around(self.largest_box.y_min, self.largest_box.y_max, self.plane(0).shape_hw[0])

    @cached_property
    def columns(self) -> npt.NDArray[np.intp]:
        """Columns likewise."""
        return _pixels_around(self.largest_box.x_min, self.largest_box.x_max, self.plane(0).shape_hw[1])

    @cached_property
    def ellipsoid(self) -> InscribedEllipsoid:
        return InscribedEllipsoid(self.roi)

    def squared_radius(self, n: int) -> npt.NDArray[np.float32]:
        """(rows, columns) on the n-th layer: 0 at the ROI's centre, 1 on the ellipsoid in it."""
        unit = self.ellipsoid.unit_coordinates(self.plane(n), self.rows, self.columns)
        return np.square(unit).sum(axis=0).astype(np.float32)

    def is_inside(self, n: int) -> npt.NDArray[np.bool_]:
        """(rows, columns) on the n-th layer: the pixels whose centre the ROI holds.

        Where it is so thin that it lies between two layers, those in its silhouette; see `pixels_in_roi`.
        """
        unit = self.ellipsoid.unit_coordinates(self.plane(n), self.rows, self.columns)
        inside: npt.NDArray[np.bool_] = np.all(np.abs(unit) <= 1 + _TOLERANCE, axis=0)
        if inside.any():
            return inside
        plane = self.plane(n).crop(int(self.columns[0]), int(self.rows[0]), (len(self.rows), len(self.columns)))
        return pixels_in_roi(self.roi, plane, self.stack.thickness_mm)

    def shrunk_box(self, n: int) -> BoxPrompt:
        """The box of the ROI's ellipsoid on the n-th layer, a tenth of the ROI's at least and not beyond it."""
        box = self.boxes[n]
        ellipse = self.ellipsoid.box_on(self.plane(n))
        if ellipse is None:
            return box
        return BoxPrompt(
            *_kept_wide(ellipse.x_min, ellipse.x_max, box.x_min, box.x_max)[:1],
            *_kept_wide(ellipse.y_min, ellipse.y_max, box.y_min, box.y_max)[:1],
            *_kept_wide(ellipse.x_min, ellipse.x_max, box.x_min, box.x_max)[1:],
            *_kept_wide(ellipse.y_min, ellipse.y_max, box.y_min, box.y_max)[1:],
        )


def _pixels(low: float, high: float) -> npt.NDArray[np.intp]:
    first, last = math.ceil(low - _TOLERANCE), math.floor(high + _TOLERANCE)
    if last < first:
        first = last = math.ceil((low + high) / 2 - 0.5)
    return np.arange(first, last + 1)


def _pixels_around(low: float, high: float, count: int) -> npt.NDArray[np.intp]:
    reach = _MARGIN * (high - low) + _MARGIN_PIXELS
    first, last = (int(end) for end in _pixels(low - reach, high + reach)[[0, -1]])
    return np.arange(max(first, 0), min(last, count - 1) + 1)


def _kept_wide(low: float, high: float, outer_low: float, outer_high: float) -> tuple[float, float]:
    """An interval within another one, and not shorter than a tenth of it."""
    half = max(high - low, (outer_high - outer_low) / 10) / 2
    middle = min(max((low + high) / 2, outer_low + half), outer_high - half)
    return max(middle - half, outer_low), min(middle + half, outer_high)
