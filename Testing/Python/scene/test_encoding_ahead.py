"""What the worker thread encodes before a prompt is there, and when it gives up."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentSlicer.encoding_ahead import ExpectedPrompt, PromptInSight, encode_expected, follow
from support.threshold_model import ThresholdModel

GRID = VolumeGeometry((4, 30, 40), np.eye(4))
SLOPE = Volume(np.broadcast_to(np.arange(40, dtype=np.int16) * 20, GRID.shape_kji).copy(), GRID)
PLANE = SliceStack.of(GRID, "axial").plane(1)


def box(left: float, right: float) -> OrientedBox:
    """On layer 1; its voxels reach from 20 times left to 20 times right."""
    return OrientedBox.from_bounds((left, 5, 0.5), (right, 20, 1.5))


def prompt(left: float, right: float, window: str = "auto") -> ExpectedPrompt:
    return ExpectedPrompt(SLOPE, PLANE, window, box(left, right))


class BlockModel(ThresholdModel):
    """Looks ten times during a pass whether it is wanted, and lets the test act before each look."""

    def __init__(self):
        super().__init__()
        self.before = {}
        self.looks = 0

    def encode(self, slices_u8, *, cancelled=None):
        for _ in range(10):
            self.looks += 1
            self.before.pop(self.looks, lambda: None)()
            if cancelled is not None and cancelled():
                raise CancelledError("Cancelled.")
        return super().encode(slices_u8)


@pytest.fixture
def model():
    return BlockModel()


@pytest.fixture
def segmenter(model):
    return Segmenter(model)


def never():
    return False


@pytest.mark.parametrize(
    ("window", "roi", "encoded"),
    [
        ("auto", None, False),
        ("roi", None, False),
        ("auto", box(5, 30), True),
        ("percentile", None, True),
        ("40,400", None, True),
    ],
)
def test_a_slice_is_encoded_if_its_window_is_known(segmenter, model, window, roi, encoded):
    expected = ExpectedPrompt(SLOPE, PLANE, window, roi)
    assert encode_expected(segmenter, expected, PromptInSight(), never) is encoded
    assert len(model.encoded) == int(encoded)


def test_without_a_box_in_sight_a_pass_ends_when_its_job_is_cancelled(segmenter, model):
    cancelled = []
    model.before[4] = lambda: cancelled.append(True)
    with pytest.raises(CancelledError):
        encode_expected(segmenter, prompt(5, 30), PromptInSight(), lambda: bool(cancelled))
    assert (model.looks, len(model.encoded)) == (4, 0)


def test_a_pass_is_given_up_when_the_box_in_sight_needs_another_window(segmenter, model):
    sight = PromptInSight()
    model.before[4] = lambda: setattr(sight, "prompt", prompt(5, 12))
    with pytest.raises(CancelledError):
        encode_expected(segmenter, prompt(5, 30), sight, never)
    assert (model.looks, len(model.encoded)) == (4, 0)


def test_a_pass_that_the_box_in_sight_needs_is_finished_even_if_its_job_is_cancelled(segmenter, model):
    sight = PromptInSight()
    # A little wider: the same window on the grid.
    sight.prompt = prompt(5.1, 30.2)
    assert encode_expected(segmenter, prompt(5, 30), sight, lambda: True)
    assert len(model.encoded) == 1


def test_the_box_in_sight_is_followed_until_what_it_needs_is_there(segmenter, model):
    sight = PromptInSight()
    sight.prompt = prompt(5, 8)
    model.before[3] = lambda: setattr(sight, "prompt", prompt(5, 14))
    model.before[6] = lambda: setattr(sight, "prompt", prompt(5, 30))
    model.before[9] = lambda: setattr(sight, "prompt", prompt(5, 30.3))
    follow(segmenter, sight, never)
    assert len(model.encoded) == 1
    assert segmenter.is_encoded(sight.image())


def test_nothing_is_followed_once_the_box_is_forgotten(segmenter, model):
    sight = PromptInSight()
    sight.prompt = prompt(5, 8)
    model.before[3] = lambda: setattr(sight, "prompt", None)
    follow(segmenter, sight, lambda: sight.prompt is None)
    assert (model.looks, len(model.encoded)) == (3, 0)


def test_a_box_beside_the_image_needs_nothing(segmenter, model):
    sight = PromptInSight()
    sight.prompt = prompt(100, 120)
    assert sight.image() is None
    follow(segmenter, sight, never)
    assert model.encoded == []
