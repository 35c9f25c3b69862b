import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.free_plane import finest_spacing, plane_of_view, plane_through
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.prompts import BoxPrompt
from support.rotations import pose, rotation, rotations
from support.storage_orders import all_storage_orders

SHAPE_KJI = (10, 12, 14)

# SliceToRAS of Slicer's default views (vtkMRMLSliceNode::SetOrientationToAxial, …): X to the right, Y up, normal.
DEFAULT_VIEWS = {
    "axial": np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "sagittal": np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]]),
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]]),
}


def random_volume(ijk_to_ras) -> Volume:
    voxels = np.random.default_rng(3).integers(-1000, 1000, SHAPE_KJI, dtype=np.int16)
    return Volume(voxels, VolumeGeometry(SHAPE_KJI, ijk_to_ras))


def assert_same_plane(plane: SlicePlane, expected: SlicePlane) -> None:
    assert plane.shape_hw == expected.shape_hw
    np.testing.assert_array_equal(plane.pixel_to_ras, expected.pixel_to_ras)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_default_view_on_a_layer_is_that_layer(orientation):
    for volume in all_storage_orders(random_volume(pose(np.eye(3), (0.7, 0.9, 2.5), (3, 4, 5)))):
        stack = SliceStack.of(volume.geometry, orientation)
        layer = stack.plane(4)
        # A view's origin lies anywhere on its plane, far off the volume too.
        somewhere = layer.center_ras + 80 * layer.column_direction_ras - 33.3 * layer.row_direction_ras
        plane = plane_of_view(pose(DEFAULT_VIEWS[orientation], 1.0, somewhere), volume.geometry)
        assert_same_plane(plane, layer)
        np.testing.assert_array_equal(sample(volume, plane), sample(volume, layer))


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_view_turned_by_quarters_or_mirrored_is_still_that_layer(turn, mirrored):
    geometry = random_volume(pose(rotation(10, 20, 30), (0.7, 0.9, 2.5))).geometry
    layer = SliceStack.of(geometry, "axial").plane(4)
    view = np.column_stack((layer.column_direction_ras, -layer.row_direction_ras, -layer.normal_ras))
    view = view @ rotation(0, 0, turn) * ((-1 if mirrored else 1), 1, 1)
    assert_same_plane(plane_of_view(pose(view, 1.0, layer.center_ras), geometry), layer)


def test_view_turned_within_a_layer_keeps_its_own_edges():
    geometry = random_volume(np.eye(4)).geometry
    view = DEFAULT_VIEWS["axial"] @ rotation(0, 0, 30)
    plane = plane_of_view(pose(view, 1.0, (0, 0, 4)), geometry)
    np.testing.assert_allclose(plane.column_direction_ras, view[:, 0])
    np.testing.assert_allclose(plane.row_direction_ras, -view[:, 1])


def test_view_between_two_layers_is_interpolated_or_snapped_as_asked():
    volume = random_volume(pose(np.eye(3), (1, 1, 2)))
    view = pose(DEFAULT_VIEWS["axial"], 1.0, (0, 0, 8.5))
    between = sample(volume, plane_of_view(view, volume.geometry))
    stack = SliceStack.of(volume.geometry, "axial")
    expected = 0.75 * sample(volume, stack.plane(4)) + 0.25 * sample(volume, stack.plane(5)).astype(float)
    np.testing.assert_allclose(between, expected, atol=1e-3)
    assert_same_plane(plane_of_view(view, volume.geometry, layer_tolerance=0.5), stack.plane(4))


@settings(max_examples=60, deadline=None)
@given(rotations, rotations, st.floats(-3, 3))
def test_pixels_of_an_oblique_view_cover_the_whole_cross_section(volume_turn, view_turn, height):
    geometry = random_volume(pose(volume_turn, (0.8, 1.0, 1.7))).geometry
    middle = geometry.corners_ras.mean(axis=0)
    plane = plane_of_view(pose(view_turn, 1.0, middle + height * view_turn[:, 2]), geometry)
    assert abs((middle + height * view_turn[:, 2] - plane.origin_ras) @ view_turn[:, 2]) < 0.02 * 1.7
    # Points of the plane beyond its pixels are outside the volume.
    reach = np.linspace(-25, 25, 101)
    around = (
        middle + height * view_turn[:, 2] + reach[:, None, None] * view_turn[:, 0] + reach[:, None] * view_turn[:, 1]
    )
    index = around @ geometry.ras_to_ijk[:3, :3].T + geometry.ras_to_ijk[:3, 3]
    inside = ((index > -0.5) & (index < np.array(SHAPE_KJI[::-1]) - 0.5)).all(axis=-1)
    pixel = around @ plane.ras_to_pixel[:2, :3].T + plane.ras_to_pixel[:2, 3]
    rows, columns = plane.shape_hw
    covered = ((pixel > -0.51) & (pixel < np.array([columns, rows]) - 0.49)).all(axis=-1)
    assert covered[inside].all()
    # And not much more than that: no border of a whole millimetre.
    assert np.ptp(pixel[inside], axis=0).max() * plane.spacing_mm[0] > max(plane.shape_hw) * plane.spacing_mm[0] - 2.5


