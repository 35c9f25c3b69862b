"""Diameters of shapes whose diameters are known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from MedSAMSegmentSlicer.measurements import AxialDiameters, axial_diameters
from support.rotations import pose, rotation
from support.shapes import Block, Cylinder, Sphere, voxel_centers_ras


@dataclass(frozen=True)
class Ellipsoid:
    center_ras: npt.ArrayLike
    directions: npt.NDArray
    radii_mm: npt.ArrayLike

    def contains(self, points_ras):
        own = (points_ras - np.asarray(self.center_ras)) @ self.directions / np.asarray(self.radii_mm)
        return np.linalg.norm(own, axis=-1) <= 1


def grid_about(shape_kji, spacing_ijk, turn=None):
    """A grid whose middle is the origin."""
    matrix = pose(np.eye(3) if turn is None else turn, np.asarray(spacing_ijk, dtype=float))
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape_kji[::-1]) - 1) / 2)
    return VolumeGeometry(shape_kji, matrix)


def filled(shape, grid):
    k, j, i = (n - 1 for n in grid.shape_kji)
    return MaskBlock(shape.contains(voxel_centers_ras(grid)), (0, i, 0, j, 0, k), grid)


FINE = ((7, 100, 110), (0.6, 0.7, 3.0))


@pytest.mark.parametrize("degrees", [0, 27, 45, 90, 133])
def test_an_ellipsoid_has_the_diameters_of_its_largest_axial_section(degrees):
    grid = grid_about(*FINE)
    ellipsoid = Ellipsoid((0, 0, 0), rotation(0, 0, degrees), (20.0, 11.0, 9.0))
    found = axial_diameters(filled(ellipsoid, grid))
    assert found.longest_mm == pytest.approx(40.0, abs=0.7)
    assert found.perpendicular_mm == pytest.approx(22.0, abs=0.9)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70])
def test_a_box_is_as_long_as_its_diagonal_and_as_wide_as_the_longest_line_across_it(degrees):
    length, width = 36.0, 15.0
    grid = grid_about(*FINE)
    found = axial_diameters(filled(Block((0, 0, 0), rotation(0, 0, degrees), (length, width, 12.0)), grid))
    diagonal = np.hypot(length, width)
    assert found.longest_mm == pytest.approx(diagonal, abs=0.9)
    # A line at right angles to the diagonal, from one long side to the other.
    assert found.perpendicular_mm == pytest.approx(width * diagonal / length, abs=0.9)


def test_the_perpendicular_line_stays_in_the_structure():
    class Ring:
        def contains(self, points_ras):
            outer, inner = Cylinder((0, 0, 0), (0, 0, 1), 25.0, 12.0), Cylinder((0, 0, 0), (0, 0, 1), 15.0, 12.0)
            return outer.contains(points_ras) & ~inner.contains(points_ras)

    found = axial_diameters(filled(Ring(), grid_about(*FINE)))
    assert found.longest_mm == pytest.approx(50.0, abs=0.9)
    # The chord of the outer circle that touches the inner one, not the 50 mm across the hole.
    assert found.perpendicular_mm == pytest.approx(2 * np.sqrt(25.0**2 - 15.0**2), abs=1.5)


@pytest.mark.parametrize(
    "axes", [np.eye(3), np.eye(3)[:, [2, 0, 1]], np.eye(3)[:, [1, 2, 0]], np.diag([-1.0, -1.0, 1.0])]
)
def test_axial_is_axial_however_the_voxels_are_stored(axes):
    grid = grid_about((60, 60, 60), (1.0, 1.0, 1.0), axes)
    ellipsoid = Ellipsoid((0, 0, 0), np.eye(3), (18.0, 10.0, 27.0))
    found = axial_diameters(filled(ellipsoid, grid))
    # 54 mm long along S, which no axial slice shows.
    assert found.longest_mm == pytest.approx(36.0, abs=1.0)
    assert found.perpendicular_mm == pytest.approx(20.0, abs=1.0)


def test_a_volume_turned_a_little_is_measured_on_its_own_slices():
    grid = grid_about((9, 80, 80), (0.7, 0.7, 3.0), rotation(12, -8, 5))
    found = axial_diameters(filled(Sphere((0, 0, 0), 20.0), grid))
    assert found.longest_mm == pytest.approx(40.0, abs=0.8)
    assert found.perpendicular_mm == pytest.approx(40.0, abs=0.8)


def test_the_slice_where_the_structure_is_longest_counts_for_both_diameters():
    grid = VolumeGeometry((2, 30, 30), np.eye(4))
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[0, 5, 2:28] = True  # 26 × 1
    mask[1, 2:22, 2:20] = True  # 20 × 18, diagonal 26.9: longer
    found = axial_diameters(MaskBlock(mask, (0, 29, 0, 29, 0, 1), grid))
    assert found.longest_mm == pytest.approx(np.hypot(20, 18), abs=0.8)
    mask[1] = False
    mask[1, 2:20, 2:20] = True  # 18 × 18, diagonal 25.5: shorter than 26
    found = axial_diameters(MaskBlock(mask, (0, 29, 0, 29, 0, 1), grid))
    assert found.longest_mm == pytest.approx(26.0)
    assert found.perpendicular_mm == pytest.approx(1.0, abs=0.2)


def test_a_single_voxel_is_one_voxel_long_and_wide():
    grid = VolumeGeometry((5, 5, 5), np.diag([0.5, 2.0, 3.0, 1.0]))
    found = axial_diameters(MaskBlock(np.ones((1, 1, 1), dtype=bool), (2, 2, 2, 2, 2, 2), grid))
    assert found.longest_mm == pytest.approx(2.0)
    assert found.perpendicular_mm == pytest.approx(0.5, abs=0.1)


def test_nothing_has_no_diameter():
    grid = VolumeGeometry((5, 5, 5), np.eye(4))
    empty = MaskBlock(np.zeros((1, 2, 3), dtype=bool), (0, 2, 0, 1, 0, 0), grid)
    assert axial_diameters(None) == axial_diameters(empty) == AxialDiameters(0.0, 0.0)
