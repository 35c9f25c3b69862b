"""One thread that computes, for as long as the application lives.

One, because cuDNN keeps its plans per thread and because two encoders at a time would only be slower. What it is given
and gives back are numpy arrays: MRML and Qt belong to the main thread, which fetches results with `poll`.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentSlicer.garbage_collection import CollectionPause

USER = 0
"""Priority of what somebody waits for."""

AHEAD = 10
"""Priority of what might be wanted later."""

IDLE = 20
"""Priority of what is done only while there is nothing else to do."""

_LAST = 100
"""Behind everything else: the end of the thread."""


@dataclass(eq=False)
class Job:
    """Work for the thread.

    Attributes:
        key: whose and what; a new job with the same key makes this one worthless.
        work: called in the thread with this job; may ask `cancelled` and tell `report`.
        done: called in the main thread with the result.
        failed: called in the main thread with the error; not called for a cancelled job.
        progress: called in the main thread with parts done, all parts, and a word on what is being done.
        priority: lower goes first.
    """

    key: str
    work: Callable[[Job], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    progress: Callable[[int, int, str], None] | None = None
    priority: int = USER
    _stop: threading.Event = field(default_factory=threading.Event)
    _report: tuple[int, int, str] | None = None

    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()

    def report(self, done: int, total: int, doing: str = "") -> None:
        """Tell how far the work is; the main thread sees the latest only."""
        self._report = (done, total, doing)


class InferenceWorker:
    """The thread and its queue. Every method is for the main thread. The thread starts with the first job.

    Args:
        name: of the thread, for debuggers.
    """

    def __init__(self, name: str = "MedSAMSegment inference") -> None:
        self._name = name
        self._jobs: queue.PriorityQueue[tuple[int, int, Job | None]] = queue.PriorityQueue()
        self._outcomes: queue.SimpleQueue[tuple[Job, Any, Exception | None]] = queue.SimpleQueue()
        self._open: dict[str, Job] = {}
        self._order = itertools.count()
        self._unfinished = 0
        self._thread: threading.Thread | None = None
        self._pause = CollectionPause()

    @property
    def is_busy(self) -> bool:
        """Whether anything is computed or waits, cancelled jobs that have not come to an end included."""
        return self._unfinished > 0

    def has(self, key: str) -> bool:
        """Whether a job with this key is open."""
        return key in self._open

    def submit(self, job: Job) -> None:
        """Queue a job; an older one with the same key is cancelled and never heard of again.

        What is done only while there is nothing else to do, whoever asked for it, makes room for what somebody waits
        for.
        """
        self._pause.begin()
        self.cancel(job.key)
        if job.priority == USER:
            for key in [key for key, other in self._open.items() if other.priority == IDLE]:
                self.cancel(key)
        self._open[job.key] = job
        self._unfinished += 1
        self._jobs.put((job.priority, next(self._order), job))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def cancel(self, key: str) -> bool:
        """Cancel the job with a key; whether there was one. Its callbacks are not called any more."""
        job = self._open.pop(key, None)
        if job is not None:
            job.cancel()
        return job is not None

    def cancel_all(self, prefix: str = "") -> None:
        """Cancel every job whose key starts so."""
        for key in [key for key in self._open if key.startswith(prefix)]:
            self.cancel(key)

    def poll(self) -> None:
        """Call the callbacks of what has happened since. If one of them raises, the others come next time."""
        self._pause.collect()
        for job in list(self._open.values()):
            report, job._report = job._report, None
            if report is not None and job.progress is not None:
                job.progress(*report)
        while True:
            try:
                job, result, error = self._outcomes.get_nowait()
            except queue.Empty:
                return
            self._unfinished -= 1
            if not self.is_busy:
                self._pause.end()
            if self._open.get(job.key) is not job:
                continue
            del self._open[job.key]
            if error is None:
                job.done(result)
            elif not isinstance(error, CancelledError):
                job.failed(error)

    def forsake(self) -> None:
        """Nobody will poll for a while: what is cancelled comes to its end unseen, and must not stand in the way."""
        self._pause.end()

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel everything and end the thread, as far as it can be waited for."""
        self.cancel_all()
        if self._thread is not None:
            # Behind the others: each of them, cancelled as it is, comes to its end.
            self._jobs.put((_LAST, next(self._order), None))
            self._thread.join(timeout_s)
            self._thread = None
        self.poll()
        self._pause.end()

    def _run(self) -> None:
        while True:
            _, _, job = self._jobs.get()
            if job is None:
                return
            result: Any = None
            error: Exception | None = None
            if job.cancelled():
                error = CancelledError("Cancelled before it was begun.")
            else:
                try:
                    result = job.work(job)
                except Exception as raised:
                    # Whatever it is, the main thread has to know: an error in a thread would be lost.
                    error = raised
                except BaseException as raised:
                    # Such as a library that exits: this is not its program, and the thread goes on.
                    error = RuntimeError(f"The computation was ended by {type(raised).__name__}.")
            self._outcomes.put((job, result, error))
            # Neither arrays nor tracebacks shall live until the next job comes.
            del job, result, error
