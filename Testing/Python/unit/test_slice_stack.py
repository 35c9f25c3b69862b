import numpy as np
import pytest
from hypothesis import given, settings

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, SliceStack, acquisition_orientation, voxel_axes
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from support.rotations import pose, rotation, rotations
from support.storage_orders import all_storage_orders

SHAPE_KJI = (4, 5, 6)


def numbered_volume(ijk_to_ras) -> Volume:
    return Volume(
        np.arange(np.prod(SHAPE_KJI), dtype=np.int16).reshape(SHAPE_KJI), VolumeGeometry(SHAPE_KJI, ijk_to_ras)
    )


def geometry(spacing, shape_kji=(10, 20, 30), origin=(0, 0, 0)) -> VolumeGeometry:
    return VolumeGeometry(shape_kji, pose(np.eye(3), spacing, origin))


def what_all_stacks_show(volume):
    shown = {}
    for orientation in ORIENTATIONS:
        stack = SliceStack.of(volume.geometry, orientation)
        planes = [stack.plane(index) for index in range(len(stack))]
        shown[orientation] = (
            [sample(volume, plane) for plane in planes],
            [plane.pixel_to_ras for plane in planes],
            [stack.position_mm(index) for index in range(len(stack))],
        )
    return shown


@pytest.mark.parametrize(
    ("orientation", "columns_towards", "rows_towards", "stacked_towards"),
    [
        ("axial", (-1, 0, 0), (0, -1, 0), (0, 0, 1)),  # patient's right on the left, anterior on top
        ("sagittal", (0, -1, 0), (0, 0, -1), (1, 0, 0)),  # anterior on the left, superior on top
        ("coronal", (-1, 0, 0), (0, 0, -1), (0, 1, 0)),  # patient's right on the left, superior on top
    ],
)
def test_slices_look_as_in_slicer_s_default_views(orientation, columns_towards, rows_towards, stacked_towards):
    for volume in all_storage_orders(numbered_volume(pose(np.eye(3), (1, 2, 3)))):
        stack = SliceStack.of(volume.geometry, orientation)
        plane = stack.plane(0)
        np.testing.assert_array_equal(plane.column_direction_ras, columns_towards)
        np.testing.assert_array_equal(plane.row_direction_ras, rows_towards)
        np.testing.assert_array_equal(np.sign(stack.step_ras), stacked_towards)


