import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from support.rotations import plane_about, pose, rotation, rotations
from support.shapes import pixel_centers_ras, voxel_centers_ras
from support.storage_orders import all_storage_orders

GRADIENT = np.array([2.0, -3.0, 5.0])


def volume_of(voxels_kji, ijk_to_ras=None) -> Volume:
    return Volume(voxels_kji, VolumeGeometry(voxels_kji.shape[:3], np.eye(4) if ijk_to_ras is None else ijk_to_ras))


def linear_field(ijk_to_ras, shape_kji=(12, 14, 16)) -> Volume:
    grid = VolumeGeometry(shape_kji, ijk_to_ras)
    return Volume((voxel_centers_ras(grid) @ GRADIENT + 7).astype(np.float32), grid)


def random_volume(dtype=np.int16, shape=(6, 7, 8)) -> Volume:
    return volume_of(np.random.default_rng(1).integers(0, 256, shape).astype(dtype))


def test_layer_is_a_view_of_the_voxels():
    volume = random_volume()
    pixels = sample(volume, SliceStack.of(volume.geometry, "coronal").plane(3))
    np.testing.assert_array_equal(pixels, volume.voxels_kji[::-1, 3, ::-1])
    assert np.shares_memory(pixels, volume.voxels_kji)


def test_rounding_of_single_precision_matrices_does_not_start_interpolation():
    matrix = pose(rotation(10, 20, 30), 0.7, (-123.4, 56.7, -890.1))
    volume = volume_of(np.random.default_rng(1).integers(0, 9, (30, 256, 256), dtype=np.int16), matrix)
    exact = SliceStack.of(volume.geometry, "axial").plane(9)
    rounded = SlicePlane(
        exact.origin_ras.astype(np.float32),
        exact.column_direction_ras.astype(np.float32),
        exact.row_direction_ras.astype(np.float32),
        tuple(float(np.float32(spacing)) for spacing in exact.spacing_mm),
        exact.shape_hw,
    )
    assert sample(volume, rounded).dtype == np.int16
    np.testing.assert_array_equal(sample(volume, rounded), sample(volume, exact))


def test_plane_larger_than_the_layer_is_filled_around_it():
    volume = random_volume()
    plane = SliceStack.of(volume.geometry, "axial").plane(2)
    larger = sample(volume, plane.crop(-2, -1, (11, 12)), fill=-5)
    assert larger.dtype == np.int16
    np.testing.assert_array_equal(larger[1:8, 2:10], sample(volume, plane))
    larger[1:8, 2:10] = -5
    assert (larger == -5).all()


def test_part_of_a_layer_is_that_part_and_a_layer_beyond_the_volume_is_fill():
    volume = random_volume()
    plane = SliceStack.of(volume.geometry, "axial").plane(2)
    np.testing.assert_array_equal(sample(volume, plane.crop(3, 2, (4, 5))), sample(volume, plane)[2:6, 3:8])
    sticking_out = np.pad(sample(volume, plane)[2:6, :2], ((0, 0), (3, 0)), constant_values=volume.voxels_kji.min())
    np.testing.assert_array_equal(sample(volume, plane.crop(-3, 2, (4, 5))), sticking_out)
    beyond = plane_about((3.0, 3.0, 50.0), np.eye(3), 1.0, (7, 8))
    assert (sample(volume, beyond, fill=3) == 3).all()


@settings(max_examples=40, deadline=None)
@given(rotations, rotations, st.floats(-3, 3))
def test_interpolation_reproduces_a_linear_field_on_any_plane(volume_turn, plane_turn, height):
    volume = linear_field(pose(volume_turn, (0.8, 1.0, 1.7), (10, 20, 30)))
    middle = volume.geometry.corners_ras.mean(axis=0)
    plane = plane_about(middle + plane_turn[:, 2] * height, plane_turn, 0.6, (60, 50))
    points = pixel_centers_ras(plane)
    index = points @ volume.geometry.ras_to_ijk[:3, :3].T + volume.geometry.ras_to_ijk[:3, 3]
    last = np.array(volume.geometry.shape_kji[::-1]) - 1
    between_centres = ((index >= 0) & (index <= last)).all(axis=-1)
    beyond = ((index < -0.5 - 1e-6) | (index > last + 0.5 + 1e-6)).any(axis=-1)
    within = ((index > -0.5 + 1e-6) & (index < last + 0.5 - 1e-6)).all(axis=-1)
    pixels = sample(volume, plane, fill=-12345.0)
    np.testing.assert_allclose(pixels[between_centres], (points @ GRADIENT + 7)[between_centres], rtol=1e-5, atol=2e-3)
    assert (pixels[beyond] == -12345).all()
    assert (pixels[within] != -12345).all()


