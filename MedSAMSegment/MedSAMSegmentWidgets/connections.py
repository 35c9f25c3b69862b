"""Signal connections that are all cut together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Connections:
    """Connects, and disconnects them all: a slot that is left keeps its object alive in Slicer."""

    def __init__(self) -> None:
        self._connected: list[tuple[Any, str, Callable[..., None]]] = []

    def add(self, widget: Any, signal: str, slot: Callable[..., None]) -> None:
        """Connect a signal.

        Raises:
            RuntimeError: the widget has no such signal, about which Slicer would only print a line.
        """
        if not widget.connect(signal, slot):
            raise RuntimeError(f"{widget.objectName} has no signal {signal}.")
        self._connected.append((widget, signal, slot))

    def remove_all(self) -> None:
        """As if nothing had been connected."""
        for widget, signal, slot in self._connected:
            widget.disconnect(signal, slot)
        self._connected = []
