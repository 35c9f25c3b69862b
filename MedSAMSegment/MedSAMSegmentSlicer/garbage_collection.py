"""Keeps Python's collector of cyclic garbage out of the threads of this extension."""

from __future__ import annotations

import gc
import threading
from typing import ClassVar


class CollectionPause:
    """While it, or another one, lasts, garbage is collected where `collect` is called: in the main thread.

    Python collects in whichever thread happens to allocate. In Slicer that garbage may hold widgets, timers and nodes,
    of anybody's, and to delete those in another thread than the main one crashes the application.
    """

    _lasting: ClassVar[set[CollectionPause]] = set()
    """There is one collector, and there may be several threads: the last one that ends switches it on again."""
    _has_disabled: ClassVar[bool] = False
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def begin(self) -> None:
        """Collect no more by itself; nothing changes where somebody else has seen to that."""
        with self._lock:
            self._lasting.add(self)
            if gc.isenabled():
                gc.disable()
                CollectionPause._has_disabled = True

    def collect(self) -> None:
        """Collect what is new: a matter of a millisecond when it is done often."""
        if self._has_disabled:
            gc.collect(0)

    def end(self) -> None:
        """As before `begin`, unless another one lasts."""
        with self._lock:
            self._lasting.discard(self)
            if self._has_disabled and not self._lasting:
                gc.enable()
                CollectionPause._has_disabled = False
