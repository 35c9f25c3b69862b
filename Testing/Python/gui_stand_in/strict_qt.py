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
    if widget.metaObject().indexOfSignal(normalized) < 0:
        print(f"QObject::connect: No such signal {type(widget).__name__}::{signature}", file=sys.stderr)
        return None
    name, _, arguments = normalized.rstrip(")").partition("(")
    bound = getattr(widget, name)
    try:
        return bound[arguments] if arguments else bound
    except (KeyError, IndexError, TypeError):
        return bound


class Signals:
    """Signals of the stand-in's own widgets: `_signatures` are known, `announce` calls who has connected to one.

    Not PySide's: emitting one of those from Python 3.11 takes a reference to True too many.
    """

    _signatures: tuple[str, ...] = ()

    def announce(self, signature: str, *arguments: Any) -> None:
        if QtCore.QObject.signalsBlocked(self):  # type: ignore[arg-type]
            return
        for known, _slot, call in list(self.__dict__.get("_slots", [])):
            if known == signature:
                call(*arguments)


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
        elif name.startswith("_") or type(self).__module__ != __name__ or isinstance(value, QtCore.QObject):
            # The last: PySide's loader of .ui files makes children attributes of what it loads.
            super().__setattr__(name, value)
        else:
            raise AttributeError(f"{type(self).__name__} has no property {name!r}")

    def _connect(self, signature: str, slot: Callable[..., Any], *options: Any) -> bool:
        if signature.startswith(_SIGNAL_CODE):
            # PySide's own signals end up here.
            return QtCore.QObject.connect(self, signature, slot, *options)
        own = signature in getattr(self, "_signatures", ())
        bound = None if own else _signal(self, signature)
        if bound is None and not own:
            return False
        takes = _argument_count(slot)
        given = 0 if signature.endswith("()") else signature.count(",") + 1
        used = given if takes is None else min(given, takes)

        slots = self.__dict__.setdefault("_slots", [])

        def call(*arguments: Any) -> None:
            if entry in slots:
                slot(*arguments[:used])

        entry = (signature, slot, call)
        slots.append(entry)
        if bound is not None:
            bound.connect(call)
        return True

    def _disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        # PySide's own disconnection takes, from Python 3.11, a reference to True too many: ours is a word in a list.
        slots = self.__dict__.get("_slots", [])
        for entry in slots:
            if entry[:2] == (signature, slot):
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
