"""The slices to look at: a click jumps there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.doubtful_slice import DoubtfulSlice
from MedSAMSegmentWidgets.text_table import fill_table, set_up_table


class ReviewList:
    """Fills a table with doubtful slices.

    Args:
        table: ``QTableWidget``.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._slices: list[DoubtfulSlice] = []
        set_up_table(table, [_("Segment"), _("Position (R, A, S mm)"), _("Confidence")])

    def show(self, listed: Sequence[tuple[str, DoubtfulSlice]]) -> None:
        """List slices with the name of their segment, and no others."""
        self._slices = [each for _name, each in listed]
        fill_table(
            self._table,
            [[name, ", ".join(f"{x:.1f}" for x in each.center_ras), f"{each.confidence:.2f}"] for name, each in listed],
        )

    def jump(self, row: int, _column: int) -> None:
        """Show the slice of a row in all slice views."""
        if 0 <= row < len(self._slices):
            slicer.modules.markups.logic().JumpSlicesToLocation(*self._slices[row].center_ras, True)
