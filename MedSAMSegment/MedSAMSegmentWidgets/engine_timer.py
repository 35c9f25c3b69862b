"""Lets the inference thread run under Slicer's event loop, and fetches what it has done."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

from MedSAMSegmentSlicer.inference_engine import InferenceEngine

_INTERVAL_MS = 10
_SLEEP_S = 0.01
"""While Qt's event loop is idle the main thread keeps Python's interpreter lock, and a thread hardly advances: twenty
times slower than with this sleep, which hands the lock over. Of the intervals and sleeps that were tried, these cost
the thread 14 % and hold the main thread for 21 ms at most."""


class EngineTimer:
    """Ticks while the engine is busy, and only then.

    Args:
        engine: polled.
        failed: told about errors in the engine's callbacks, which Qt would only print.
        ticked: called after each tick.
    """

    def __init__(
        self, engine: InferenceEngine, failed: Callable[[Exception], None], ticked: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._failed = failed
        self._ticked = ticked
        self._timer = qt.QTimer()
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.connect("timeout()", self._tick)
        engine.on_busy.append(self._start)
        if engine.is_busy:
            self._start()

    def close(self) -> None:
        """Stop, for good."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self._tick)
        if self._start in self._engine.on_busy:
            self._engine.on_busy.remove(self._start)
        if not self._engine.on_busy:
            self._engine.forsake()

    def _start(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _tick(self) -> None:
        time.sleep(_SLEEP_S)
        try:
            self._engine.poll()
            self._ticked()
        except Exception as error:
            self._failed(error)
        if not self._engine.is_busy:
            self._timer.stop()
