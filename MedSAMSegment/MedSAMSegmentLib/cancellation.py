"""Giving up what nobody waits for any more."""

from __future__ import annotations

from collections.abc import Callable

from MedSAMSegmentLib.errors import CancelledError

CANCELLED = "Cancelled. Nothing was written."


def stop_if(cancelled: Callable[[], bool] | None) -> None:
    """Go on, unless somebody has cancelled.

    Raises:
        CancelledError: ``cancelled`` said so.
    """
    if cancelled is not None and cancelled():
        raise CancelledError(CANCELLED)
