"""Keeps Python's collector of cyclic garbage out of the inference thread."""

from __future__ import annotations

import gc


class CollectionPause:
    """While it lasts, garbage is collected where `collect` is called: in the main thread.

    Python collects in whichever thread happens to allocate. In Slicer that garbage may hold widgets, timers and nodes,
    of anybody's, and to delete those in another thread than the main one crashes the application.
    """

    def __init__(self) -> None:
        self._is_paused = False

    def begin(self) -> None:
        """Collect no more by itself; nothing changes where somebody else has seen to that."""
        if not self._is_paused and gc.isenabled():
            gc.disable()
            self._is_paused = True

    def collect(self) -> None:
        """Collect what is new: a matter of a millisecond when it is done often."""
        if self._is_paused:
            gc.collect(0)

    def end(self) -> None:
        """As before `begin`."""
        if self._is_paused:
            gc.enable()
            self._is_paused = False
