import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from support.rotations import plane_about, pose, rotation, rotations

AXIAL = SlicePlane(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (100, 100))
sizes = st.lists(st.integers(4, 240).map(lambda quarters: quarters / 4), min_size=3, max_size=3)
# Never so near to a face that rounding decides.
heights = st.integers(-200, 200).map(lambda tenths: tenths / 10 + 0.0031)


def test_box_parallel_to_the_plane_gives_its_own_edges_in_pixels():
    box = OrientedBox.from_bounds((10, 20, -5), (30, 25, 5)).box_on(AXIAL)
    np.testing.assert_allclose(box.xyxy, (10, 20, 30, 25))


def test_pixel_spacing_and_origin_are_taken_into_account():
    plane = SlicePlane(np.array([5.0, 5, 0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (2.0, 0.5), (100, 100))
    box = OrientedBox.from_bounds((10, 20, -5), (30, 25, 5)).box_on(plane)
    np.testing.assert_allclose(box.xyxy, (2.5, 30, 12.5, 40))


def test_rotated_roi_gives_the_tight_box_of_its_cross_section():
    # A square of side 20 turned by 45° about the normal reaches 10√2 to every side.
    box = OrientedBox(pose(rotation(0, 0, 45), origin=(50, 50, 0)), np.array([20, 20, 8])).box_on(AXIAL)
    np.testing.assert_allclose(box.xyxy, np.array([-1, -1, 1, 1]) * 10 * np.sqrt(2) + 50)


def test_cube_cut_across_its_diagonal_shows_a_regular_hexagon():
    # The plane through the centre of a cube of side a, across a space diagonal, cuts a hexagon of side a/√2.
    diagonal = np.array([1, 1, 1]) / np.sqrt(3)
    across = np.array([1, -1, 0]) / np.sqrt(2)
    plane = plane_about((0, 0, 0), np.column_stack((across, np.cross(diagonal, across))), 1.0, (100, 100))
    polygon = OrientedBox(np.eye(4), np.array([20, 20, 20])).cross_section(plane)
    assert len(polygon) == 6
    sides = np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, 20 / np.sqrt(2))


def test_parent_transform_with_scale_and_shear_moves_the_corners_with_it():
    transform = np.array([[2.0, 0.5, 0, 50], [0, 1, 0, 50], [0, 0, 1, 0], [0, 0, 0, 1]])
    box = OrientedBox(transform, np.array([10, 10, 10])).box_on(AXIAL)
    np.testing.assert_allclose(box.xyxy, (50 - 12.5, 45, 50 + 12.5, 55))


def test_plane_that_misses_the_roi_has_no_cross_section_and_no_box():
    roi = OrientedBox.from_bounds((10, 20, 1), (30, 25, 5))
    assert roi.cross_section(AXIAL).shape == (0, 2)
    assert roi.box_on(AXIAL) is None


def test_plane_through_a_face_counts_as_cutting_it_and_through_an_edge_does_not():
    assert OrientedBox.from_bounds((10, 20, 0), (30, 25, 5)).box_on(AXIAL) is not None
    standing_on_an_edge = OrientedBox(pose(rotation(45, 0, 0), origin=(50, 50, 10 * np.sqrt(0.5))), np.full(3, 10.0))
    assert standing_on_an_edge.box_on(AXIAL) is None


def test_box_is_clipped_to_the_pixels_of_the_plane():
    box = OrientedBox.from_bounds((-10, 20, -5), (30, 250, 5)).box_on(AXIAL)
    np.testing.assert_allclose(box.xyxy, (-0.5, 20, 30, 99.5))
    assert OrientedBox.from_bounds((-10, 20, -5), (-1, 250, 5)).box_on(AXIAL) is None


def test_box_of_a_clipped_cross_section_is_tight_around_what_remains():
    # A diamond whose lower corner touches row 0 at column 0: of its right half, only columns up to 10√2 remain.
    diamond = OrientedBox(pose(rotation(0, 0, 45), origin=(-10, 10 * np.sqrt(2), 0)), np.array([20, 20, 8]))
    box = diamond.box_on(AXIAL)
    half = 10 * np.sqrt(2) - 9.5
    np.testing.assert_allclose(box.xyxy, (-0.5, 10 * np.sqrt(2) - half, 10 * np.sqrt(2) - 10, 10 * np.sqrt(2) + half))


def test_silhouette_of_a_thin_roi_between_two_slices_is_its_outline():
    roi = OrientedBox.from_bounds((10, 20, 0.3), (30, 25, 0.4))
    assert roi.box_on(AXIAL) is None
    np.testing.assert_allclose(roi.box_on(AXIAL, thickness_mm=1.0).xyxy, (10, 20, 30, 25))
    assert roi.box_on(AXIAL, thickness_mm=0.5) is None


@settings(max_examples=40, deadline=None)
@given(rotations, rotations, sizes, heights)
def test_box_on_any_plane_is_the_bounding_box_of_the_plane_s_points_in_the_roi(box_turn, plane_turn, size, height):
    roi = OrientedBox(pose(box_turn), np.array(size))
    step = 0.5
    plane = plane_about(plane_turn[:, 2] * height, plane_turn, step, (240, 240))
    row, column = np.indices(plane.shape_hw)
    points = np.stack((column, row), axis=-1) @ plane.pixel_to_ras[:3, :2].T + plane.origin_ras
    inside = (np.abs(points @ box_turn) <= np.array(size) / 2).all(axis=-1)
    box = roi.box_on(plane)
    if not inside.any():
        # Whatever is there is thinner than the sampled points are apart, in one direction at least.
        polygon = roi.cross_section(plane)
        assert box is None or min(np.linalg.svd(polygon - polygon.mean(axis=0))[1]) < 4
        return
    assert box.x_min <= column[inside].min() + 1e-6
    assert box.y_min <= row[inside].min() + 1e-6
    assert box.x_max >= column[inside].max() - 1e-6
    assert box.y_max >= row[inside].max() - 1e-6
    # Tight: every side of the box touches a corner of the polygon, and the corners are points of the ROI in the plane.
    corners = roi.cross_section(plane)
    corners_ras = corners @ plane.pixel_to_ras[:3, :2].T + plane.origin_ras
    assert (np.abs(corners_ras @ box_turn) <= np.array(size) / 2 + 1e-3).all()
    on_pixels = np.clip(np.concatenate((corners.min(axis=0), corners.max(axis=0))), -0.5, 239.5)
    np.testing.assert_allclose(box.xyxy, on_pixels, atol=1e-6)


def test_interval_along_a_direction_is_the_extent_of_the_box():
    roi = OrientedBox(pose(rotation(0, 0, 45), origin=(3, 0, 7)), np.array([20, 20, 8]))
    np.testing.assert_allclose(roi.interval_along((1, 0, 0)), (3 - 10 * np.sqrt(2), 3 + 10 * np.sqrt(2)))
    np.testing.assert_allclose(roi.interval_along((0, 0, 1)), (3, 11))


@pytest.mark.parametrize("size", [(0, 1, 1), (1, -2, 1), (1, 1, np.nan), (np.inf, 1, 1), (1, 1)])
def test_size_that_is_no_box_is_refused(size):
    with pytest.raises(InvalidPromptError, match="not a box"):
        OrientedBox(np.eye(4), np.array(size, dtype=float))


def test_transform_that_flattens_the_roi_is_refused():
    with pytest.raises(InvalidPromptError, match="flat"):
        OrientedBox(np.diag([1.0, 1, 0, 1]), np.ones(3))


def test_matrix_that_is_not_linear_is_refused():
    with pytest.raises(InvalidPromptError, match="cannot be computed"):
        OrientedBox(np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.1, 0, 0, 1]]), np.ones(3))


@pytest.mark.parametrize("matrix", [np.diag([1e308, 1e308, 1e308, 1.0]), pose(np.eye(3), origin=(1e300, 0, 0))])
def test_a_box_beyond_any_patient_is_refused(matrix):
    with pytest.raises(InvalidPromptError, match="kilometres"):
        OrientedBox(matrix, np.array([1e2, 1e2, 1e2]))
