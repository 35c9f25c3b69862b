"""The engine's two threads, and waiting for them in a script."""

import threading
import time

import numpy as np
import pytest

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.encoding_ahead import ExpectedPrompt, PromptInSight
from MedSAMSegmentSlicer.inference_engine import InferenceEngine, ModelChoice
from MedSAMSegmentSlicer.status_text import error_text
from MedSAMSegmentSlicer.waiting import result_of
from support.threshold_model import ThresholdModel

VOLUME = Volume(np.zeros((4, 10, 12), np.int16), VolumeGeometry((4, 10, 12), np.eye(4)))


@pytest.fixture
def engine():
    made = InferenceEngine(lambda choice: ThresholdModel())
    yield made
    made.close()


def test_a_download_holds_up_nothing_that_is_computed(engine):
    answered, told = threading.Event(), []
    engine.transfer("download", lambda job: answered.wait(5), told.append, told.append)
    engine.run("box", lambda job: "mask", told.append, told.append)
    while engine.has("box"):
        engine.poll()
    assert told == ["mask"]
    assert engine.is_busy
    assert engine.has("download")
    answered.set()
    while engine.is_busy:
        engine.poll()
    assert told == ["mask", True]


def test_a_transfer_can_be_cancelled_and_tells_its_progress(engine):
    told, progress, going = [], [], threading.Event()

    def work(job):
        job.report(1, 2)
        going.set()
        while not job.cancelled():
            time.sleep(0.001)

    engine.transfer("download", work, told.append, told.append, lambda *parts: progress.append(parts))
    assert going.wait(5)
    engine.poll()
    engine.cancel("download")
    while engine.is_busy:
        engine.poll()
    assert told == []
    assert progress == [(1, 2, "")]


def test_what_is_transferred_tells_those_who_poll(engine):
    told = []
    engine.on_busy.append(lambda: told.append("busy"))
    engine.transfer("download", lambda job: 1, lambda _: None, lambda _: None)
    assert told == ["busy"]


class Shelf:
    """Models that can be loaded, or not; counts how often it is asked."""

    def __init__(self):
        self.asked, self.error = [], None

    def load(self, choice):
        self.asked.append(choice)
        if self.error is not None:
            raise self.error
        return ThresholdModel()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def from_shelf(shelf):
    made = InferenceEngine(shelf.load)
    yield made
    made.close()


def _finish(engine):
    while engine.is_busy:
        engine.poll()


def _prepare(engine, told):
    prompt = ExpectedPrompt(VOLUME, SliceStack.of(VOLUME.geometry, "axial").plane(1), "50,100", None)
    engine.encode_ahead("view", ModelChoice(), prompt, PromptInSight(), told.append, told.append)
    _finish(engine)


def test_what_could_not_be_loaded_is_not_tried_again_at_every_slice_but_when_somebody_asks(from_shelf, shelf):
    told = []
    shelf.error = WeightsError("There are no weights.")
    for _ in range(3):
        _prepare(from_shelf, told)
    assert told == [shelf.error, False, False]
    assert len(shelf.asked) == 1
    from_shelf.run("box", lambda job: from_shelf.segmenter(ModelChoice()), told.append, told.append)
    _finish(from_shelf)
    assert len(shelf.asked) == 2
    # Somebody has downloaded them.
    shelf.error = None
    from_shelf.transfer("download", lambda job: None, told.append, told.append)
    _finish(from_shelf)
    _prepare(from_shelf, told)
    assert len(shelf.asked) == 3
    assert told[-1] is True
    assert from_shelf.state.phase == "ready"


def test_a_local_model_that_was_written_anew_is_loaded_anew_and_a_deleted_one_goes_on(from_shelf, shelf, tmp_path):
    file = tmp_path / "model.pth"
    file.write_bytes(b"first")
    choice = ModelChoice(str(file))
    first = from_shelf.segmenter(choice)
    assert from_shelf.segmenter(choice) is first
    file.write_bytes(b"second one")
    second = from_shelf.segmenter(choice)
    assert second is not first
    file.unlink()
    assert from_shelf.segmenter(choice) is second
    assert len(shelf.asked) == 2


def test_a_folder_of_a_model_that_was_written_anew_is_loaded_anew(from_shelf, shelf, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"first")
    choice = ModelChoice(str(tmp_path))
    first = from_shelf.segmenter(choice)
    assert from_shelf.segmenter(choice) is first
    (tmp_path / "model.safetensors").write_bytes(b"second one")
    assert from_shelf.segmenter(choice) is not first


def test_a_known_model_is_loaded_once(from_shelf, shelf):
    assert from_shelf.segmenter(ModelChoice()) is from_shelf.segmenter(ModelChoice())
    assert len(shelf.asked) == 1


def _never(job):
    while not job.cancelled():
        time.sleep(0.001)


def test_a_script_whose_work_is_cancelled_by_somebody_is_told_so(engine):
    def start(run):
        run.start(_never, lambda found: found)
        engine.cancel(run.key)

    with pytest.raises(CancelledError, match="Nothing was written"):
        result_of(engine, start)


def test_of_a_script_that_is_interrupted_nothing_is_written_later(engine, monkeypatch):
    written = []

    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("MedSAMSegmentSlicer.waiting.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result_of(engine, lambda run: run.start(lambda job: 1, written.append))
    monkeypatch.undo()
    while engine.is_busy:
        engine.poll()
    assert written == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_memory_that_is_full_is_said_in_plain_words(error):
    assert "memory of this computer, or of its GPU, is full" in error_text(error)
