import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from support.rotations import plane_about, pose, rotation, rotations
from support.shapes import Block, Cylinder, Sphere, pixel_centers_ras, voxel_centers_ras
from support.storage_orders import all_storage_orders

SHAPE_KJI = (22, 26, 30)
spacings = st.tuples(*[st.floats(0.6, 2.5)] * 3)
shapes = st.one_of(
    st.builds(Sphere, st.just((0, 0, 0)), st.floats(4, 9)),
    st.builds(Cylinder, st.just((0, 0, 0)), rotations.map(lambda turn: turn[:, 2]), st.floats(3, 6), st.floats(6, 16)),
    st.builds(Block, st.just((0, 0, 0)), rotations, st.tuples(*[st.floats(5, 14)] * 3)),
)


def grid_about(directions, spacing, shape_kji=SHAPE_KJI) -> VolumeGeometry:
    """A grid whose middle is near the world's origin, but on no round number."""
    matrix = pose(directions, spacing)
    matrix[:3, 3] = -matrix[:3, :3] @ (np.array(shape_kji[::-1]) / 2 - 0.37)
    return VolumeGeometry(shape_kji, matrix)


def whole(block: MaskBlock | None, shape_kji=SHAPE_KJI):
    return np.zeros(shape_kji, dtype=bool) if block is None else block.whole()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_mask_on_a_layer_becomes_exactly_its_voxels(orientation):
    rng = np.random.default_rng(0)
    for volume in all_storage_orders(
        Volume(np.zeros((5, 6, 7)), grid_about(rotation(10, 20, 30), (0.7, 1, 3), (5, 6, 7)))
    ):
        stack = SliceStack.of(volume.geometry, orientation)
        for index in (0, len(stack) - 1):
            mask_hw = rng.random(stack.first_plane.shape_hw) < 0.4
            block = block_from_plane_mask(mask_hw, stack.plane(index), volume.geometry)
            assert block.voxel_count == np.count_nonzero(mask_hw)
            written = Volume(block.whole(), volume.geometry)
            np.testing.assert_array_equal(sample(written, stack.plane(index)), mask_hw)
            assert block.mask_kji.shape[2 - stack.voxel_axis] == 1


def test_mask_on_a_sheared_volume_s_layer_becomes_exactly_its_voxels():
    shear = np.array([[1.0, 0.4, 0.8], [0, 1, 0.3], [0, 0, 1]])
    grid = VolumeGeometry((5, 6, 7), pose(shear, (1, 1, 2)))
    for orientation in ORIENTATIONS:
        plane = SliceStack.of(grid, orientation).plane(2)
        mask_hw = np.random.default_rng(0).random(plane.shape_hw) < 0.4
        block = block_from_plane_mask(mask_hw, plane, grid)
        np.testing.assert_array_equal(sample(Volume(block.whole(), grid), plane), mask_hw)
        assert block.voxel_count == np.count_nonzero(mask_hw)


def test_block_is_no_larger_than_its_voxels():
    grid = VolumeGeometry((50, 60, 70), np.eye(4))
    plane = SliceStack.of(grid, "axial").plane(20)
    mask_hw = np.zeros(plane.shape_hw, dtype=bool)
    mask_hw[10:13, 30:35] = True
    # Columns and rows run against I and J.
    assert block_from_plane_mask(mask_hw, plane, grid).extent_ijk == (35, 39, 47, 49, 20, 20)


@settings(max_examples=60, deadline=None)
@given(rotations, spacings, rotations, st.floats(-4, 4), shapes)
def test_voxels_are_those_within_half_a_thickness_that_project_into_the_mask(turn, spacing, plane_turn, height, shape):
    grid = grid_about(turn, spacing)
    plane = plane_about(height * plane_turn[:, 2], plane_turn, 0.9, (41, 37))
    mask_hw = shape.contains(pixel_centers_ras(plane))
    pixel = voxel_centers_ras(grid) @ plane.ras_to_pixel[:3, :3].T + plane.ras_to_pixel[:3, 3]
    column, row = np.round(pixel[..., 0]).astype(int), np.round(pixel[..., 1]).astype(int)
    on_pixels = (column >= 0) & (column < 37) & (row >= 0) & (row < 41)
    half = np.abs(plane.normal_ras @ grid.ijk_to_ras[:3, :3]).sum() / 2
    expected = on_pixels & (np.abs(pixel[..., 2]) <= half)
    expected[on_pixels] &= mask_hw[row[on_pixels], column[on_pixels]]
    undecided = (np.abs(np.abs(pixel[..., 2]) - half) < 1e-3) | (np.abs(pixel[..., :2] % 1 - 0.5) < 1e-3).any(axis=-1)
    result = whole(block_from_plane_mask(mask_hw, plane, grid))
    np.testing.assert_array_equal(result[~undecided], expected[~undecided])


@settings(max_examples=60, deadline=None)
@given(rotations, spacings, rotations, st.floats(-3, 3), shapes)
def test_written_voxels_show_the_shape_on_the_plane_without_holes(turn, spacing, plane_turn, height, shape):
    grid = grid_about(turn, spacing)
    plane = plane_about(height * plane_turn[:, 2], plane_turn, 0.5, (61, 61))
    points = pixel_centers_ras(plane)
    mask_hw = shape.contains(points)
    result = whole(block_from_plane_mask(mask_hw, plane, grid))
    # What a slice view shows at each point of the plane: the voxel that holds it.
    i, j, k = np.moveaxis(np.round(points @ grid.ras_to_ijk[:3, :3].T + grid.ras_to_ijk[:3, 3]).astype(int), -1, 0)
    there = (i >= 0) & (j >= 0) & (k >= 0) & (i < SHAPE_KJI[2]) & (j < SHAPE_KJI[1]) & (k < SHAPE_KJI[0])
    shown = np.zeros_like(mask_hw)
    shown[there] = result[k[there], j[there], i[there]]
    # Only where the shape's border is less than a voxel's projected size away may the two differ.
    corner_ijk = np.array([(a, b, c) for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])
    radius = np.linalg.norm(corner_ijk * spacing, axis=1).max() + 0.5
    directions = np.stack([np.cos(np.linspace(0, 6.28, 16)), np.sin(np.linspace(0, 6.28, 16))], axis=-1) * radius
    around = [shape.contains(points + a * plane_turn[:, 0] + b * plane_turn[:, 1]) for a, b in directions]
    well_inside, well_outside = mask_hw & np.all(around, axis=0), ~mask_hw & ~np.any(around, axis=0)
    assert shown[well_inside & there].all()
    assert not shown[well_outside].any()


