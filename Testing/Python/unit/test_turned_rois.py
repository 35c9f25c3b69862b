"""Nothing outside a turned ROI: the model is asked with its bounding rectangle, which is larger."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.cross_section_mask import kept_in_turned_roi, pixels_in_roi
from MedSAMSegmentLib.geometry.free_plane import plane_through
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.propagation.single_plane import segment_on_plane
from MedSAMSegmentLib.propagation.structure import segment_structure
from support.rotations import pose, rotation
from support.threshold_model import ThresholdModel

GRID = VolumeGeometry((20, 80, 80), np.diag([1.0, 1.0, 5.0, 1.0]))
BRIGHT = Volume(np.full(GRID.shape_kji, 100, np.int16), GRID)
"""All of it: the structure is whatever the ROI holds."""


def roi(angles, center=(40.0, 40.0, 42.4), size=(30.0, 8.0, 2.0)) -> OrientedBox:
    return OrientedBox(pose(rotation(*angles), origin=center), np.array(size))


def outside_mm(block: MaskBlock, box: OrientedBox) -> np.ndarray:
    """(3,) how far, at most, voxel centres lie outside a box, along its own axes."""
    i_min, _, j_min, _, k_min, _ = block.extent_ijk
    ijk = np.argwhere(block.mask_kji)[:, ::-1] + (i_min, j_min, k_min)
    ras = np.column_stack((ijk, np.ones(len(ijk)))) @ block.grid.ijk_to_ras.T
    own = np.abs((ras @ np.linalg.inv(box.object_to_ras).T)[:, :3]) - box.size_mm / 2
    return np.maximum(own, 0).max(axis=0)


@pytest.mark.parametrize("level", ["fast", "best"])
@pytest.mark.parametrize("degrees", [0, 10, 45, 70])
def test_a_thin_turned_roi_between_two_layers_keeps_its_sides(degrees, level):
    # Between the layers at 40 and 45 mm: no centre lies in it.
    box = roi((0, 0, degrees))
    structure = segment_structure(BRIGHT, box, ThresholdModel(), level=level, window_rule="50,100", orientation="axial")
    # The ellipsoid's smaller box, and the likelihood of the ROI's corners, may leave some out; nothing comes in.
    np.testing.assert_allclose(outside_mm(structure.block, box)[:2], 0, atol=1e-3)
    assert structure.block.voxel_count >= 0.6 * 30 * 8


@pytest.mark.parametrize("degrees", [0, 10, 45, 70])
def test_the_pixels_of_a_thin_roi_are_those_whose_centre_its_silhouette_holds(degrees):
    box, plane = roi((0, 0, degrees)), SliceStack.of(GRID, "axial").plane(8)
    rows, columns = np.indices(plane.shape_hw)
    ras = np.stack((columns, rows, np.zeros(rows.shape), np.ones(rows.shape)), axis=-1) @ plane.pixel_to_ras.T
    own = np.abs((ras[..., :3] - box.center_ras) @ box.object_to_ras[:3, :3])
    expected = (own[..., 0] <= 15.001) & (own[..., 1] <= 4.001)
    np.testing.assert_array_equal(pixels_in_roi(box, plane, thickness_mm=5.0), expected)


def test_an_roi_thinner_than_a_pixel_has_the_pixels_beside_it():
    plane = SliceStack.of(GRID, "axial").plane(8)
    found = pixels_in_roi(roi((0, 0, 0), center=(40.0, 40.5, 40.0), size=(10.0, 0.2, 5.0)), plane)
    rows, columns = np.nonzero(found)
    ras = np.column_stack((columns, rows, np.zeros(len(rows)), np.ones(len(rows)))) @ plane.pixel_to_ras.T
    assert set(np.round(ras[:, 1])) <= {40.0, 41.0}
    assert len(set(np.round(ras[:, 0]))) == pytest.approx(11, abs=1)


def test_a_mask_in_an_roi_that_is_not_turned_stays_as_the_model_gave_it():
    plane = SliceStack.of(GRID, "axial").plane(8)
    everything = np.ones(plane.shape_hw, dtype=bool)
    straight = roi((0, 0, 0), center=(40.0, 40.0, 40.0))
    assert kept_in_turned_roi(everything, straight, plane) is everything
    turned = kept_in_turned_roi(everything, roi((0, 0, 30), center=(40.0, 40.0, 40.0)), plane)
    assert np.count_nonzero(turned) == pytest.approx(30 * 8, rel=0.05)


def test_on_an_oblique_plane_nothing_outside_a_turned_roi_is_kept():
    box = roi((0, 0, 30), center=(40.0, 40.0, 40.0), size=(30.0, 8.0, 12.0))
    plane = plane_through(np.array([0.0, 0.3, 1.0]), box.center_ras, GRID)
    structure = segment_on_plane(BRIGHT, box, plane, ThresholdModel(), window_rule="50,100")
    # Voxels count that lie within half a voxel of the plane: by that much, along its normal, they may be off.
    half_voxel = np.abs(box.object_to_ras[:3, :3].T @ (plane.normal_ras * (plane.normal_ras @ (0.5, 0.5, 2.5))))
    assert (outside_mm(structure.block, box) <= half_voxel + 1e-3).all()
