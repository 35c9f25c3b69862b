"""What ends a run from outside: Ctrl-C, and a shell or scheduler that asks it to end. Imports next to nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from MedSAMSegmentSlicer.deferred_signals import ENDING_SIGNALS

_arrived: list[int] = []


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, consequence: str = "") -> None:
        super().__init__(f"Interrupted. {consequence}".strip())
        self.number = number

    @property
    def exit_code(self) -> int:
        """As shells have it: 130 for Ctrl-C, 143 for SIGTERM, 129 for a terminal that is gone."""
        return 128 + self.number


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within, a signal ends the process without a traceback: for start and end, when there is nothing to clean up."""
    with _handled_by(_end):
        yield


@contextmanager
def ending_by_exception() -> Iterator[None]:
    """Within, a signal raises `Interrupted` on the main thread, so that what was begun is cleaned up."""
    _arrived.clear()
    with _handled_by(_interrupt):
        yield


def stop_if_interrupted() -> None:
    """Raise `Interrupted` for a signal whose exception a library has swallowed, as callbacks from C++ do."""
    if _arrived:
        raise Interrupted(_arrived[0])


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], NoReturn]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # An ignored one stays ignored: that is what nohup is for.
    changed = [number for number, former in before.items() if former not in (None, signal.SIG_IGN)]
    try:
        for number in changed:
            signal.signal(number, handler)
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"Interrupted.\n")
    os._exit(128 + number)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _arrived.append(number)
    raise Interrupted(number)