def test_sampling_step_is_the_finest_spacing_in_the_plane():
    geometry = VolumeGeometry(SHAPE_KJI, pose(np.eye(3), (0.5, 0.8, 3.0)))
    coronal = plane_of_view(pose(DEFAULT_VIEWS["coronal"], 1.0, (0, 3, 4.1)), geometry)
    assert coronal.spacing_mm == (0.5, 0.5)
    tilted = plane_through((0, 1, 1), (3, 4, 15), geometry)
    assert tilted.spacing_mm[0] == pytest.approx(0.5)
    sagittal = SlicePlane(np.zeros(3), np.array([0.0, -1, 0]), np.array([0.0, 0, -1]), (1, 1), (1, 1))
    assert finest_spacing(sagittal, geometry) == pytest.approx(0.8)


def test_no_more_pixels_than_the_model_can_use():
    geometry = VolumeGeometry((100, 3000, 2000), pose(np.eye(3), 0.1))
    plane = plane_through((0.1, 0, 1), (100, 150, 5), geometry)
    assert max(plane.shape_hw) <= 1024
    assert max(plane_through((0.1, 0, 1), (100, 150, 5), geometry, longest_side=256).shape_hw) == 256


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("sense", [1, -1])
def test_normal_and_point_on_a_layer_give_that_layer(orientation, sense):
    geometry = random_volume(pose(rotation(10, 20, 30), (0.7, 0.9, 2.5))).geometry
    layer = SliceStack.of(geometry, orientation).plane(4)
    assert_same_plane(plane_through(sense * 3 * layer.normal_ras, layer.origin_ras, geometry), layer)


@pytest.mark.parametrize(
    ("normal", "columns_towards", "rows_towards"),
    [
        ((0.2, 0.1, 1), (-1, 0, 0), (0, -1, 0)),
        ((1, 0.1, 0.2), (0, -1, 0), (0, 0, -1)),
        ((0.1, -1, 0.2), (-1, 0, 0), (0, 0, -1)),
        ((0, 1, 1), (-1, 0, 0), (0, -1, 0)),
    ],
)
def test_oblique_normal_is_turned_as_the_default_view_nearest_to_it(normal, columns_towards, rows_towards):
    for sense in (1, -1):
        plane = plane_through(sense * np.array(normal), (7, 6, 5), random_volume(np.eye(4)).geometry)
        assert plane.column_direction_ras @ columns_towards > 0.7
        assert plane.row_direction_ras @ rows_towards > 0.7
        assert abs(plane.normal_ras @ normal) == pytest.approx(np.linalg.norm(normal))
        assert plane.column_direction_ras @ plane.row_direction_ras == pytest.approx(0, abs=1e-12)


def test_plane_that_misses_the_image_or_is_none_is_refused():
    geometry = random_volume(np.eye(4)).geometry
    with pytest.raises(InvalidPromptError, match="does not reach"):
        plane_through((0, 0, 1), (0, 0, 50), geometry)
    with pytest.raises(InvalidOptionError, match="does not exist"):
        plane_through((0, 0, 0), (0, 0, 5), geometry)
    with pytest.raises(InvalidOptionError, match="does not exist"):
        plane_through((0, np.nan, 1), (0, 0, 5), geometry)
    with pytest.raises(InvalidOptionError, match="no usable orientation"):
        plane_of_view(np.diag([1.0, 0, 1, 1]), geometry)


def test_field_of_view_around_a_box_is_a_part_of_the_same_pixels():
    volume = random_volume(np.eye(4))
    plane = SliceStack.of(volume.geometry, "axial").plane(4)
    part = plane.around(BoxPrompt(3.5, 4.5, 5.5, 7.5), 3)
    assert part.shape_hw == (9, 6)
    np.testing.assert_array_equal(sample(volume, part), sample(volume, plane)[2:11, 2:8])
    np.testing.assert_array_equal(
        sample(volume, plane.around(BoxPrompt(3.5, 4.5, 5.5, 7.5), 100)), sample(volume, plane)
    )


def test_resampled_plane_covers_the_same_area():
    plane = SliceStack.of(random_volume(np.eye(4)).geometry, "axial").plane(4)
    finer = plane.resampled((0.5, 0.5))
    assert finer.shape_hw == (24, 28)
    np.testing.assert_allclose(finer.center_ras, plane.center_ras)
    # Outer edges of the corner pixels.
    np.testing.assert_allclose(
        (finer.pixel_to_ras @ (-0.5, -0.5, 0, 1)), (plane.pixel_to_ras @ (-0.5, -0.5, 0, 1)), atol=1e-12
    )


def test_view_has_the_centre_size_and_spacing_that_were_asked_for():
    plane = SliceStack.of(random_volume(pose(rotation(10, 20, 30))).geometry, "axial").plane(4)
    view = plane.view((1, 2, 3), (40, 20), (0.5, 0.25))
    assert view.shape_hw == (80, 80)
    np.testing.assert_allclose(view.center_ras, (1, 2, 3))
    np.testing.assert_array_equal(view.row_direction_ras, plane.row_direction_ras)
