"""Boxes around masks, lines, outlines and rectangles: expected values are the shapes' own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.box_around import (
    box_along_line,
    box_around_mask,
    box_around_outline,
    box_on_rectangle,
    rectangular_box,
)
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from support.rotations import pose, rotation, rotations
from support.shapes import voxel_centers_ras


def corners(box):
    return {tuple(corner) for corner in np.round(box.corners_ras, 6) + 0.0}


def mask_on(grid, k, j, i):
    shape = (k[1] - k[0] + 1, j[1] - j[0] + 1, i[1] - i[0] + 1)
    return MaskBlock(np.ones(shape, dtype=bool), (*i, *j, *k), grid)


def holds(box, points_ras, tolerance=1e-6):
    own = (points_ras - box.center_ras) @ np.linalg.inv(box.object_to_ras[:3, :3]).T
    return (np.abs(own) <= box.size_mm / 2 + tolerance).all(axis=-1)


def test_the_box_of_a_mask_reaches_the_outer_faces_of_its_voxels():
    grid = VolumeGeometry((8, 10, 12), np.diag([1.0, 2.0, 5.0, 1.0]))
    box = box_around_mask(mask_on(grid, (2, 3), (1, 4), (5, 9)))
    np.testing.assert_allclose(box.corners_ras.min(axis=0), (4.5, 1.0, 7.5))
    np.testing.assert_allclose(box.corners_ras.max(axis=0), (9.5, 9.0, 17.5))
    np.testing.assert_allclose(box.size_mm, (5, 8, 10))


def test_only_voxels_that_are_set_count():
    grid = VolumeGeometry((4, 4, 4), np.eye(4))
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1, 2, 3] = True
    box = box_around_mask(MaskBlock(mask, (0, 3, 0, 3, 0, 3), grid))
    np.testing.assert_allclose(box.center_ras, (3, 2, 1))
    np.testing.assert_allclose(box.size_mm, (1, 1, 1))


def test_the_margin_is_in_millimetres_on_every_side():
    grid = VolumeGeometry((8, 10, 12), np.diag([0.5, 2.0, 5.0, 1.0]))
    box = box_around_mask(mask_on(grid, (2, 3), (1, 4), (5, 9)), margin_mm=3.0)
    np.testing.assert_allclose(box.size_mm, np.array([2.5, 8, 10]) + 6)


@given(turn=rotations, flips=st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
def test_the_box_of_a_mask_turns_with_its_grid(turn, flips):
    scale = np.array([1.0, 2.0, 5.0]) * flips
    grid = VolumeGeometry((8, 10, 12), pose(turn, scale, (7, -3, 2)))
    box = box_around_mask(mask_on(grid, (2, 3), (1, 4), (5, 9)), margin_mm=0.4)
    np.testing.assert_allclose(box.size_mm, (5.8, 8.8, 10.8))
    inside = np.zeros(grid.shape_kji, dtype=bool)
    inside[2:4, 1:5, 5:10] = True
    np.testing.assert_array_equal(holds(box, voxel_centers_ras(grid)), inside)
    np.testing.assert_allclose(box.object_to_ras[:3, :3] @ box.object_to_ras[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(box.object_to_ras[:3, :3]) == pytest.approx(1)


def test_an_empty_mask_has_no_box():
    grid = VolumeGeometry((4, 4, 4), np.eye(4))
    with pytest.raises(InvalidPromptError, match="not empty"):
        box_around_mask(MaskBlock(np.zeros((2, 2, 2), dtype=bool), (0, 1, 0, 1, 0, 1), grid))


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf")])
def test_a_margin_is_a_number_from_zero_on(margin):
    grid = VolumeGeometry((8, 10, 12), np.eye(4))
    with pytest.raises(InvalidPromptError, match="margin"):
        box_around_mask(mask_on(grid, (2, 3), (1, 4), (5, 9)), margin)


def test_a_sheared_box_is_held_by_the_rectangular_one_along_its_first_edge():
    shear = np.eye(4)
    shear[0, 1] = 0.5
    box = OrientedBox(shear, np.array([10.0, 20.0, 30.0]))
    straight = rectangular_box(box)
    # Sheared by half along X over 20 mm: 10 mm wider there.
    np.testing.assert_allclose(straight.size_mm, (20, 20, 30))
    np.testing.assert_allclose(straight.object_to_ras[:3, :3], np.eye(3), atol=1e-12)
    assert holds(straight, box.corners_ras).all()


@pytest.mark.parametrize(
    ("start", "end", "normal"),
    [
        ((10, 0, 5), (16, 8, 5), (0, 0, 1)),  # in an axial slice
        ((10, 5, 0), (16, 5, 8), (0, 1, 0)),  # coronal
        ((5, 10, 0), (5, 16, 8), (1, 0, 0)),  # sagittal
        ((0, 0, 0), (10, 0, 0), (0, 0, 1)),  # axial and coronal: either gives the same cube
    ],
)
def test_a_line_is_the_length_of_a_cube_that_is_parallel_to_the_slice_it_was_drawn_in(start, end, normal):
    box = box_along_line(start, end)
    np.testing.assert_allclose(box.size_mm, (10, 10, 10))
    np.testing.assert_allclose(box.center_ras, (np.array(start) + end) / 2)
    directions = box.object_to_ras[:3, :3]
    np.testing.assert_allclose(directions[:, 0], (np.array(end) - start) / 10)
    np.testing.assert_allclose(np.abs(directions[:, 2]), normal, atol=1e-12)


@given(turn=rotations, radius=st.floats(1, 50))
def test_a_diameter_of_a_sphere_gives_a_cube_that_the_sphere_touches_from_inside(turn, radius):
    center = np.array([3.0, -4.0, 5.0])
    box = box_along_line(center - turn[:, 0] * radius, center + turn[:, 0] * radius)
    directions = box.object_to_ras[:3, :3]
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)
    for direction in directions.T:
        low, high = box.interval_along(direction)
        np.testing.assert_allclose((low, high), direction @ center + np.array([-radius, radius]), atol=1e-6)


@pytest.mark.parametrize("end", [(1, 2, 3), (float("nan"), 0, 0)])
def test_a_line_without_length_is_refused(end):
    with pytest.raises(InvalidPromptError, match="no length"):
        box_along_line((1, 2, 3), end)


def circle(radius, axes, center=(1.0, 2.0, 3.0), count=64):
    angle = np.arange(count) * 2 * np.pi / count
    return np.column_stack((np.cos(angle), np.sin(angle))) @ (axes[:, :2] * radius).T + center


@pytest.mark.parametrize("turn", [(0, 0, 0), (90, 0, 0), (0, 90, 0)])
def test_an_outline_on_a_slice_gives_a_box_parallel_to_the_slice(turn):
    axes = rotation(*turn)
    box = box_around_outline(circle(np.array([20.0, 10.0]), axes), thickness_mm=6.0)
    expected = np.abs(axes @ (40, 20, 6))
    np.testing.assert_allclose(np.ptp(box.corners_ras, axis=0), expected, atol=1e-9)
    np.testing.assert_allclose(box.center_ras, (1, 2, 3), atol=1e-9)


def test_without_a_thickness_an_outlines_box_is_as_thick_as_its_shorter_side():
    box = box_around_outline(circle(np.array([20.0, 10.0]), np.eye(3)))
    np.testing.assert_allclose(np.ptp(box.corners_ras, axis=0), (40, 20, 20), atol=1e-9)


@given(turn=rotations)
def test_an_outline_on_an_oblique_plane_lies_in_the_middle_of_its_box(turn):
    points = circle(10.0, turn)
    box = box_around_outline(points, thickness_mm=6.0)
    assert holds(box, points).all()
    low, high = box.interval_along(turn[:, 2])
    np.testing.assert_allclose((low, high), turn[:, 2] @ (1, 2, 3) + np.array([-3.0, 3.0]), atol=1e-6)
    # Around a circle, whatever the direction of the box's edges in the plane.
    np.testing.assert_allclose(np.sort(box.size_mm), (6, 20, 20), rtol=0.01)


def test_an_outline_that_leaves_its_plane_is_held_whole():
    points = circle(20.0, np.eye(3))
    points[::2, 2] += 4.0
    box = box_around_outline(points, thickness_mm=1.0)
    assert holds(box, points).all()


@pytest.mark.parametrize("points", [[(0, 0, 0), (1, 1, 1)], [(n, 2 * n, 3 * n) for n in range(9)], [(1, 1, 1)] * 5])
def test_an_outline_that_surrounds_nothing_is_refused(points):
    with pytest.raises(InvalidPromptError, match="surround"):
        box_around_outline(np.array(points, dtype=float))


def test_a_rectangle_is_the_middle_of_its_box():
    edges = np.array([[30.0, 0.0], [0.0, 0.0], [0.0, 10.0]])  # along R and S
    box = box_on_rectangle((1, 2, 3), edges, thickness_mm=4.0)
    assert corners(box) == {(1 + x, 2 + y, 3 + z) for x in (-15, 15) for y in (-2, 2) for z in (-5, 5)}
    np.testing.assert_allclose(box_on_rectangle((1, 2, 3), edges).size_mm, (30, 10, 10))


@pytest.mark.parametrize("edges", [[[1.0, 2.0], [0, 0], [0, 0]], [[0.0, 1.0], [0, 0], [0, 0]]])
def test_a_rectangle_without_area_is_refused(edges):
    with pytest.raises(InvalidPromptError, match="no area"):
        box_on_rectangle((0, 0, 0), np.array(edges))


@pytest.mark.parametrize("thickness", [0.0, -1.0, float("nan")])
def test_a_thickness_is_longer_than_zero(thickness):
    with pytest.raises(InvalidPromptError, match="thickness"):
        box_around_outline(circle(10.0, np.eye(3)), thickness)
    with pytest.raises(InvalidPromptError, match="thickness"):
        box_on_rectangle((0, 0, 0), np.eye(3)[:, :2], thickness)
