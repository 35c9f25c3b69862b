"""``qt`` as PythonQt shows it, over PySide6: properties are attributes, signals are connected by their signature.

As strict as the real thing: a property cannot be called, and what a class does not have cannot be set.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

_SIGNAL_CODE = "2"
"""What Qt's SIGNAL() puts in front of a signature."""

_MODULES = (QtWidgets, QtGui, QtCore)


def _property_names(cls: type) -> frozenset[str]:
    meta = cls.staticMetaObject
    return frozenset(meta.property(n).name() for n in range(meta.propertyCount()))


def _signal(widget: QtCore.QObject, signature: str) -> Any:
    """The bound signal of a C++ signature; None, with a line on stderr, if there is none: as PythonQt does."""
    normalized = QtCore.QMetaObject.normalizedSignature(signature).data().decode()
    name, _, arguments = normalized.partition("(")
    meta = widget.metaObject()
    if meta.indexOfSignal(normalized) < 0:
        # Signals of Python classes that carry VTK objects are declared with `object`.
        declared = [meta.method(n) for n in range(meta.methodCount())]
        known = [bytes(method.name()).decode() for method in declared if "PyObject" in str(method.methodSignature())]
        if name not in known:
            print(f"QObject::connect: No such signal {type(widget).__name__}::{signature}", file=sys.stderr)
            return None
    bound = getattr(widget, name)
    try:
        return bound[arguments.rstrip(")")] if arguments.rstrip(")") else bound
    except (KeyError, IndexError, TypeError):
        return bound


class _Strict:
    """What PythonQt changes about a ``QObject``. Mixed into every class of `qt`."""

    _properties: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):
            # PySide finds its own methods of these names before ours.
            return object.__getattribute__(self, "_" + name)
        if name == "name":
            return self.property("objectName")
        if name in type(self)._properties:
            value = self.property(name)
            return tuple(value) if isinstance(value, list) else value
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self)._properties:
            if not self.setProperty(name, value):
                raise TypeError(f"{type(self).__name__}.{name} does not take {value!r}")
        elif name.startswith("_") or type(self).__module__ != __name__:
            super().__setattr__(name, value)
        else:
            raise AttributeError(f"{type(self).__name__} has no property {name!r}")

    def _connect(self, signature: str, slot: Callable[..., Any], *options: Any) -> bool:
        if signature.startswith(_SIGNAL_CODE):
            # PySide's own signals end up here.
            return QtCore.QObject.connect(self, signature, slot, *options)
        bound = _signal(self, signature)
        if bound is None:
            return False
        takes = _argument_count(slot)
        given = 0 if signature.endswith("()") else signature.count(",") + 1
        used = given if takes is None else min(given, takes)

        def call(*arguments: Any) -> None:
            slot(*arguments[:used])

        self.__dict__.setdefault("_slots", []).append((signature, slot, bound, call))
        bound.connect(call)
        return True

    def _disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        if signature.startswith(_SIGNAL_CODE):
            return QtCore.QObject.disconnect(self, signature, slot)
        slots = self.__dict__.get("_slots", [])
        for entry in slots:
            if entry[0] == signature and entry[1] == slot:
                entry[2].disconnect(entry[3])
                slots.remove(entry)
                return True
        return False

    def className(self) -> str:
        return type(self).__name__


def _argument_count(slot: Callable[..., Any]) -> int | None:
    code = getattr(slot, "__code__", None) or getattr(getattr(slot, "__func__", None), "__code__", None)
    if code is None or code.co_flags & 0x04:
        return None
    return code.co_argcount - (1 if isinstance(slot, types.MethodType) else 0)


def strict(cls: type, name: str | None = None) -> type:
    """A subclass of a Qt class that behaves as under PythonQt."""
    return type(name or cls.__name__, (_Strict, cls), {"_properties": _property_names(cls), "__module__": __name__})


class _QtModule(types.ModuleType):
    """Finds classes as they are asked for."""

    def __getattr__(self, name: str) -> Any:
        for module in _MODULES:
            found = getattr(module, name, None)
            if found is None:
                continue
            if isinstance(found, type) and issubclass(found, QtCore.QObject):
                found = strict(found)
            setattr(self, name, found)
            return found
        raise AttributeError(f"qt has no {name}")


def make_qt() -> types.ModuleType:
    """The module ``qt``."""
    qt = _QtModule("qt")
    event_type = QtCore.QEvent.Type
    # PythonQt shows enumerators on their class as well.
    qt.QEvent = types.SimpleNamespace(**{kind.name: kind for kind in event_type})  # type: ignore[attr-defined]
    return qt
