"""Several structures on the same slices: encoded once, answered together, each in its own place."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import CancelledError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentSlicer.prompt_work import PromptRequest, answer_prompts, planes_through
from support.mrml import filled
from support.rotations import pose, rotation
from support.threshold_model import ThresholdModel

SHAPE = (6, 20, 30)
LEFT = ((4, 5), (11, 12))
RIGHT = ((16, 7), (25, 17))
"""Boxes: first and last column and row."""


@pytest.fixture
def volume():
    """Bright all over, and no slice like another."""
    voxels = np.full(SHAPE, 100, dtype=np.int16)
    voxels[:, 0, 0] = np.arange(SHAPE[0])
    return Volume(voxels, VolumeGeometry(SHAPE, np.eye(4)))


def request(volume, corners, *layers, window="50,100"):
    stack = SliceStack.of(volume.geometry, "axial")
    (left, top), (right, bottom) = corners
    box = OrientedBox.from_bounds((left - 0.5, top - 0.5, -0.5), (right + 0.5, bottom + 0.5, SHAPE[0] - 0.5))
    return PromptRequest(volume, tuple(stack.plane(layer) for layer in layers), box, window, MaskOptions())


def expected(corners, *layers):
    (left, top), (right, bottom) = corners
    mask = np.zeros(SHAPE, dtype=bool)
    for layer in layers:
        mask |= filled(SHAPE, slice(layer, layer + 1), slice(top, bottom + 1), slice(left, right + 1))
    return mask


def test_boxes_on_one_slice_are_answered_in_one_decoder_pass(volume):
    model = ThresholdModel()
    left, right = answer_prompts(Segmenter(model), [request(volume, LEFT, 2), request(volume, RIGHT, 2)])
    assert len(model.encoded) == 1
    assert model.decoded == [2]
    np.testing.assert_array_equal(left.block.whole(), expected(LEFT, 2))
    np.testing.assert_array_equal(right.block.whole(), expected(RIGHT, 2))


def test_boxes_that_see_different_windows_are_answered_apart(volume):
    model = ThresholdModel()
    answer_prompts(Segmenter(model), [request(volume, LEFT, 2), request(volume, RIGHT, 2, window="60,90")])
    assert len(model.encoded) == 2
    assert model.decoded == [1, 1]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_each_structure_gets_the_masks_of_its_own_slices(volume, batch_size):
    model = ThresholdModel()
    model.batch_size = batch_size
    told = []
    left, right = answer_prompts(
        Segmenter(model),
        [request(volume, LEFT, 1, 2, 3), request(volume, RIGHT, 3, 4)],
        progress=lambda *parts: told.append(parts),
    )
    assert len(model.encoded) == 4
    assert model.decoded == [1, 1, 2, 1]
    np.testing.assert_array_equal(left.block.whole(), expected(LEFT, 1, 2, 3))
    np.testing.assert_array_equal(right.block.whole(), expected(RIGHT, 3, 4))
    assert told == [(1, 5), (2, 5), (4, 5), (5, 5)]


def test_slices_that_look_the_same_are_encoded_once_and_keep_their_places(volume):
    volume.voxels_kji[:, 0, 0] = 0
    model = ThresholdModel()
    (answer,) = answer_prompts(Segmenter(model), [request(volume, LEFT, 1, 4)])
    assert len(model.encoded) == 1
    np.testing.assert_array_equal(answer.block.whole(), expected(LEFT, 1, 4))


def test_cancelling_stops_before_the_next_slice(volume):
    model = ThresholdModel()
    with pytest.raises(CancelledError):
        answer_prompts(Segmenter(model), [request(volume, LEFT, 1, 2, 3)], cancelled=lambda: len(model.encoded) == 2)
    assert len(model.encoded) == 2


def test_an_roi_beside_its_slices_is_refused(volume):
    beside = request(volume, ((100, 5), (110, 12)), 2)
    with pytest.raises(InvalidPromptError, match="not on this slice"):
        answer_prompts(Segmenter(ThresholdModel()), [request(volume, LEFT, 2), beside])


@pytest.mark.parametrize("center_mm", [40.0, 42.4])  # on a layer, and between two
def test_on_slices_nothing_outside_a_turned_roi_is_kept(center_mm):
    grid = VolumeGeometry((20, 80, 80), np.diag([1.0, 1.0, 5.0, 1.0]))
    bright = Volume(np.full(grid.shape_kji, 100, np.int16), grid)
    turn = rotation(0, 0, 45)
    roi = OrientedBox(pose(turn, origin=(40, 40, center_mm)), np.array([30.0, 8.0, 2.0]))
    planes = planes_through(roi, SliceStack.of(grid, "axial").plane(8), grid)
    (answer,) = answer_prompts(
        Segmenter(ThresholdModel()), [PromptRequest(bright, planes, roi, "50,100", MaskOptions())]
    )
    i_min, _, j_min, *_ = answer.block.extent_ijk
    _, j, i = np.nonzero(answer.block.mask_kji)
    own = np.abs((np.column_stack((i + i_min, j + j_min)) - 40) @ turn[:2, :2])
    assert (own <= (15.001, 4.001)).all()
    rows, columns = np.indices((80, 80))
    inside = np.abs((np.stack((columns, rows), axis=-1) - 40) @ turn[:2, :2])
    assert answer.block.voxel_count == np.count_nonzero((inside <= (15.001, 4.001)).all(axis=-1))