@settings(max_examples=25, deadline=None)
@given(rotations, spacings, rotations, st.floats(-3, 3), st.floats(5, 9))
def test_written_voxels_are_connected_by_their_faces(turn, spacing, plane_turn, height, radius):
    import SimpleITK as sitk

    # A disc that is several voxels wide; the plane is finely sampled, so that no voxel is missed.
    grid = grid_about(turn, spacing)
    plane = plane_about(height * plane_turn[:, 2], plane_turn, 0.3, (101, 101))
    mask_hw = Sphere(plane.center_ras, radius).contains(pixel_centers_ras(plane))
    result = whole(block_from_plane_mask(mask_hw, plane, grid))
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(result.astype(np.uint8)), False))
    sizes = np.bincount(labels.ravel())[1:]
    # Single voxels at the disc's rim may hang on by an edge.
    assert sizes.max() >= 0.97 * sizes.sum()


@settings(max_examples=30, deadline=None)
@given(rotations, st.floats(-3, 3))
def test_no_line_of_voxels_along_the_steepest_axis_holds_more_than_the_thickness(plane_turn, height):
    grid = grid_about(np.eye(3), 1.0)
    plane = plane_about(height * plane_turn[:, 2], plane_turn, 0.5, (121, 121))
    result = whole(block_from_plane_mask(np.ones(plane.shape_hw, dtype=bool), plane, grid))
    normal = np.abs(plane.normal_ras)
    steepest = int(np.argmax(normal))
    thickest = result.sum(axis=2 - steepest).max()
    assert thickest <= np.floor(normal.sum() / normal[steepest] + 1e-6) + (0 if normal.sum() < 1.001 else 1)


def test_plane_half_way_between_two_layers_takes_one_of_them_whichever_way_it_is_stored_or_looked_at():
    base = Volume(np.zeros((6, 7, 8)), VolumeGeometry((6, 7, 8), np.eye(4)))
    for volume in all_storage_orders(base):
        for sense in (1, -1):
            plane = plane_about((3.5, 3, 2.5), rotation(0, 0, 0) * (sense, 1, 1), 1.0, (7, 8))
            block = block_from_plane_mask(np.ones((7, 8), dtype=bool), plane, volume.geometry)
            corners = block.geometry.corners_ras
            np.testing.assert_allclose((corners[:, 2].min(), corners[:, 2].max()), (1.5, 2.5))
            assert block.voxel_count == 56


def test_all_storage_orders_get_the_same_voxels_in_ras():
    plane = plane_about((3.3, 3, 2.5), rotation(25, 35, 10), 0.6, (12, 14))
    mask_hw = np.random.default_rng(5).random(plane.shape_hw) < 0.5
    base = Volume(np.zeros((6, 7, 8), dtype=bool), VolumeGeometry((6, 7, 8), np.eye(4)))
    expected = None
    for volume in all_storage_orders(base):
        block = block_from_plane_mask(mask_hw, plane, volume.geometry)
        points = np.round(voxel_centers_ras(volume.geometry)[block.whole()]).astype(int)
        voxels = {tuple(point) for point in points}
        expected = expected or voxels
        assert voxels == expected
        assert len(voxels) > 20


def test_empty_mask_and_mask_outside_the_grid_give_nothing():
    grid = VolumeGeometry((6, 7, 8), np.eye(4))
    plane = SliceStack.of(grid, "axial").plane(2)
    assert block_from_plane_mask(np.zeros(plane.shape_hw, dtype=bool), plane, grid) is None
    mask_hw = np.ones((7, 8), dtype=bool)
    assert block_from_plane_mask(mask_hw, plane_about((3, 3, 40), np.eye(3), 1.0, (7, 8)), grid) is None
    assert block_from_plane_mask(mask_hw, plane_about((99, 3, 2), np.eye(3), 1.0, (7, 8)), grid) is None


def test_plane_that_sticks_out_of_the_grid_writes_only_what_is_in_it():
    grid = VolumeGeometry((6, 7, 8), np.eye(4))
    block = block_from_plane_mask(np.ones((40, 40), dtype=bool), plane_about((3, 3, 2), np.eye(3), 1.0, (40, 40)), grid)
    assert block.extent_ijk == (0, 7, 0, 6, 2, 2)
    assert block.voxel_count == 56


def test_volume_s_depth_does_not_matter():
    import tracemalloc

    plane = plane_about((100, 100, 100), rotation(30, 20, 10), 1.0, (200, 200))
    mask_hw = Sphere((100, 100, 100), 30).contains(pixel_centers_ras(plane))
    blocks, peaks = [], []
    for depth in (200, 20_000):
        tracemalloc.start()
        blocks.append(block_from_plane_mask(mask_hw, plane, VolumeGeometry((depth, 200, 200), np.eye(4))))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert blocks[0].extent_ijk == blocks[1].extent_ijk
    assert peaks[1] < 1.2 * peaks[0]
