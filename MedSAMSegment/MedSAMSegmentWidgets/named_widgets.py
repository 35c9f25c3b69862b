"""Widgets with a name, for tests and styles, and with a tooltip; and how they are filled without a signal."""

from __future__ import annotations

from typing import Any

import qt

_SPIN_WIDTH = 56
"""Pixels that three digits and the arrows need."""


def named(widget: Any, name: str, tip: str = "") -> Any:
    """A widget with its name and tooltip."""
    widget.objectName = name
    if tip:
        widget.setToolTip(tip)
    return widget


def button(name: str, text: str, tip: str) -> Any:
    return named(qt.QPushButton(text), name, tip)


def check_box(name: str, text: str, tip: str) -> Any:
    return named(qt.QCheckBox(text), name, tip)


def spin_box(kind: Any, name: str, tip: str, *, maximum: float, step: float = 1, suffix: str = "") -> Any:
    """From zero to a maximum.

    Args:
        kind: ``qt.QSpinBox`` or ``qt.QDoubleSpinBox``.
        name: for tests and styles.
        tip: tooltip.
        maximum: of the values.
        step: of a click.
        suffix: such as a unit.
    """
    spin = named(kind(), name, tip)
    spin.maximum = maximum
    spin.singleStep = step
    spin.suffix = suffix
    spin.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
    spin.setMinimumWidth(_SPIN_WIDTH)
    return spin


def combo_box(name: str, items: list[tuple[str, str, str]], tip: str = "") -> Any:
    """Items are text, data, and tooltip of the item."""
    combo = named(qt.QComboBox(), name, tip)
    for index, (text, data, item_tip) in enumerate(items):
        combo.addItem(text, data)
        combo.setItemData(index, item_tip, qt.Qt.ToolTipRole)
    # A long text is cut off rather than making the panel wider.
    combo.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
    return combo


def row(*widgets: Any, stretch: Any = None) -> Any:
    """Widgets side by side; one of them takes the room that is left."""
    layout = qt.QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget, 1 if widget is stretch else 0)
    return layout


def set_quietly(widget: Any, name: str, value: Any) -> None:
    """Set a property; no signal comes of it."""
    if getattr(widget, name) == value:
        return
    was_blocked = widget.blockSignals(True)
    try:
        setattr(widget, name, value)
    finally:
        widget.blockSignals(was_blocked)


def choose_quietly(combo: Any, data: str) -> None:
    """Choose the item with some data; no signal comes of it. What is not among the items is added, and shown as it is:
    a model given by its path, or an option of a later version."""
    index = combo.findData(data)
    if index < 0:
        combo.addItem(data, data)
        index = combo.count - 1
    set_quietly(combo, "currentIndex", index)
