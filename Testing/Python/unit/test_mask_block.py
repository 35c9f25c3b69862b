import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.geometry.block_resampling import block_on_grid
from MedSAMSegmentLib.geometry.box_voxels import block_in_box
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from support.rotations import pose, rotation, rotations
from support.shapes import Block, Sphere, voxel_centers_ras
from support.storage_orders import all_storage_orders

GRID = VolumeGeometry((20, 24, 28), pose(rotation(5, 10, 15), (1.0, 1.2, 2.0), (3, 4, 5)))
MIDDLE = GRID.corners_ras.mean(axis=0)


def block_of(mask_kji, grid=GRID) -> MaskBlock:
    depth, height, width = grid.shape_kji
    return MaskBlock(mask_kji, (0, width - 1, 0, height - 1, 0, depth - 1), grid).trimmed()


def test_union_of_blocks_holds_the_voxels_of_each():
    rng = np.random.default_rng(0)
    masks = [np.zeros(GRID.shape_kji, dtype=bool) for _ in range(3)]
    masks[0][2:5, 3:6, 4:9] = rng.random((3, 3, 5)) < 0.5
    masks[1][4:9, 2:5, 8:12] = rng.random((5, 3, 4)) < 0.5
    masks[2][19, 23, 27] = True
    union = MaskBlock.union([block_of(mask) for mask in masks])
    np.testing.assert_array_equal(union.whole(), np.any(masks, axis=0))


def test_union_needs_blocks_on_one_grid():
    mask = np.ones((1, 1, 1), dtype=bool)
    here = MaskBlock(mask, (0, 0, 0, 0, 0, 0), GRID)
    elsewhere = MaskBlock(mask, (0, 0, 0, 0, 0, 0), VolumeGeometry(GRID.shape_kji, np.eye(4)))
    with pytest.raises(ValueError, match="same grid"):
        MaskBlock.union([here, elsewhere])
    with pytest.raises(ValueError, match="one or more"):
        MaskBlock.union([])


def test_trimmed_block_is_as_small_as_its_voxels_and_none_without_any():
    mask = np.zeros(GRID.shape_kji, dtype=bool)
    mask[2:5, 3, 4:9] = True
    assert block_of(mask).extent_ijk == (4, 8, 3, 3, 2, 4)
    assert MaskBlock(np.zeros((2, 2, 2), dtype=bool), (0, 1, 0, 1, 0, 1), GRID).trimmed() is None


def test_grids_are_the_same_up_to_rounding_only():
    assert GRID.is_same_as(VolumeGeometry(GRID.shape_kji, GRID.ijk_to_ras.astype(np.float32)))
    moved = GRID.ijk_to_ras + np.eye(4, k=3) * 0.1
    assert not GRID.is_same_as(VolumeGeometry(GRID.shape_kji, moved))
    assert not GRID.is_same_as(VolumeGeometry((19, 24, 28), GRID.ijk_to_ras))


@settings(max_examples=40, deadline=None)
@given(rotations, st.tuples(*[st.floats(2, 30)] * 3), st.tuples(*[st.floats(-12, 12)] * 3))
def test_voxels_in_a_turned_box_are_those_whose_centre_is_in_it(turn, size, shift):
    center = MIDDLE + shift
    block = block_in_box(OrientedBox(pose(turn, 1.0, center), np.array(size)), GRID)
    # A centre on a face counts as inside, but for rounding.
    smaller, larger = (
        Block(center, turn, np.array(size) + more).contains(voxel_centers_ras(GRID)) for more in (-1e-3, 1e-3)
    )
    result = np.zeros(GRID.shape_kji, dtype=bool) if block is None else block.whole()
    assert result[smaller].all()
    assert not result[~larger].any()


def test_voxel_centres_on_the_faces_of_a_box_are_inside():
    block = block_in_box(OrientedBox.from_bounds((1, 1, 1), (3, 2, 4)), VolumeGeometry((6, 6, 6), np.eye(4)))
    assert block.extent_ijk == (1, 3, 1, 2, 1, 4)
    assert block.mask_kji.all()


