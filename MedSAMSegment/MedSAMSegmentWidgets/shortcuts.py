"""Keys that work while the effect is active, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

SHORTCUTS = {
    "apply": "Ctrl+Return",
    "revert": "Ctrl+Backspace",
    "new_roi": "Ctrl+Shift+B",
    "live_preview": "Ctrl+Shift+L",
}
"""Action → key. Slicer and the Segment Editor use none of these."""


class Shortcuts:
    """Connects keys to actions; `remove` leaves nothing behind.

    Args:
        window: in which the keys work: the effect's own window.
        actions: action → what to do.
    """

    def __init__(self, window: Any, actions: dict[str, Callable[[], None]]) -> None:
        self._shortcuts = []
        for action, callback in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(SHORTCUTS[action]), window)
            shortcut.connect("activated()", callback)
            self._shortcuts.append((shortcut, callback))

    def remove(self) -> None:
        """Take all of them away."""
        for shortcut, callback in self._shortcuts:
            shortcut.disconnect("activated()", callback)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []


class EscapeKey(qt.QObject):
    """Takes Escape for a drag: the Segment Editor's own Escape would deactivate the effect.

    Args:
        pressed: called with Escape; the key goes no further.
    """

    def __init__(self, pressed: Callable[[], None]) -> None:
        qt.QObject.__init__(self)
        self._pressed = pressed

    def eventFilter(self, receiver: Any, event: Any) -> bool:
        """Qt's: whether the event is used up."""
        if event.type() == qt.QEvent.ShortcutOverride and event.key() == qt.Qt.Key_Escape:
            event.accept()  # it comes again as a key press, and not as a shortcut
            return True
        if event.type() == qt.QEvent.KeyPress and event.key() == qt.Qt.Key_Escape:
            self._pressed()
            return True
        return False
