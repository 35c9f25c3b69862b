"""Wait for work in the background: for scripts, which have no event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentSlicer.inference_engine import InferenceEngine

_POLL_S = 0.01

Start = Callable[[str, Callable[[Any], None], Callable[[Exception], None]], None]


def result_of(engine: InferenceEngine, start: Start) -> Any:
    """Start something and wait for its result.

    Args:
        engine: that computes it.
        start: called with the key, and with what to call when it is done and when it failed.

    Raises:
        MedSAMSegmentError: what went wrong; `CancelledError` if somebody has cancelled it, or closed the scene.
    """
    results: list[Any] = []
    errors: list[Exception] = []
    key = f"script {id(results)}/"
    start(key, results.append, errors.append)
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
        raise CancelledError("Cancelled. Nothing was written.")
    return results[0]