def test_box_outside_the_grid_or_between_voxel_centres_holds_no_voxel():
    grid = VolumeGeometry((5, 5, 5), np.eye(4))
    assert block_in_box(OrientedBox.from_bounds((10, 0, 0), (12, 2, 2)), grid) is None
    assert block_in_box(OrientedBox.from_bounds((0, 0, 1.2), (4, 4, 1.7)), grid) is None


def test_block_on_its_own_grid_stays_as_it_is():
    mask = np.random.default_rng(0).random(GRID.shape_kji) < 0.3
    same = VolumeGeometry(GRID.shape_kji, GRID.ijk_to_ras.copy())
    np.testing.assert_array_equal(block_on_grid(block_of(mask), same).whole(), mask)


def test_block_on_the_same_grid_stored_otherwise_has_the_same_voxels():
    mask = np.random.default_rng(0).random(GRID.shape_kji) < 0.3
    for stored in all_storage_orders(Volume(mask, GRID)):
        np.testing.assert_array_equal(block_on_grid(block_of(mask), stored.geometry).whole(), stored.voxels_kji)


@settings(max_examples=30, deadline=None)
@given(rotations, st.tuples(*[st.floats(0.5, 3)] * 3))
def test_voxel_of_another_grid_is_set_where_its_centre_lies_in_the_mask(turn, spacing):
    source_kji = Sphere(MIDDLE, 7).contains(voxel_centers_ras(GRID))
    matrix = pose(turn, spacing)
    matrix[:3, 3] = MIDDLE - matrix[:3, :3] @ (9.7, 9.4, 9.1)
    grid = VolumeGeometry((20, 20, 20), matrix)
    index = voxel_centers_ras(grid) @ GRID.ras_to_ijk[:3, :3].T + GRID.ras_to_ijk[:3, 3]
    i, j, k = np.moveaxis(np.round(index).astype(int), -1, 0)
    inside = (i >= 0) & (j >= 0) & (k >= 0) & (i < 28) & (j < 24) & (k < 20)
    expected = np.zeros(grid.shape_kji, dtype=bool)
    expected[inside] = source_kji[k[inside], j[inside], i[inside]]
    decided = (np.abs(index % 1 - 0.5) > 1e-4).all(axis=-1)
    result = block_on_grid(block_of(source_kji), grid).whole()
    np.testing.assert_array_equal(result[decided], expected[decided])


def test_finer_and_coarser_grids_keep_the_volume():
    source = block_of(Sphere(MIDDLE, 9).contains(voxel_centers_ras(GRID)))
    for spacing in (0.5, 1.7):
        matrix = pose(rotation(20, 10, 0), spacing)
        size = int(30 / spacing)
        matrix[:3, 3] = MIDDLE - matrix[:3, :3] @ np.full(3, size / 2)
        block = block_on_grid(source, VolumeGeometry((size, size, size), matrix))
        assert block.volume_mm3 == pytest.approx(source.volume_mm3, rel=0.03)


def test_grid_shifted_by_half_a_voxel_takes_the_same_side_of_the_patient_in_all_storage_orders():
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[2, 3, 4] = True
    base = Volume(mask, VolumeGeometry(mask.shape, np.eye(4)))
    target = VolumeGeometry((6, 7, 8), pose(np.eye(3), 1.0, (-0.5, -0.5, -0.5)))
    for stored in all_storage_orders(base):
        block = block_on_grid(block_of(stored.voxels_kji, stored.geometry), target)
        # Centres at 3.5 | 4.5, 2.5 | 3.5 and 1.5 | 2.5 are all on the border; one of the two belongs to the voxel.
        assert block.voxel_count == 1
        assert block.extent_ijk == (5, 5, 4, 4, 3, 3)


def test_grid_elsewhere_gets_nothing():
    far = VolumeGeometry((5, 5, 5), pose(np.eye(3), 1.0, (500, 0, 0)))
    assert block_on_grid(block_of(np.ones(GRID.shape_kji, dtype=bool)), far) is None
