"""``slicer.parameterNodeWrapper``: a class's annotations, stored in a parameter node and connected to widgets."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """What a text may be."""

    choices: list[str]


def parameterNodeWrapper(cls: type) -> type:
    """Replace a class by one whose attributes live in the node that it is made with."""
    hints = typing.get_type_hints(cls, include_extras=True)
    members: dict[str, Any] = {name: _stored(name, kind, getattr(cls, name, None)) for name, kind in hints.items()}
    members |= {"_hints": hints, "__init__": _init, "connectGui": _connect_gui, "disconnectGui": _disconnect_gui}
    return type(cls.__name__, (), members)


def _init(self: Any, node: Any) -> None:
    self._node = node
    self._connections = {}


def _stored(name: str, kind: Any, default: Any) -> property:
    origin = typing.get_origin(kind)
    if origin is list:
        return property(lambda self: _nodes(self._node, name), lambda self, nodes: _set_nodes(self._node, name, nodes))
    if origin is None and hasattr(kind, "IsTypeOf"):
        return property(
            lambda self: self._node.GetNodeReference(name),
            lambda self, node: self._node.SetNodeReferenceID(name, node.GetID() if node is not None else None),
        )
    base = typing.get_args(kind)[0] if origin is not None else kind

    def get(self: Any) -> Any:
        text = self._node.GetParameter(name)
        if text == "":
            return default
        return text == "True" if base is bool else base(text)

    def set_(self: Any, value: Any) -> None:
        allowed = [each.choices for each in typing.get_args(kind) if isinstance(each, Choice)]
        if allowed and value not in allowed[0]:
            raise ValueError(f"{name} cannot be {value!r}")
        self._node.SetParameter(name, str(value))

    return property(get, set_)


def _nodes(node: Any, role: str) -> tuple[Any, ...]:
    return tuple(node.GetNthNodeReference(role, n) for n in range(node.GetNumberOfNodeReferences(role)))


def _set_nodes(node: Any, role: str, nodes: Any) -> None:
    node.RemoveNodeReferenceIDs(role)
    for each in nodes:
        node.AddNodeReferenceID(role, each.GetID())


def _connect_gui(self: Any, ui: Any) -> int:
    connected = []
    for widget in vars(ui).values():
        name = widget.property("SlicerParameterName") if hasattr(widget, "property") else None
        if name is None:
            continue
        if name not in self._hints:
            raise RuntimeError(f"{widget.objectName} asks for the parameter {name!r}, which there is not.")
        connected.append(_connect(self, widget, name))
    tag = len(self._connections) + 1
    self._connections[tag] = connected
    return tag


def _disconnect_gui(self: Any, tag: int) -> None:
    for widget, signal, slot in self._connections.pop(tag, []):
        widget.disconnect(signal, slot)


def _connect(self: Any, widget: Any, name: str) -> tuple[Any, str, Any]:
    kind = widget.className()
    if kind == "QCheckBox":
        widget.checked = getattr(self, name)
        signal, read = "toggled(bool)", lambda: widget.checked
    elif kind == "QComboBox":
        choices = next(each.choices for each in typing.get_args(self._hints[name]) if isinstance(each, Choice))
        widget.clear()
        for choice in choices:
            widget.addItem(choice)
        widget.currentIndex = choices.index(getattr(self, name))
        signal, read = "currentIndexChanged(int)", lambda: choices[widget.currentIndex]
    elif kind == "QDoubleSpinBox":
        widget.value = getattr(self, name)
        signal, read = "valueChanged(double)", lambda: widget.value
    elif kind == "qMRMLNodeComboBox":
        widget.setCurrentNode(getattr(self, name))
        signal, read = "currentNodeChanged(vtkMRMLNode*)", widget.currentNode
    else:
        raise RuntimeError(f"{kind} {widget.objectName} cannot be connected to {name!r}.")

    def changed() -> None:
        setattr(self, name, read())

    widget.connect(signal, changed)
    return widget, signal, changed