@pytest.mark.parametrize(
    "directions",
    [
        np.eye(3),
        rotation(10, -20, 30),
        rotation(0, 0, 45),
        rotation(45, 0, 0),
        rotation(0, 45, 0),
        rotation(45, 45, 0),
        rotation(90, 0, 180),
    ],
    ids=["straight", "oblique", "45 about S", "45 about R", "45 about A", "twice 45", "quarter turns"],
)
def test_all_48_storage_orders_show_the_same_pixels_at_the_same_places(directions):
    reference = None
    for volume in all_storage_orders(numbered_volume(pose(directions, (0.7, 1.1, 3.0), (5, -20, 100)))):
        shown = what_all_stacks_show(volume)
        reference = reference or shown
        for orientation in ORIENTATIONS:
            for pixels, expected in zip(shown[orientation][0], reference[orientation][0], strict=True):
                assert pixels.dtype == np.int16
                np.testing.assert_array_equal(pixels, expected)
            np.testing.assert_allclose(shown[orientation][1], reference[orientation][1], atol=1e-9)
            np.testing.assert_allclose(shown[orientation][2], reference[orientation][2], atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(rotations)
def test_any_direction_matrix_shows_the_same_in_all_storage_orders(directions):
    reference = None
    for number, volume in enumerate(all_storage_orders(numbered_volume(pose(directions, (0.5, 2.0, 1.0))))):
        if number % 5:
            continue
        shown = what_all_stacks_show(volume)
        reference = reference or shown
        for orientation in ORIENTATIONS:
            np.testing.assert_array_equal(shown[orientation][0], reference[orientation][0])
            np.testing.assert_allclose(shown[orientation][1], reference[orientation][1], atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(rotations)
def test_each_orientation_has_an_axis_of_its_own_and_its_coordinate_increases(directions):
    grid = VolumeGeometry(SHAPE_KJI, pose(directions, (1, 2, 3)))
    assert sorted(voxel_axes(grid)) == [0, 1, 2]
    for orientation in ORIENTATIONS:
        stack = SliceStack.of(grid, orientation)
        positions = [stack.position_mm(index) for index in range(len(stack))]
        assert (np.diff(positions) > 0).all()


def test_pixels_are_the_voxels_that_lie_there():
    volume = numbered_volume(pose(rotation(10, -20, 30), (0.7, 1.1, 3.0), (5, -20, 100)))
    for orientation in ORIENTATIONS:
        stack = SliceStack.of(volume.geometry, orientation)
        for index in range(len(stack)):
            plane = stack.plane(index)
            pixels = sample(volume, plane)
            for row, column in ((0, 0), (1, 2), (-1, -1)):
                place = (column % plane.shape_hw[1], row % plane.shape_hw[0], 0, 1)
                i, j, k = np.round((volume.geometry.ras_to_ijk @ plane.pixel_to_ras @ place)[:3]).astype(int)
                assert pixels[row, column] == volume.voxels_kji[k, j, i]


def test_parent_transform_moves_the_planes_and_not_the_pixels():
    volume = numbered_volume(pose(rotation(5, 0, 0), (1, 2, 3)))
    transform = pose(rotation(3, -8, 12), 1.0, (40, 50, 60))
    moved = Volume(volume.voxels_kji, VolumeGeometry(SHAPE_KJI, transform @ volume.geometry.ijk_to_ras))
    for orientation in ORIENTATIONS:
        stack, moved_stack = SliceStack.of(volume.geometry, orientation), SliceStack.of(moved.geometry, orientation)
        for index in range(len(stack)):
            np.testing.assert_array_equal(sample(volume, stack.plane(index)), sample(moved, moved_stack.plane(index)))
            np.testing.assert_allclose(
                moved_stack.plane(index).origin_ras, (transform @ (*stack.plane(index).origin_ras, 1))[:3]
            )


def test_sheared_volume_is_shown_by_its_own_layers():
    shear = np.array([[1.0, 0.2, 0.3], [0, 1, 0], [0, 0, 1]])
    volume = numbered_volume(pose(shear, 1.0))
    stack = SliceStack.of(volume.geometry, "axial")
    np.testing.assert_array_equal(sample(volume, stack.plane(2)), volume.voxels_kji[2, ::-1, ::-1])
    assert stack.thickness_mm == pytest.approx(1.0)


def test_nearest_layer_to_a_position_and_the_lower_one_half_way():
    for volume in all_storage_orders(Volume(np.zeros((10, 4, 4)), geometry((1, 1, 2.5), (10, 4, 4), (0, 0, -7)))):
        stack = SliceStack.of(volume.geometry, "axial")
        assert [stack.nearest(mm) for mm in (-8, -7, -5.8, -5.7, 15.5, 16.7)] == [0, 0, 0, 1, 9, 9]
        assert stack.nearest(-7 + 1.25) == 0
        assert stack.nearest(-7 + 3.75) == 1
        with pytest.raises(InvalidPromptError, match=r"17 mm is outside the image.*-7\.0 and 15\.5"):
            stack.nearest(17)
        with pytest.raises(InvalidPromptError):
            stack.nearest(float("nan"))


def test_slab_is_the_layers_whose_centre_plane_cuts_the_roi():
    for volume in all_storage_orders(Volume(np.zeros((10, 20, 30)), geometry((1, 1, 2)))):
        stack = SliceStack.of(volume.geometry, "axial")
        assert stack.slab_crossed(OrientedBox.from_bounds((2, 2, 3.9), (9, 9, 8.1))) == range(2, 5)
        assert stack.slab_crossed(OrientedBox.from_bounds((2, 2, 4), (9, 9, 8))) == range(2, 5)
        assert stack.slab_crossed(OrientedBox.from_bounds((2, 2, 4.1), (9, 9, 7.9))) == range(3, 4)
        assert stack.slab_crossed(OrientedBox.from_bounds((2, 2, -50), (9, 9, 50))) == range(10)


def test_slab_leaves_out_layers_on_which_a_turned_roi_is_outside_the_pixels():
    stack = SliceStack.of(geometry((1, 1, 1)), "axial")
    # A slanted bar: it enters the image at R = -0.5, where its lower side is at S = 4.
    bar = OrientedBox(pose(rotation(0, -45, 0), origin=(0, 10, 4.5)), np.array([40, 4, 2]))
    slab = stack.slab_crossed(bar)
    assert [index for index in range(10) if bar.box_on(stack.plane(index)) is not None] == list(slab)
    assert slab[0] == 3


def test_thin_roi_between_two_layers_belongs_to_the_nearest_one_and_has_its_outline_as_box():
    for volume in all_storage_orders(Volume(np.zeros((10, 20, 30)), geometry((1, 1, 2)))):
        stack = SliceStack.of(volume.geometry, "axial")
        roi = OrientedBox.from_bounds((2, 3, 6.7), (9, 10, 6.8))
        assert stack.slab_crossed(roi) == range(3, 4)
        # Columns run towards the patient's left, from R = 29; rows from A = 19 to the back.
        np.testing.assert_allclose(stack.box_on(3, roi).xyxy, (20, 9, 27, 16))
        assert stack.box_on(4, roi) is None
        half_way = OrientedBox.from_bounds((2, 3, 6.95), (9, 10, 7.05))
        assert stack.slab_crossed(half_way) == range(3, 4)


def test_centre_layer_of_an_roi_is_the_lower_one_half_way():
    for volume in all_storage_orders(Volume(np.zeros((10, 20, 30)), geometry((1, 1, 2)))):
        stack = SliceStack.of(volume.geometry, "axial")
        assert stack.center_layer(OrientedBox.from_bounds((2, 2, 3.9), (9, 9, 8.1))) == 3
        assert stack.center_layer(OrientedBox.from_bounds((2, 2, 3.9), (9, 9, 10.1))) == 3
        assert stack.center_layer(OrientedBox.from_bounds((2, 2, -100), (9, 9, 3))) == 0


def test_roi_outside_the_volume_is_refused_with_its_distance():
    stack = SliceStack.of(geometry((1, 1, 2)), "coronal")
    with pytest.raises(InvalidPromptError, match=r"outside the image, 10 mm away from it"):
        stack.slab_crossed(OrientedBox.from_bounds((40, 2, 3), (50, 9, 8)))


def test_roi_that_reaches_only_the_outer_half_of_the_last_layer_belongs_to_it():
    stack = SliceStack.of(geometry((1, 1, 2)), "axial")
    assert stack.slab_crossed(OrientedBox.from_bounds((2, 2, 18.5), (9, 9, 40))) == range(9, 10)


@pytest.mark.parametrize(
    ("spacing", "shape_kji", "expected"),
    [
        ((1, 1, 1), (10, 20, 30), "axial"),
        ((1, 1, 1.005), (10, 20, 30), "axial"),
        ((0.7, 0.7, 5), (10, 20, 30), "axial"),
        ((5, 0.7, 0.7), (10, 20, 30), "sagittal"),
        ((0.7, 5, 0.7), (10, 20, 30), "coronal"),
        ((1, 1, 0.5), (10, 20, 30), "axial"),
        ((1, 1, 5), (10, 1, 30), "coronal"),
        ((1, 1, 5), (10, 20, 1), "sagittal"),
        ((1, 2, 1), (1, 1, 30), "coronal"),
    ],
)
def test_acquisition_orientation_is_across_the_coarsest_spacing(spacing, shape_kji, expected):
    for volume in all_storage_orders(Volume(np.zeros(shape_kji), geometry(spacing, shape_kji))):
        assert acquisition_orientation(volume.geometry) == expected


def test_unknown_orientation_and_slice_are_refused():
    with pytest.raises(InvalidOptionError, match="axial, sagittal, coronal"):
        SliceStack.of(geometry((1, 1, 1)), "oblique")
    with pytest.raises(InvalidOptionError, match="from 0 to 9"):
        SliceStack.of(geometry((1, 1, 1)), "axial").plane(10)
