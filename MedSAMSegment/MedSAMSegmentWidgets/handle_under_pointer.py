"""When a press takes a handle of a markup, and when it begins a new box."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from MedSAMSegmentSlicer.roi_selection import pointer_is_on_a_handle

REST_MS = 150
"""A pointer that has not moved for this long rests. One that is on its way to a new box does not."""

_TREMOR_PIXELS = 2
"""Display pixels that a resting hand moves."""


class HandleUnderPointer:
    """A handle can be taken once the pointer rests on it; the pointer's shape says so. Else a press begins a box.

    Slicer takes a handle at once, and the box drawn last lies where the next one begins.
    """

    def __init__(self) -> None:
        self._view: Any = None
        self._rests_at = (0, 0)
        self._is_shown = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._look)

    @property
    def is_held(self) -> bool:
        """Whether a press now takes a handle."""
        return self._is_shown and pointer_is_on_a_handle(slicer.mrmlScene)

    def pointer_moved(self, xy: tuple[int, int], view_widget: Any) -> None:
        """The pointer moves over a slice view, with no button down."""
        if view_widget is not self._view:
            self._show(False)
            self._view = view_widget
        if self._is_shown:
            self._timer.start(0)  # after Slicer has looked at where the pointer is now
            return
        moved = max(abs(now - before) for now, before in zip(xy, self._rests_at, strict=True))
        if moved > _TREMOR_PIXELS or not self._timer.active:
            self._rests_at = xy
            self._timer.start(REST_MS)

    def close(self) -> None:
        """Look no more."""
        self._show(False)
        self._timer.stop()
        self._timer.disconnect("timeout()", self._look)

    def _look(self) -> None:
        self._show(pointer_is_on_a_handle(slicer.mrmlScene))

    def _show(self, is_on_handle: bool) -> None:
        if is_on_handle != self._is_shown:
            self._is_shown = is_on_handle
            shape = qt.Qt.SizeAllCursor if is_on_handle else qt.Qt.CrossCursor
            self._view.sliceView().setViewCursor(qt.QCursor(shape))
