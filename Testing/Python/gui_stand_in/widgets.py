"""The widgets of CTK and Slicer that the extension uses, over ``qt``."""

from __future__ import annotations

import types
from typing import Any

from PySide6 import QtCore, QtWidgets
from shiboken6 import isValid

from gui_stand_in.strict_qt import Signals, strict


class _CollapsibleButton(Signals, QtWidgets.QWidget):
    _signatures = ("contentsCollapsed(bool)",)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._is_collapsed = False
        self._title = ""

    def _collapsed(self) -> bool:
        return self._is_collapsed

    def _set_collapsed(self, value: bool) -> None:
        if value != self._is_collapsed:
            self._is_collapsed = value
            self.announce("contentsCollapsed(bool)", value)

    def _text(self) -> str:
        return self._title

    def _set_text(self, value: str) -> None:
        self._title = value

    collapsed = QtCore.Property(bool, _collapsed, _set_collapsed)
    text = QtCore.Property(str, _text, _set_text)


def _number(name: str, kind: type) -> Any:
    def get(self: Any) -> Any:
        return self._numbers[name]

    def set_(self: Any, value: Any) -> None:
        self._set_number(name, value)

    return QtCore.Property(kind, get, set_)


class _SliderWidget(Signals, QtWidgets.QWidget):
    _signatures = ("valueChanged(double)",)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._numbers = {"minimum": 0.0, "maximum": 99.0, "value": 0.0, "singleStep": 1.0, "decimals": 0}

    def _set_number(self, name: str, value: Any) -> None:
        before = self._numbers["value"]
        self._numbers[name] = value
        clipped = min(max(self._numbers["value"], self._numbers["minimum"]), self._numbers["maximum"])
        self._numbers["value"] = clipped
        if clipped != before:
            self.announce("valueChanged(double)", clipped)

    minimum = _number("minimum", float)
    maximum = _number("maximum", float)
    value = _number("value", float)
    singleStep = _number("singleStep", float)
    decimals = _number("decimals", int)


def _option(name: str, kind: str) -> Any:
    def get(self: Any) -> Any:
        return self._options.get(name, False)

    def set_(self: Any, value: Any) -> None:
        self._options[name] = value
        self._follow()

    return QtCore.Property(kind, get, set_)


class _NodeComboBox(Signals, QtWidgets.QComboBox):
    """Lists the nodes of a scene; follows it, and hides nodes that are hidden from editors."""

    nodeTypes = _option("nodeTypes", "QStringList")
    addEnabled = _option("addEnabled", "bool")
    removeEnabled = _option("removeEnabled", "bool")
    renameEnabled = _option("renameEnabled", "bool")
    noneEnabled = _option("noneEnabled", "bool")
    noneDisplay = _option("noneDisplay", "QString")
    showChildNodeTypes = _option("showChildNodeTypes", "bool")

    _signatures = ("currentNodeChanged(vtkMRMLNode*)", "checkedNodesChanged()")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._options: dict[str, Any] = {"nodeTypes": [], "noneEnabled": False}
        self._scene: Any = None
        self._tags: list[int] = []
        self._checked: list[Any] = []
        self._current: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        self._tags = []
        if scene is not None:
            self._tags = [
                scene.AddObserver(event, lambda _caller, _event: self._follow())
                for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent)
            ]
        self._follow()

    def nodes(self) -> list[Any]:
        """Those that can be chosen."""
        found = []
        for name in self._options["nodeTypes"] if self._scene is not None else []:
            nodes = self._scene.GetNodesByClass(name)
            nodes.UnRegister(None)
            found += [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
        return [node for node in found if not node.GetHideFromEditors()]

    def _follow(self) -> None:
        if not isValid(self):
            return  # Qt has deleted it with its parent, and the scene does not know
        nodes = self.nodes()
        self._checked = [node for node in self._checked if node in nodes]
        if self._current is not None and self._current not in nodes:
            self.setCurrentNode(None)
        if self._current is None and nodes and not self._options["noneEnabled"]:
            self.setCurrentNode(nodes[0])

    def currentNode(self) -> Any:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            node = self._scene.GetNodeByID(node) if self._scene is not None else None
        if node is not None and node not in self.nodes():
            node = None
        if node is not self._current:
            self._current = node
            self.announce("currentNodeChanged(vtkMRMLNode*)", node)

    def checkedNodes(self) -> tuple[Any, ...]:
        return tuple(node for node in self.nodes() if node in self._checked)

    def setCheckState(self, node: Any, state: QtCore.Qt.CheckState) -> None:
        checked = state == QtCore.Qt.CheckState.Checked
        if checked != (node in self._checked):
            (self._checked.append if checked else self._checked.remove)(node)
            self.announce("checkedNodesChanged()")


class _MrmlWidget(QtWidgets.QWidget):
    """Hands its scene on to those children that want one."""

    def setMRMLScene(self, scene: Any) -> None:
        for child in self.findChildren(QtWidgets.QWidget):
            if hasattr(child, "setMRMLScene"):
                child.setMRMLScene(scene)


def make_ctk() -> types.ModuleType:
    """The module ``ctk``."""
    ctk = types.ModuleType("ctk")
    ctk.ctkCollapsibleButton = strict(_CollapsibleButton, "ctkCollapsibleButton")  # type: ignore[attr-defined]
    ctk.ctkSliderWidget = strict(_SliderWidget, "ctkSliderWidget")  # type: ignore[attr-defined]
    return ctk


def slicer_widgets() -> dict[str, type]:
    """Slicer's MRML widgets by name."""
    return {
        "qMRMLNodeComboBox": strict(_NodeComboBox, "qMRMLNodeComboBox"),
        "qMRMLCheckableNodeComboBox": strict(_NodeComboBox, "qMRMLCheckableNodeComboBox"),
        "qMRMLWidget": strict(_MrmlWidget, "qMRMLWidget"),
    }
