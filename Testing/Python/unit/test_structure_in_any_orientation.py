"""The same patient, however the image is stored or turned, gives the same structure in the patient."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.block_resampling import block_on_grid
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.propagation.structure import segment_structure
from support.rotations import pose, rotation
from support.storage_orders import all_storage_orders
from support.threshold_model import ThresholdModel

CENTER = np.array([3.0, -4.0, 6.0])
RADIUS = 8.0
SHAPE_KJI = (14, 30, 26)


def ball_in_noise(matrix: np.ndarray, center: np.ndarray = CENTER) -> Volume:
    """A bright ball on a dark ground with noise, whose grid is centred near it."""
    k, j, i = np.indices(SHAPE_KJI)
    points = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ matrix.T
    inside = np.linalg.norm(points[..., :3] - center, axis=-1) <= RADIUS
    noise = np.random.default_rng(7).normal(0, 8, SHAPE_KJI)
    return Volume((inside * 100 + noise).astype(np.float32), VolumeGeometry(SHAPE_KJI, matrix))


def ball_grid() -> np.ndarray:
    matrix = pose(np.eye(3), (1.0, 1.0, 2.0))
    matrix[:3, 3] = CENTER - matrix[:3, :3] @ ((np.array(SHAPE_KJI[::-1]) - 1) / 2)
    return matrix


def dice_on(grid: VolumeGeometry, first: MaskBlock, second: MaskBlock) -> float:
    masks = [block.whole() for block in (block_on_grid(first, grid), block_on_grid(second, grid)) if block is not None]
    return 2 * float((masks[0] & masks[1]).sum()) / float(masks[0].sum() + masks[1].sum())


@pytest.mark.parametrize("orientation", ["auto", "sagittal", "coronal"])
def test_all_48_storage_orders_give_the_same_structure(orientation):
    volume = ball_in_noise(ball_grid())
    roi = OrientedBox(pose(rotation(10, -15, 20), origin=CENTER), np.array([19.0, 18.0, 20.0]))
    results = [
        segment_structure(stored, roi, ThresholdModel(), level="fast", orientation=orientation)
        for stored in all_storage_orders(volume)
    ]
    blocks = [result.block for result in results]
    assert blocks[0] is not None
    assert blocks[0].voxel_count > 300
    for result, block in zip(results, blocks, strict=True):
        assert block is not None
        assert dice_on(volume.geometry, blocks[0], block) >= 0.99
        np.testing.assert_allclose(
            [each.position_mm for each in result.slices], [each.position_mm for each in results[0].slices], atol=1e-6
        )


@pytest.mark.parametrize("angles", [(0, 0, 30), (25, -40, 70), (90, 0, 0), (0, 180, 45)])
def test_a_transform_moves_the_structure_with_the_image(angles):
    volume = ball_in_noise(ball_grid())
    roi = OrientedBox.from_bounds(CENTER - 9.5, CENTER + 9.5)
    turn = pose(rotation(*angles), origin=(20.0, -30.0, 5.0))
    moved = Volume(volume.voxels_kji, VolumeGeometry(SHAPE_KJI, turn @ volume.geometry.ijk_to_ras))
    # In the acquisition's own planes, whichever view they are after the turn.
    here = segment_structure(volume, roi, ThresholdModel(), level="fast")
    there = segment_structure(moved, OrientedBox(turn @ roi.object_to_ras, roi.size_mm), ThresholdModel(), level="fast")
    assert here.block is not None
    assert there.block is not None
    a, b = here.block.whole(), there.block.whole()
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) >= 0.99
