"""The ellipsoid that an ROI surrounds: what is likely to be inside before any voxel has been looked at.

Whoever draws a box around a lesion, an organ or a tumour leaves its corners empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.prompts import BoxPrompt


@dataclass(frozen=True)
class InscribedEllipsoid:
    """The largest ellipsoid in an ROI, as the ROI is turned, scaled and sheared.

    Attributes:
        roi: the box; the ellipsoid touches the middle of each of its faces.
    """

    roi: OrientedBox

    @cached_property
    def unit_to_ras(self) -> npt.NDArray[np.float64]:
        """(4, 4): the unit sphere, and the cube from -1 to 1 around it, to ellipsoid and ROI in RAS mm."""
        matrix = self.roi.object_to_ras.copy()
        matrix[:3, :3] = matrix[:3, :3] * (self.roi.size_mm / 2)
        return matrix

    def unit_coordinates(
        self, plane: SlicePlane, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float64]:
        """(3, rows, columns): pixels of a plane in units of the ROI's half sides: in the ROI from -1 to 1."""
        pixel_to_unit = np.linalg.inv(self.unit_to_ras) @ plane.pixel_to_ras
        along_column, along_row, _, offset = pixel_to_unit[:3].T[:, :, None, None]
        return along_column * columns + along_row * rows[:, None] + offset

    def height_on(self, plane: SlicePlane) -> float:
        """Where a plane cuts: 0 at the centre, 1 and -1 where the plane only touches the ellipsoid."""
        toward = self.unit_to_ras[:3, :3].T @ plane.normal_ras
        return float(plane.normal_ras @ (plane.origin_ras - self.roi.center_ras) / np.linalg.norm(toward))

    def box_on(self, plane: SlicePlane) -> BoxPrompt | None:
        """The tight box, in pixels of the plane, of the ellipse in which a plane cuts; None where it does not."""
        toward = self.unit_to_ras[:3, :3].T @ plane.normal_ras
        toward /= np.linalg.norm(toward)
        height = self.height_on(plane)
        if abs(height) >= 1.0:
            return None
        radius = math.sqrt(1.0 - height**2)
        unit_to_pixel = (plane.ras_to_pixel @ self.unit_to_ras)[:2]
        center = unit_to_pixel[:, :3] @ (height * toward) + unit_to_pixel[:, 3]
        across = unit_to_pixel[:, :3] - np.outer(unit_to_pixel[:, :3] @ toward, toward)
        half = radius * np.linalg.norm(across, axis=1)
        return BoxPrompt(*(float(value) for value in (*(center - half), *(center + half))))
