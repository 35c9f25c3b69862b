"""Reads .ui files with the stand-in's widgets in them."""

from __future__ import annotations

import types
from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtUiTools import QUiLoader

from gui_stand_in.strict_qt import strict


def make_ui_loader(ctk: types.ModuleType, slicer_widgets: dict[str, type]) -> type:
    """``qt.QUiLoader``, which knows CTK's and Slicer's widgets, and makes strict ones of Qt's."""

    class UiLoader(QUiLoader):
        def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
            kind = slicer_widgets.get(class_name) or getattr(ctk, class_name, None)
            if kind is None:
                kind = strict(getattr(QtWidgets, class_name))
            widget = kind(parent)
            QtCore.QObject.setObjectName(widget, name)
            self._made.append(widget)  # Python would forget what it is, once C++ alone holds it
            return widget

        _made: list[Any] = []  # noqa: RUF012 (as long as the process)

    return UiLoader
