"""The engine's two threads, and waiting for them in a script."""

import threading
import time

import pytest

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.waiting import result_of
from support.threshold_model import ThresholdModel


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
