"""The button that places a new ROI, with a menu of what else can stand for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_selection import ROI_CLASS, SOURCE_CLASSES
from MedSAMSegmentWidgets.named_widgets import named


class RoiButton:
    """*New ROI*, and its menu. `chosen` is to be set; it is called with a class of `SOURCE_CLASSES`.

    Args:
        existing: a ``QToolButton`` of a .ui file; a new one if None.
    """

    def __init__(self, existing: Any = None) -> None:
        self.chosen: Callable[[str], None] | None = None
        tip = _("Place an ROI in a slice view: two opposite corners. The arrow offers lines, planes and curves")
        self.button = named(existing or qt.QToolButton(), "newRoiButton", tip)
        self.button.text = _("New ROI")
        self.button.toolButtonStyle = qt.Qt.ToolButtonTextOnly
        self.button.popupMode = qt.QToolButton.MenuButtonPopup
        self._menu = qt.QMenu(self.button)
        self._slots: list[tuple[Any, str, Callable[[], None]]] = []
        texts = {
            ROI_CLASS: (_("ROI"), _("Two opposite corners of a box")),
            "vtkMRMLMarkupsLineNode": (_("Line: longest diameter"), _("Both ends of a lesion's longest diameter")),
            "vtkMRMLMarkupsPlaneNode": (_("Plane"), _("A rectangle that is as thick as its shorter side")),
            "vtkMRMLMarkupsClosedCurveNode": (_("Closed curve"), _("Points around the structure on one slice")),
        }
        for class_name in SOURCE_CLASSES:
            text, action_tip = texts[class_name]
            action = qt.QAction(text, self._menu)
            action.setToolTip(action_tip)
            self._menu.addAction(action)
            self._connect(action, "triggered()", class_name)
        self._menu.setToolTipsVisible(True)
        self.button.setMenu(self._menu)
        self._connect(self.button, "clicked()", ROI_CLASS)

    def close(self) -> None:
        """Cut every connection."""
        for widget, signal, slot in self._slots:
            widget.disconnect(signal, slot)
        self._slots = []
        self.chosen = None

    def _connect(self, widget: Any, signal: str, class_name: str) -> None:
        def place() -> None:
            if self.chosen is not None:
                self.chosen(class_name)

        widget.connect(signal, place)
        self._slots.append((widget, signal, place))
