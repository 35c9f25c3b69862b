"""Whole structures that are no balls: elongated, branching, ending early, at the ROI's border, on thick slices."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.propagation.structure import Structure, segment_structure
from support.shapes import voxel_centers_ras
from support.threshold_model import ThresholdModel

LEVELS = pytest.mark.parametrize("level", ["fast", "best"])


def grid(spacing=(1.0, 1.0, 2.0), size_mm=60.0) -> VolumeGeometry:
    """A cube of this size around the origin."""
    shape_kji = tuple(round(size_mm / step) for step in spacing[::-1])
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = [-(count - 1) / 2 * step for count, step in zip(shape_kji[::-1], spacing, strict=True)]
    return VolumeGeometry(shape_kji, matrix)


def rod(points: np.ndarray, start, end, radius: float) -> np.ndarray:
    """Points within a radius of a segment."""
    start, along = np.array(start), np.array(end) - np.array(start)
    share = np.clip((points - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(points - start - share[..., None] * along, axis=-1) <= radius


def segmented(truth: np.ndarray, geometry: VolumeGeometry, level: str, margin_mm: float = 0.0) -> Structure:
    """From the truth's tight box, wider by a margin; bright on dark, with noise."""
    noise = np.random.default_rng(11).integers(-10, 10, truth.shape)
    volume = Volume((np.where(truth, 200, 20) + noise).astype(np.int16), geometry)
    kji = np.argwhere(truth)
    low, high = (kji.min(axis=0)[::-1], kji.max(axis=0)[::-1])
    i, j, k = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
    tight = OrientedBox.around_grid(geometry.crop((*i, *j, *k)))
    roi = OrientedBox(tight.object_to_ras, tight.size_mm + 2 * margin_mm)
    return segment_structure(volume, roi, ThresholdModel(), level=level)


def dice(structure: Structure, truth: np.ndarray) -> float:
    found = np.zeros_like(truth) if structure.block is None else structure.block.whole()
    return 2 * float(np.count_nonzero(found & truth)) / (np.count_nonzero(found) + np.count_nonzero(truth))


@LEVELS
def test_a_tilted_rod_is_found_to_its_ends_in_the_corners_of_the_roi(level):
    geometry = grid()
    truth = rod(voxel_centers_ras(geometry), (-14, -12, -20), (14, 12, 20), 4.0)
    structure = segmented(truth, geometry, level)
    assert dice(structure, truth) > 0.95
    assert all(result.voxels > 0 for result in structure.slices)


@LEVELS
def test_both_branches_of_a_fork_are_found(level):
    geometry = grid()
    points = voxel_centers_ras(geometry)
    left, right = rod(points, (0, 0, 0), (-15, 0, 20), 4.0), rod(points, (0, 0, 0), (15, 0, 20), 4.0)
    truth = left | right | rod(points, (0, 0, -20), (0, 0, 0), 4.0)
    structure = segmented(truth, geometry, level)
    assert dice(structure, truth) > 0.95
    found = structure.block.whole()
    above = points[..., 2] > 10
    for branch in (left, right):
        assert np.count_nonzero(found & branch & above) > 0.8 * np.count_nonzero(branch & above)


@LEVELS
def test_a_structure_that_ends_before_the_roi_does_leaves_its_slices_empty(level):
    geometry = grid()
    points = voxel_centers_ras(geometry)
    truth = np.linalg.norm(points, axis=-1) <= 10.0
    noise = np.random.default_rng(11).integers(-10, 10, truth.shape)
    volume = Volume((np.where(truth, 200, 20) + noise).astype(np.int16), geometry)
    roi = OrientedBox.from_bounds((-11, -11, -11), (11, 11, 25))
    structure = segment_structure(volume, roi, ThresholdModel(), level=level)
    assert dice(structure, truth) > 0.95
    assert all(result.voxels == 0 for result in structure.slices if result.position_mm > 11)


@LEVELS
def test_two_parts_with_a_gap_between_them_are_both_found_and_the_gap_is_doubtful(level):
    geometry = grid()
    points = voxel_centers_ras(geometry)
    truth = (np.linalg.norm(points[..., :2], axis=-1) <= 9.0) & (np.abs(points[..., 2]) <= 20)
    truth &= np.abs(points[..., 2]) > 4
    structure = segmented(truth, geometry, level)
    assert dice(structure, truth) > 0.95
    gap = [result for result in structure.slices if abs(result.position_mm) < 4]
    assert gap and all(result.voxels == 0 and result.is_doubtful for result in gap)


@LEVELS
@pytest.mark.parametrize("thickness", [5.0, 10.0])
def test_thick_slices_are_enough_for_an_elongated_structure(level, thickness):
    geometry = grid((1.0, 1.0, thickness))
    truth = rod(voxel_centers_ras(geometry), (-10, -4, -22), (10, 4, 22), 7.0)
    structure = segmented(truth, geometry, level)
    assert dice(structure, truth) > 0.95


@LEVELS
def test_a_structure_at_the_border_of_the_image_is_found_up_to_it(level):
    geometry = grid()
    points = voxel_centers_ras(geometry)
    truth = np.linalg.norm(points - np.array([25.0, 0.0, 24.0]), axis=-1) <= 12.0
    structure = segmented(truth, geometry, level)
    assert dice(structure, truth) > 0.95
    assert structure.touches_roi_border


@LEVELS
def test_a_wide_roi_is_no_worse_than_a_tight_one(level):
    geometry = grid()
    truth = np.linalg.norm(voxel_centers_ras(geometry) / np.array([14.0, 9.0, 16.0]), axis=-1) <= 1
    assert dice(segmented(truth, geometry, level, margin_mm=5.0), truth) > 0.95


@LEVELS
@pytest.mark.parametrize("seed", range(4))
def test_an_roi_whose_faces_are_a_tenth_off_costs_no_more_than_what_it_leaves_out(level, seed):
    geometry = grid()
    points = voxel_centers_ras(geometry)
    truth = np.linalg.norm(points / np.array([14.0, 9.0, 16.0]), axis=-1) <= 1
    noise = np.random.default_rng(11).integers(-10, 10, truth.shape)
    volume = Volume((np.where(truth, 200, 20) + noise).astype(np.int16), geometry)
    size = np.array([28.0, 18.0, 32.0])
    low, high = np.random.default_rng(seed).uniform(-0.1, 0.1, (2, 3)) * size + np.array([-0.5, 0.5])[:, None] * size
    structure = segment_structure(volume, OrientedBox.from_bounds(low, high), ThresholdModel(), level=level)
    inside = truth & np.all((points >= low) & (points <= high), axis=-1)
    best_possible = 2 * np.count_nonzero(inside) / (np.count_nonzero(inside) + np.count_nonzero(truth))
    assert dice(structure, truth) > best_possible - 0.03