def test_outer_half_of_the_outermost_voxels_has_their_value():
    volume = volume_of(np.full((3, 3, 3), 9.0))
    plane = plane_about((1, 1, 2.4), np.eye(3), 0.1, (35, 35))
    assert (sample(volume, plane, fill=0.0)[4:31, 4:31] == 9).all()
    assert (sample(volume, plane_about((1, 1, 2.6), np.eye(3), 0.1, (35, 35)), fill=0.0) == 0).all()


def test_single_layer_can_be_cut_across():
    volume = volume_of(np.arange(64, dtype=np.int16).reshape(1, 8, 8))
    pixels = sample(volume, plane_about((3, 3.5, 0), rotation(45, 0, 0), 0.25, (40, 8)), fill=-1)
    assert pixels.max() > 0
    assert (pixels[0] == -1).all()


def test_all_storage_orders_interpolate_to_the_same_pixels():
    volume = random_volume(np.float32)
    plane = plane_about((3.5, 3, 2.5), rotation(20, 30, 40), 0.5, (20, 24))
    expected = sample(volume, plane)
    for stored in all_storage_orders(volume):
        np.testing.assert_allclose(sample(stored, plane), expected, rtol=1e-5)


@pytest.mark.parametrize("step", [2, -1])
def test_voxels_that_are_no_line_in_memory_interpolate_alike(step):
    voxels = np.random.default_rng(2).integers(0, 1000, (12, 14, 16), dtype=np.int16)[::step, ::step, ::step]
    plane = plane_about((3.5, 3, 2.5), rotation(20, 30, 40), 0.5, (20, 24))
    np.testing.assert_array_equal(
        sample(volume_of(voxels), plane), sample(volume_of(np.ascontiguousarray(voxels)), plane)
    )


def test_rgb_stays_rgb_and_8_bit():
    volume = random_volume(np.uint8, (6, 7, 8, 3))
    layer = sample(volume, SliceStack.of(volume.geometry, "axial").plane(2))
    np.testing.assert_array_equal(layer, volume.voxels_kji[2, ::-1, ::-1])
    oblique = plane_about((3.5, 3, 2.5), rotation(20, 30, 40), 0.5, (20, 24))
    pixels = sample(volume, oblique)
    assert pixels.dtype == np.uint8
    for channel in range(3):
        grey = sample(volume_of(volume.voxels_kji[..., channel]), oblique, fill=0)
        np.testing.assert_allclose(pixels[..., channel], grey, atol=0.51)


def test_outside_is_air_as_the_volume_has_it():
    oblique = plane_about((3, 3, 3), rotation(20, 30, 40), 1.0, (60, 60))
    for lowest, air in ((-3024, -1000), (-1024, -1000), (-1000, -1000), (-150, -150), (0, 0), (12, 12)):
        voxels = np.full((6, 6, 6), 100, dtype=np.int16)
        voxels[3, 3, 3] = lowest
        assert sample(volume_of(voxels), oblique)[0, 0] == air
    with_nan = np.full((6, 6, 6), 100.0)
    with_nan[0, 0, :2] = np.nan, -np.inf
    assert sample(volume_of(with_nan), oblique)[0, 0] == 100
    assert sample(volume_of(np.full((6, 6, 6), np.nan)), oblique)[0, 0] == 0


def test_large_volume_is_never_converted_as_a_whole():
    volume = volume_of(np.zeros((300, 256, 256), dtype=np.int16))  # 39 MB; 79 MB as float32
    tracemalloc.start()
    sample(volume, plane_about((128, 128, 150), rotation(20, 30, 40), 1.0, (256, 256)))
    sample(volume, SliceStack.of(volume.geometry, "axial").plane(100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_voxels_stay_as_they_were():
    volume = random_volume()
    before = volume.voxels_kji.copy()
    sample(volume, plane_about((3.5, 3, 2.5), rotation(20, 30, 40), 0.5, (20, 24)))
    sample(volume, SliceStack.of(volume.geometry, "axial").plane(2).crop(-2, -2, (20, 20)))
    np.testing.assert_array_equal(volume.voxels_kji, before)
