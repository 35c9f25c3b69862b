"""The table of results as a spreadsheet and as a node."""

import csv

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentSlicer.results_table import add_table_node, measured, write_csv
from support.mrml import block


@pytest.fixture
def rows():
    grid = VolumeGeometry((8, 10, 12), np.diag([1.0, 1.0, 2.0, 1.0]))
    lesion = block(grid, slice(2, 5), slice(1, 2), slice(4, 9))  # 5 × 1 × 3 voxels of 2 mm³
    return [measured("CT, ärztlich", 'Lesion "A", left', lesion, 3, 1, 0.876), measured("CT", "None", None, 2, 2, 0.1)]


HEADER = [
    *("image", "segment", "volume_ml", "largest_axial_diameter_mm", "perpendicular_diameter_mm"),
    *("slices", "doubtful_slices", "confidence"),
]


def test_the_spreadsheet_has_a_header_and_a_line_for_each_segment(rows, tmp_path):
    path = tmp_path / "table.csv"
    write_csv(rows, path)
    with path.open(encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert header == HEADER
    assert first == ["CT, ärztlich", 'Lesion "A", left', "0.030", "5.0", "1.0", "3", "1", "0.88"]
    assert second == ["CT", "None", "0.000", "0.0", "0.0", "2", "2", "0.10"]


def test_the_node_holds_numbers_as_numbers_and_units_in_its_titles(scene, rows):
    node = add_table_node(scene.mrml, rows, "Lesions")
    table = node.GetTable()
    assert node.GetName() == "Lesions"
    assert [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())] == HEADER
    assert table.GetNumberOfRows() == 2
    assert table.GetValueByName(0, "segment").ToString() == 'Lesion "A", left'
    assert table.GetColumnByName("volume_ml").GetValue(0) == pytest.approx(0.03)
    assert table.GetColumnByName("slices").GetValue(1) == 2
    assert node.GetColumnTitle("volume_ml") == "Volume (mL)"
    assert node.GetColumnUnitLabel("largest_axial_diameter_mm") == "mm"


def test_a_table_without_segments_still_has_its_columns(scene, tmp_path):
    assert add_table_node(scene.mrml, [], "Nothing").GetTable().GetNumberOfColumns() == len(HEADER)
    write_csv([], tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text().splitlines() == [",".join(HEADER)]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_that_begins_like_a_formula_is_text_in_a_spreadsheet(scene, tmp_path, start):
    # The six that OWASP names, with its remedy: an apostrophe before the cell.
    name = f"{start}cmd|' /C calc'!A0"
    rows = [measured(name, name, None, 2, 2, 0.1)]
    write_csv(rows, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        _header, row = csv.reader(file)
    assert row == ["'" + name, "'" + name, "0.000", "0.0", "0.0", "2", "2", "0.10"]
    table = add_table_node(scene.mrml, rows, "Lesions").GetTable()
    assert table.GetValueByName(0, "segment").ToString() == "'" + name
