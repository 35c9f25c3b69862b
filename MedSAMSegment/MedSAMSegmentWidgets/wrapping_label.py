"""A label that is as high as its text needs."""

from __future__ import annotations

from typing import Any

import qt


class WrappingLabel(qt.QObject):
    """A word-wrapping ``QLabel`` among an effect's options, where Slicer's layouts would give it one line only.

    Args:
        label: whose height follows its text and its width.
    """

    def __init__(self, label: Any) -> None:
        qt.QObject.__init__(self)
        self._label = label
        label.wordWrap = True
        label.textFormat = qt.Qt.PlainText  # names of nodes and segments are no markup
        label.installEventFilter(self)

    def show(self, text: str) -> None:
        """Show another text."""
        if self._label.text != text:
            self._label.text = text
            self._fit()

    def close(self) -> None:
        """Leave the label as it is."""
        self._label.removeEventFilter(self)

    def eventFilter(self, _receiver: Any, event: Any) -> bool:
        """Qt's: whether the event is used up."""
        if event.type() in (qt.QEvent.Resize, qt.QEvent.Show):
            self._fit()
        return False

    def _fit(self) -> None:
        if not self._label.visible:
            return  # it is resized when it is shown; and one whose window is being deleted cannot be asked any more
        before = self._label.minimumHeight
        self._label.setMinimumHeight(0)  # or the answer would never be less
        height = self._label.heightForWidth(self._label.width)
        self._label.setMinimumHeight(height if height > 0 else before)
