"""Tables of text that can only be looked at and clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

_ROW_PIXELS = 24


def set_up_table(table: Any, headers: Sequence[str]) -> None:
    """Give a ``QTableWidget`` its columns."""
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(_ROW_PIXELS)
    table.horizontalHeader().setStretchLastSection(True)
    fill_table(table, [])


def fill_table(table: Any, rows: Sequence[Sequence[str]]) -> None:
    """Show rows of texts, and no others; the table is as high as they need, up to ten."""
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            table.setItem(row, column, qt.QTableWidgetItem(text))
    table.resizeColumnsToContents()
    table.setFixedHeight(_ROW_PIXELS * (min(len(rows), 10) + 1) + 14)
    table.setVisible(len(rows) > 0)
