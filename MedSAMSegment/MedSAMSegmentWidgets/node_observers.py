"""Observers of nodes that are all taken away together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class NodeObservers:
    """Adds observers, and removes them all."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def add(self, node: Any, event: Any, callback: Callable[[Any, Any], None]) -> None:
        """Call ``callback(node, event)`` on an event."""
        self._tags.append((node, node.AddObserver(event, callback)))

    def remove_all(self) -> None:
        """As if none had been added."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []
