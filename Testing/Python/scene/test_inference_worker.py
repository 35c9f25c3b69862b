"""The queue of the one thread that computes."""

import gc
import sys
import threading
import time

import pytest

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentSlicer.inference_worker import AHEAD, USER, InferenceWorker, Job


@pytest.fixture
def worker():
    made = InferenceWorker()
    yield made
    made.close()


class Log:
    """Collects what the main thread is told."""

    def __init__(self):
        self.results, self.errors, self.progress = [], [], []

    def job(self, key, work, priority=USER):
        def report(*parts):
            self.progress.append(parts)

        return Job(key, work, self.results.append, self.errors.append, report, priority)


def _wait(worker):
    deadline = time.monotonic() + 10
    while worker.is_busy and time.monotonic() < deadline:
        time.sleep(0.002)
        worker.poll()
    assert not worker.is_busy


def test_work_runs_in_another_thread_and_its_result_is_told_in_the_main_one(worker):
    log = Log()
    threads = []
    job = log.job("a", lambda job: threading.current_thread())
    job.done = lambda thread: threads.extend((thread, threading.current_thread()))
    worker.submit(job)
    _wait(worker)
    assert threads[0] is not threads[1]
    assert threads[1] is threading.main_thread()


def test_all_jobs_run_in_one_and_the_same_thread(worker):
    log = Log()
    for key in "abc":
        worker.submit(log.job(key, lambda job: threading.get_ident()))
        _wait(worker)
    assert len(set(log.results)) == 1


def test_the_newest_of_a_key_wins_and_those_that_waited_never_run(worker):
    log, ran, gate = Log(), [], threading.Event()
    worker.submit(log.job("gate", lambda job: gate.wait(5)))
    for n in range(50):
        worker.submit(log.job("preview", lambda job, n=n: ran.append(n) or n))
    gate.set()
    _wait(worker)
    assert ran == [49]
    assert log.results == [True, 49]


def test_the_result_of_a_job_that_was_replaced_while_it_ran_is_not_told(worker):
    log, gate, started = Log(), threading.Event(), threading.Event()

    def slow(job):
        started.set()
        gate.wait(5)
        return "old"

    worker.submit(log.job("a", slow))
    assert started.wait(5)
    worker.submit(log.job("a", lambda job: "new"))
    gate.set()
    _wait(worker)
    assert log.results == ["new"]


def test_a_running_job_learns_that_it_is_cancelled_and_nothing_is_told(worker):
    log, started = Log(), threading.Event()

    def work(job):
        started.set()
        while not job.cancelled():
            time.sleep(0.001)
        raise CancelledError("Cancelled.")

    worker.submit(log.job("a", work))
    assert started.wait(5)
    assert worker.cancel("a")
    assert not worker.cancel("a")
    _wait(worker)
    assert (log.results, log.errors) == ([], [])


def test_what_the_user_waits_for_goes_before_what_is_prepared(worker):
    log, ran, gate = Log(), [], threading.Event()
    worker.submit(log.job("gate", lambda job: gate.wait(5)))
    worker.submit(log.job("ahead", lambda job: ran.append("ahead"), AHEAD))
    worker.submit(log.job("user", lambda job: ran.append("user"), USER))
    gate.set()
    _wait(worker)
    assert ran == ["user", "ahead"]


def test_an_error_is_told_and_the_thread_goes_on(worker):
    log = Log()

    def fail(job):
        raise ValueError("no")

    worker.submit(log.job("a", fail))
    worker.submit(log.job("b", lambda job: "yes"))
    _wait(worker)
    assert [str(error) for error in log.errors] == ["no"]
    assert log.results == ["yes"]


def test_a_library_that_exits_ends_its_job_and_not_the_thread(worker):
    log = Log()
    worker.submit(log.job("bad", lambda job: sys.exit(3)))
    worker.submit(log.job("good", lambda job: "done"))
    _wait(worker)
    assert log.results == ["done"]
    (error,) = log.errors
    assert "SystemExit" in str(error)


def test_progress_reaches_the_main_thread_newest_only(worker):
    log, gate, reported = Log(), threading.Event(), threading.Event()

    def work(job):
        for n in range(1000):
            job.report(n, 1000, "x")
        reported.set()
        gate.wait(5)

    worker.submit(log.job("a", work))
    assert reported.wait(5)
    worker.poll()
    gate.set()
    _wait(worker)
    assert log.progress == [(999, 1000, "x")]


def test_only_the_keys_with_a_prefix_are_cancelled(worker):
    log, gate = Log(), threading.Event()
    worker.submit(log.job("gate", lambda job: gate.wait(5)))
    worker.submit(log.job("one/a", lambda job: "a"))
    worker.submit(log.job("two/b", lambda job: "b"))
    worker.cancel_all("one/")
    gate.set()
    _wait(worker)
    assert log.results == [True, "b"]


def test_closing_ends_the_thread(worker):
    log = Log()
    worker.submit(log.job("a", lambda job: threading.current_thread()))
    _wait(worker)
    worker.close()
    assert not log.results[0].is_alive()


def test_closing_leaves_nothing_that_would_have_to_be_waited_for(worker):
    log, begun = Log(), threading.Event()

    def work(job):
        begun.set()
        while not job.cancelled():
            time.sleep(0.001)

    worker.submit(log.job("runs", work))
    worker.submit(log.job("waits", lambda job: 2))
    assert begun.wait(5)
    worker.close()
    assert not worker.is_busy
    assert (log.results, log.errors) == ([], [])


def test_a_job_holds_no_array_once_it_is_done(worker):
    import gc
    import weakref

    import numpy as np

    log, references = Log(), []

    def work(job):
        array = np.zeros(3)
        references.append(weakref.ref(array))
        return array

    job = log.job("a", work)
    job.done = lambda array: None
    worker.submit(job)
    _wait(worker)
    del job
    gc.collect()
    assert references[0]() is None


class _Garbage:
    """Is in a cycle with itself, and tells in which thread it goes."""

    def __init__(self, threads):
        self.myself = self
        self._threads = threads

    def __del__(self):
        self._threads.append(threading.current_thread())


def test_what_the_main_thread_has_thrown_away_is_not_collected_in_the_thread(worker):
    threads = []

    def allocate_much(_job):
        return sum(len([[n] for n in range(1000)]) for _ in range(50))

    log = Log()
    gc.collect()
    worker.submit(log.job("many lists", allocate_much))
    for _ in range(20):
        _Garbage(threads)
    _wait(worker)
    gc.collect()
    assert log.results == [50000]
    assert len(threads) == 20
    assert set(threads) == {threading.main_thread()}


def test_garbage_is_collected_as_before_when_the_thread_is_idle_left_alone_or_closed(worker):
    log, stop = Log(), threading.Event()
    worker.submit(log.job("one", lambda job: 1))
    assert not gc.isenabled()
    _wait(worker)
    assert gc.isenabled()
    worker.submit(log.job("two", lambda job: stop.wait(5)))
    assert not gc.isenabled()
    worker.forsake()
    assert gc.isenabled()
    worker.submit(log.job("three", lambda job: 3))
    assert not gc.isenabled()
    stop.set()
    worker.close()
    assert gc.isenabled()


def test_of_two_threads_the_one_that_ends_last_switches_the_collector_on_again(worker):
    other, log, stop = InferenceWorker(), Log(), threading.Event()
    worker.submit(log.job("long", lambda job: stop.wait(5)))
    other.submit(log.job("short", lambda job: 1))
    _wait(other)
    assert not gc.isenabled()
    other.close()
    assert not gc.isenabled()
    stop.set()
    _wait(worker)
    assert gc.isenabled()


def test_somebody_who_has_switched_the_collector_off_finds_it_so(worker):
    gc.disable()
    try:
        worker.submit(Log().job("one", lambda job: 1))
        _wait(worker)
        assert not gc.isenabled()
    finally:
        gc.enable()
