"""Encoding ahead of somebody who scrolls: which slices, and that it never stands in the way."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentSlicer.encoding_ahead import ExpectedPrompt, PromptInSight
from MedSAMSegmentSlicer.inference_engine import InferenceEngine, ModelChoice
from MedSAMSegmentSlicer.inference_worker import IDLE
from MedSAMSegmentSlicer.neighbour_slices import AHEAD_COUNT, NeighbourSlices
from support.rotations import rotation
from support.threshold_model import ThresholdModel

WINDOW = Window(-100.0, 100.0, "test")


def a_volume() -> Volume:
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = rotation(5.0, -8.0, 12.0)[:3, :3] @ np.diag([-0.8, -0.8, 2.5])
    voxels = np.random.default_rng(0).integers(-100, 100, (12, 9, 10)).astype(np.int16)
    return Volume(voxels, VolumeGeometry(voxels.shape, ijk_to_ras))


VOLUME = a_volume()
STACK = SliceStack.of(VOLUME.geometry, "axial")


def test_before_the_direction_is_known_there_is_nothing_to_prepare():
    neighbours = NeighbourSlices()
    assert neighbours.after(STACK.plane(5), VOLUME.geometry) == ()
    assert neighbours.after(STACK.plane(5), VOLUME.geometry) == ()


@pytest.mark.parametrize("direction", [1, -1])
def test_the_next_slices_are_those_of_the_stack_in_the_direction_of_scrolling(direction):
    neighbours = NeighbourSlices()
    neighbours.after(STACK.plane(6 - direction), VOLUME.geometry)
    following = neighbours.after(STACK.plane(6), VOLUME.geometry)
    assert len(following) == AHEAD_COUNT
    for n, plane in enumerate(following, start=1):
        expected = STACK.plane(6 + n * direction)
        # The same pixels, bit for bit: otherwise their embeddings would never be found.
        assert see(VOLUME, plane, WINDOW).digest == see(VOLUME, expected, WINDOW).digest


def test_the_direction_stays_while_the_view_rests_and_turns_with_the_wheel():
    neighbours = NeighbourSlices()
    for layer in (4, 5, 5):
        following = neighbours.after(STACK.plane(layer), VOLUME.geometry)
    np.testing.assert_allclose(following[0].origin_ras, STACK.plane(6).origin_ras, atol=1e-9)
    following = neighbours.after(STACK.plane(4), VOLUME.geometry)
    np.testing.assert_allclose(following[0].origin_ras, STACK.plane(3).origin_ras, atol=1e-9)


def test_slices_beyond_the_volume_are_left_out():
    neighbours = NeighbourSlices()
    neighbours.after(STACK.plane(9), VOLUME.geometry)
    assert len(neighbours.after(STACK.plane(10), VOLUME.geometry)) == 1
    assert neighbours.after(STACK.plane(11), VOLUME.geometry) == ()


def test_turning_the_view_is_no_scrolling():
    neighbours = NeighbourSlices()
    neighbours.after(STACK.plane(4), VOLUME.geometry)
    sagittal = SliceStack.of(VOLUME.geometry, "sagittal").plane(4)
    assert neighbours.after(sagittal, VOLUME.geometry) == ()
    panned = replace(STACK.plane(4), origin_ras=STACK.plane(4).origin_ras + STACK.plane(4).column_direction_ras)
    neighbours.after(STACK.plane(4), VOLUME.geometry)
    assert neighbours.after(panned, VOLUME.geometry) == ()


class _Gate(ThresholdModel):
    """Waits in the first slice until it is let go."""

    def __init__(self):
        super().__init__()
        self.entered, self.let_go = threading.Event(), threading.Event()

    def encode(self, slices_u8, *, cancelled=None):
        self.entered.set()
        assert self.let_go.wait(10)
        return super().encode(slices_u8)


@pytest.fixture
def gate():
    return _Gate()


@pytest.fixture
def engine(gate):
    made = InferenceEngine(lambda choice: gate)
    made.segmenter(ModelChoice())  # what is done while there is nothing else to do loads none
    yield made
    gate.let_go.set()
    made.close()


def _finish(engine):
    deadline = time.monotonic() + 10
    while engine.is_busy and time.monotonic() < deadline:
        engine.poll()
        time.sleep(0.002)
    assert not engine.is_busy


def _ask(engine, key, layer, told, **options):
    engine.encode_ahead(
        key,
        ModelChoice(),
        ExpectedPrompt(VOLUME, STACK.plane(layer), WINDOW, None),
        PromptInSight(),
        lambda _: told.append(layer),
        told.append,
        **options,
    )


def test_the_slice_in_view_goes_before_neighbours_that_wait(engine, gate):
    told = []
    for n, layer in enumerate((6, 7, 8)):
        _ask(engine, f"neighbour {n}", layer, told, priority=IDLE)
    assert gate.entered.wait(10)
    _ask(engine, "view", 2, told)
    gate.let_go.set()
    _finish(engine)
    assert told == [6, 2, 7, 8]


def test_cancelled_neighbours_are_not_encoded(engine, gate):
    told = []
    for n, layer in enumerate((6, 7, 8)):
        _ask(engine, f"neighbour {n}", layer, told, priority=IDLE)
    assert gate.entered.wait(10)
    engine.cancel("neighbour")
    gate.let_go.set()
    _finish(engine)
    assert told == []
    assert len(gate.encoded) == 1


def test_neighbours_make_room_for_what_somebody_waits_for_even_somebody_else(engine, gate):
    told = []
    for n, layer in enumerate((6, 7, 8)):
        _ask(engine, f"neighbour {n}", layer, told, priority=IDLE)
    assert gate.entered.wait(10)
    engine.run("another editor", lambda job: "answer", told.append, told.append)
    gate.let_go.set()
    _finish(engine)
    assert told == ["answer"]
    assert len(gate.encoded) == 1


def test_for_neighbours_no_model_is_loaded(gate):
    loaded, told = [], []
    engine = InferenceEngine(lambda choice: loaded.append(choice) or gate)
    gate.let_go.set()
    _ask(engine, "neighbour", 6, told, priority=IDLE)
    _finish(engine)
    assert (loaded, gate.encoded) == ([], [])
    _ask(engine, "view", 2, told)
    _ask(engine, "neighbour", 6, told, priority=IDLE)
    _finish(engine)
    assert len(loaded) == 1
    assert len(gate.encoded) == 2
    # Another model is chosen: guesses for the old one, or the new one, wait until it is there.
    engine.encode_ahead(
        "neighbour",
        ModelChoice("sam-vit-b"),
        ExpectedPrompt(VOLUME, STACK.plane(7), WINDOW, None),
        PromptInSight(),
        told.append,
        told.append,
        IDLE,
    )
    _finish(engine)
    assert len(loaded) == 1
    engine.close()
