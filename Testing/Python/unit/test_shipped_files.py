"""What CMake installs is what there is (``Testing/update_shipped_files.py`` brings the lists up to date), and the
extension's descriptions say the same."""

import json
import re
from pathlib import Path

from MedSAMSegmentLib.packages import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "MedSAMSegment"


def _listed(variable: str) -> set[str]:
    """The files of a list in the module's CMakeLists.txt."""
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({variable}\s(.*?)\)", text, re.DOTALL)
    assert found is not None
    return set(found.group(1).replace("${MODULE_NAME}", "MedSAMSegment").split())


def _there(*patterns: str) -> set[str]:
    return {
        path.relative_to(MODULE).as_posix()
        for pattern in patterns
        for path in MODULE.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def _set_in_cmake(name: str) -> str:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf'set\({name} "([^"]*)"', text)
    assert found is not None
    return found.group(1)


def _s4ext() -> dict[str, str]:
    lines = (ROOT / "MedSAMSegment.s4ext").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {keyword: value for keyword, _, value in pairs}


def test_every_python_file_is_installed_and_every_installed_one_exists():
    assert _listed("MODULE_PYTHON_SCRIPTS") == _there("**/*.py")


def test_every_resource_is_installed_and_every_installed_one_exists():
    assert _listed("MODULE_PYTHON_RESOURCES") == _there("Resources/**/*", "SegmentEditorMedSAMLib/*.png")


def test_the_module_file_is_alone_in_its_folder():
    # Slicer loads every Python file there as a module.
    assert _there("*.py") == {"MedSAMSegment.py"}


def test_the_effect_is_alone_in_its_folder():
    # Slicer replaces the folder's package by the effect's module.
    assert _there("SegmentEditorMedSAMLib/**/*.py") == {"SegmentEditorMedSAMLib/SegmentEditorEffect.py"}


def test_s4ext_says_what_cmake_says():
    described = _s4ext()
    assert described["homepage"] == _set_in_cmake("EXTENSION_HOMEPAGE")
    assert described["contributors"] == _set_in_cmake("EXTENSION_CONTRIBUTORS")
    assert described["description"] == _set_in_cmake("EXTENSION_DESCRIPTION")
    assert described["iconurl"] == _set_in_cmake("EXTENSION_ICONURL")
    assert described["screenshoturls"] == _set_in_cmake("EXTENSION_SCREENSHOTURLS")
    assert described["depends"] == _set_in_cmake("EXTENSION_DEPENDS")
    assert described["category"] == _set_in_cmake("EXTENSION_CATEGORY")


def test_the_catalogue_entry_says_what_s4ext_and_cmake_say():
    entry = json.loads((ROOT / "MedSAMSegment.json").read_text(encoding="utf-8"))
    described = _s4ext()
    assert entry["scm_url"] == described["scmurl"]
    assert entry["scm_revision"] == described["scmrevision"]
    assert entry["category"] == described["category"]
    assert entry["build_subdirectory"] == described["build_subdirectory"]
    assert " ".join(entry["build_dependencies"]) == described["depends"]
    assert "project(MedSAMSegment)" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_icon_and_screenshots_are_where_their_addresses_say():
    base = "https://raw.githubusercontent.com/MedSAMSegment/SlicerMedSAMSegment/main/"
    addresses = [_set_in_cmake("EXTENSION_ICONURL"), *_set_in_cmake("EXTENSION_SCREENSHOTURLS").split()]
    assert len(addresses) >= 2
    for address in addresses:
        assert address.startswith(base)
        assert (ROOT / address.removeprefix(base)).is_file()


def test_what_slicer_installs_is_what_the_library_needs_besides_torch():
    text = (MODULE / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    lines = {line for line in text.splitlines() if line and not line.startswith("#")}
    assert lines == {requirement for name, requirement in REQUIREMENTS.items() if name != "torch"}
