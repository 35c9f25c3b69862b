"""Importing what an effect needs when it is first activated, without holding the main thread."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable

import qt

from MedSAMSegmentSlicer.garbage_collection import CollectionPause

NEEDED = (
    "numpy",
    "vtkmodules.util.numpy_support",
    "MedSAMSegmentLib.inference.mask_options",
    "MedSAMSegmentSlicer.effect_segment_writer",
    "MedSAMSegmentSlicer.effect_session",
    "MedSAMSegmentSlicer.encoding_ahead",
    "MedSAMSegmentSlicer.growth_job",
    "MedSAMSegmentSlicer.mask_outline",
    "MedSAMSegmentSlicer.roi_job",
    "MedSAMSegmentSlicer.thumbnail",
)
"""What is imported in a thread: arithmetic, which knows nothing of Qt."""

_INTERVAL_MS = 10
_SLEEP_S = 0.01
"""As in `engine_timer`: while Qt's event loop is idle, a thread hardly advances."""


class LateStart:
    """Calls back once everything is imported: at once if it is already.

    Args:
        ready: called in the main thread. If something could not be imported, importing it again there says why.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._timer: qt.QTimer | None = None
        if all(name in sys.modules for name in NEEDED):
            ready()
            return
        pause = CollectionPause()
        pause.begin()
        self._thread = threading.Thread(target=_import_all, args=(pause,), name="MedSAMSegment imports", daemon=True)
        self._thread.start()
        self._timer = qt.QTimer()
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()

    def finish(self) -> None:
        """Wait for it, and call back now, because somebody cannot wait."""
        if self._timer is not None:
            self._thread.join()
            self._finished()

    def cancel(self) -> None:
        """Call nobody back any more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.disconnect("timeout()", self._tick)
            self._timer = None

    def _tick(self) -> None:
        time.sleep(_SLEEP_S)
        if not self._thread.is_alive():
            self._finished()

    def _finished(self) -> None:
        self.cancel()
        self._ready()


def _import_all(pause: CollectionPause) -> None:
    try:
        for name in NEEDED:
            importlib.import_module(name)
    except Exception:  # whatever it is, the main thread meets it again, where it can be shown
        return
    finally:
        pause.end()
