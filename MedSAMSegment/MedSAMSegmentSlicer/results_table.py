"""What was segmented, as a table: for a spreadsheet, and for Slicer."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.measurements import axial_diameters

TABLE_SUFFIX = ".csv"
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""With which a spreadsheet takes a cell for a formula, see OWASP, CSV injection."""


@dataclass(frozen=True)
class TableRow:
    """One segment.

    Attributes:
        image: name of the volume that was segmented, or its path.
        segment: name of the segment.
        volume_ml: of its voxels.
        diameter_mm: largest axial diameter.
        perpendicular_mm: the longest one across it, on the same slice.
        slices: that were segmented.
        doubtful_slices: of these, the ones to look at.
        confidence: estimate of the Dice with the truth, 0 to 1.
    """

    image: str
    segment: str
    volume_ml: float
    diameter_mm: float
    perpendicular_mm: float
    slices: int
    doubtful_slices: int
    confidence: float


@dataclass(frozen=True)
class _Column:
    field: str
    title: str
    unit: str = ""
    digits: int | None = None
    """Behind the point; None where it is not a fraction."""

    @property
    def header(self) -> str:
        """As spreadsheets and statistics programs like it: one word, with the unit."""
        return "_".join(word for word in (*self.title.lower().split(), self.unit.lower()) if word)


_COLUMNS = (
    _Column("image", "Image"),
    _Column("segment", "Segment"),
    _Column("volume_ml", "Volume", "mL", 3),
    _Column("diameter_mm", "Largest axial diameter", "mm", 1),
    _Column("perpendicular_mm", "Perpendicular diameter", "mm", 1),
    _Column("slices", "Slices"),
    _Column("doubtful_slices", "Doubtful slices"),
    _Column("confidence", "Confidence", "", 2),
)


def measured(
    image: str, segment: str, block: MaskBlock | None, slices: int, doubtful_slices: int, confidence: float
) -> TableRow:
    """A row for a segment that holds ``block``; None for an empty one. The rest as in `TableRow`."""
    diameters = axial_diameters(block)
    return TableRow(
        image=image,
        segment=segment,
        volume_ml=0.0 if block is None else block.volume_mm3 / 1000,
        diameter_mm=diameters.longest_mm,
        perpendicular_mm=diameters.perpendicular_mm,
        slices=slices,
        doubtful_slices=doubtful_slices,
        confidence=confidence,
    )


def write_csv(rows: Sequence[TableRow], path: Path) -> None:
    """Write comma-separated values in UTF-8, with a header line; a file that is there is overwritten.

    A name or path that begins like a formula gets an apostrophe before it; numbers are as they are.

    Raises:
        OSError: the file cannot be written. See `written_whole`.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.header for column in _COLUMNS])
        for row in rows:
            writer.writerow([_text(getattr(row, column.field), column.digits) for column in _COLUMNS])


def add_table_node(scene: Any, rows: Sequence[TableRow], name: str) -> Any:
    """Put the table into a scene.

    Args:
        scene: ``vtkMRMLScene``.
        rows: of the table.
        name: of the node.

    Returns:
        ``vtkMRMLTableNode``; numbers are numbers in it, rounded as in the CSV file.
    """
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    was_modifying = node.StartModify()
    try:
        node.SetUseColumnTitleAsColumnHeader(True)
        for column in _COLUMNS:
            values = [getattr(row, column.field) for row in rows]
            array: Any
            if column.field in ("image", "segment"):
                array = vtk.vtkStringArray()
                values = [_no_formula(value) for value in values]
            elif column.digits is None:
                array = vtk.vtkIntArray()
            else:
                array = vtk.vtkDoubleArray()
                values = [round(value, column.digits) for value in values]
            array.SetName(column.header)
            for value in values:
                array.InsertNextValue(value)
            node.AddColumn(array)
            title = f"{column.title} ({column.unit})" if column.unit else column.title
            node.SetColumnTitle(column.header, title)
            node.SetColumnUnitLabel(column.header, column.unit)
    finally:
        node.EndModify(was_modifying)
    return node


def _text(value: Any, digits: int | None) -> str:
    if isinstance(value, str):
        return _no_formula(value)
    return str(value) if digits is None else f"{value:.{digits}f}"


def _no_formula(text: str) -> str:
    """A name or path as a spreadsheet shows it: with an apostrophe before what would be a formula, as OWASP advises."""
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text
