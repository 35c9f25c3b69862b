"""Steps that no signal may divide: what arrives meanwhile is delivered afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Those with which a user, a shell or a scheduler ends a program; SIGKILL cannot be handled."""


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Within, the `ENDING_SIGNALS` wait; the first that arrived is delivered at the end.

    Python handles signals on its main thread alone, and there alone they interrupt: elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def wait(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    before = {}
    try:
        for number in ENDING_SIGNALS:
            handler = signal.getsignal(number)
            # None: not from Python, and could not be put back. An ignored one (nohup) stays ignored.
            if handler is not None and handler is not signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, wait)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
