"""How much of a slice the model is shown around an ROI, and the way back to the slice's own pixels.

A small structure drowns in a 512-pixel slice that is scaled to 256; one that fills the view lacks its surroundings.
Everything here is counted in whole pixels of the slice, so that it does not depend on how the volume is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.slice_image import SliceImage
from MedSAMSegmentLib.intensity.window import Window, apply_window
from MedSAMSegmentLib.models.resampling import Region, Taps, interpolate, taps, upscale_bilinear
from MedSAMSegmentLib.prompts import BoxPrompt

_FEWEST_PIXELS = 256
"""Of the longest side: LiteMedSAM's input. A view with fewer is interpolated: the models know smooth images."""

_ANISOTROPY = 1.01
"""Pixels whose sides differ by more than this are made square: the models know undistorted images."""

_DIGITS = 4
"""Coordinates are rounded to these: files and storage orders differ in the last bits, and no pixel may hang on them."""


@dataclass(frozen=True)
class FieldOfView:
    """A rectangle of a slice's pixels, and the pixels that show it to the model.

    Attributes:
        first_row: of the slice's rows.
        first_column: of the slice's columns.
        crop_hw: rows and columns of the slice in the rectangle.
        shown_hw: rows and columns that the model is shown.
    """

    first_row: int
    first_column: int
    crop_hw: tuple[int, int]
    shown_hw: tuple[int, int]

    @classmethod
    def around(cls, box: BoxPrompt, factor: float, plane: SlicePlane) -> FieldOfView:
        """A square of ``factor`` times the longer side of a box, about its centre, as far as the plane has pixels.

        Args:
            box: in pixels of the plane, at least partly on them.
            factor: infinite for the whole plane.
            plane: the slice, whole.
        """
        spans = []
        column_mm, row_mm = plane.spacing_mm
        side_mm = factor * max(box.width * column_mm, box.height * row_mm)
        for low, high, step_mm, count in (
            (box.y_min, box.y_max, row_mm, plane.shape_hw[0]),
            (box.x_min, box.x_max, column_mm, plane.shape_hw[1]),
        ):
            if math.isinf(factor):
                spans.append((0, count))
                continue
            middle, half = (low + high) / 2, side_mm / step_mm / 2
            first = max(math.floor(round(middle - half + 0.5, _DIGITS)), 0)
            last = min(math.ceil(round(middle + half - 0.5, _DIGITS)), count - 1)
            spans.append((first, max(last - first + 1, 1)))
        (first_row, rows), (first_column, columns) = spans
        shown_mm = max(rows * row_mm, columns * column_mm) / _FEWEST_PIXELS
        step_mm = min(column_mm, row_mm)
        if shown_mm >= step_mm and max(column_mm, row_mm) <= _ANISOTROPY * step_mm:
            return cls(first_row, first_column, (rows, columns), (rows, columns))
        step_mm = min(shown_mm, step_mm)
        shown = tuple(max(1, math.floor(n * mm / step_mm + 0.5)) for n, mm in ((rows, row_mm), (columns, column_mm)))
        return cls(first_row, first_column, (rows, columns), (shown[0], shown[1]))

    def image(self, volume: Volume, plane: SlicePlane, window: Window | None) -> SliceImage:
        """What the model is shown of a slice.

        Args:
            volume: not changed.
            plane: the slice, whole.
            window: intensity mapping; None for RGB volumes.
        """
        crop = plane.crop(self.first_column, self.first_row, self.crop_hw)
        slice_hw = sample(volume, crop)
        pixels_u8 = slice_hw if window is None else apply_window(slice_hw, window)
        if self.shown_hw == self.crop_hw:
            return SliceImage(pixels_u8, crop)
        channels_first = np.moveaxis(np.atleast_3d(pixels_u8), 2, 0).astype(np.float32)
        shown = np.rint(upscale_bilinear(channels_first, self.shown_hw)).astype(np.uint8)
        (rows, columns), (row_mm, column_mm) = self.crop_hw, plane.spacing_mm[::-1]
        shown_plane = crop.view(
            crop.center_ras,
            (columns * column_mm, rows * row_mm),
            (columns * column_mm / self.shown_hw[1], rows * row_mm / self.shown_hw[0]),
        )
        return SliceImage(np.moveaxis(shown, 0, 2) if pixels_u8.ndim == 3 else shown[0], shown_plane)

    def box(self, box: BoxPrompt) -> BoxPrompt | None:
        """A box in pixels of the slice, in pixels of what is shown, as far as it is shown; None if it is not."""
        bounds = []
        for low, high, first, count, shown in (
            (box.x_min, box.x_max, self.first_column, self.crop_hw[1], self.shown_hw[1]),
            (box.y_min, box.y_max, self.first_row, self.crop_hw[0], self.shown_hw[0]),
        ):
            scale = shown / count
            ends = [
                round(min(max((value - first + 0.5) * scale - 0.5, -0.5), shown - 0.5), _DIGITS)
                for value in (low, high)
            ]
            if ends[1] <= ends[0]:
                return None
            bounds.append(ends)
        (x_min, x_max), (y_min, y_max) = bounds
        return BoxPrompt(x_min, y_min, x_max, y_max)

    def region(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Region:
        """The part of what is shown that `on_slice` needs.

        Args:
            rows: of the slice that are wanted: consecutive, and inside the rectangle.
            columns: likewise.
        """
        if self.shown_hw == self.crop_hw:
            return self._in_crop(rows, columns)
        row_taps, column_taps = self._taps(rows, columns)
        return (
            slice(int(row_taps[0][0]), int(row_taps[1][-1]) + 1),
            slice(int(column_taps[0][0]), int(column_taps[1][-1]) + 1),
        )

    def on_slice(
        self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """Values on the pixels that are shown, on the slice's own.

        Args:
            values: (…, rows, columns) of `region`.
            rows: as for `region`.
            columns: likewise.

        Returns:
            (…, rows, columns) float32.
        """
        if self.shown_hw == self.crop_hw:
            return values
        shifted = [
            (first - first[0], second - first[0], fraction) for first, second, fraction in self._taps(rows, columns)
        ]
        return interpolate(values, *shifted)

    def _in_crop(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Region:
        return (
            slice(int(rows[0]) - self.first_row, int(rows[-1]) - self.first_row + 1),
            slice(int(columns[0]) - self.first_column, int(columns[-1]) - self.first_column + 1),
        )

    def _taps(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> tuple[Taps, Taps]:
        row_slice, column_slice = self._in_crop(rows, columns)
        return (
            taps(self.shown_hw[0], self.crop_hw[0], row_slice),
            taps(self.shown_hw[1], self.crop_hw[1], column_slice),
        )
