"""Wait for work in the background: for scripts, which have no event loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from MedSAMSegmentLib.cancellation import CANCELLED
from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentSlicer.background_run import BackgroundRun, Result
from MedSAMSegmentSlicer.inference_engine import InferenceEngine

_POLL_S = 0.01


def result_of(engine: InferenceEngine, start: Callable[[BackgroundRun[Result]], None]) -> Result:
    """Start something and wait for its result.

    Args:
        engine: that computes it.
        start: called with the run.

    Raises:
        MedSAMSegmentError: what went wrong; `CancelledError` if somebody has cancelled it, or closed the scene.
    """
    results: list[Result] = []
    errors: list[Exception] = []
    key = f"script {id(results)}/"
    start(BackgroundRun(engine, key, results.append, errors.append))
    try:
        while engine.has(key):
            time.sleep(_POLL_S)
            engine.poll()
    finally:
        # Of a script that is interrupted nothing is written later.
        engine.cancel(key)
    if errors:
        raise errors[0]
    if not results:
        raise CancelledError(CANCELLED)
    return results[0]
