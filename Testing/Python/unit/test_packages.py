from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import MedSAMSegmentLib
from MedSAMSegmentLib import packages
from MedSAMSegmentLib.errors import MissingPackageError
from MedSAMSegmentLib.packages import REQUIREMENTS, is_recent_enough, reads_pickles_safely, require
from MedSAMSegmentLib.resources import resource_path

LIBRARY_PARENT = Path(MedSAMSegmentLib.__file__).resolve().parents[1]


def test_an_installed_package_and_its_modules_are_imported() -> None:
    assert require("safetensors").__name__ == "safetensors"
    assert require("safetensors.numpy").__name__ == "safetensors.numpy"


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_missing_package_is_an_error_with_both_ways_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with pytest.raises(MissingPackageError) as caught:
        require(name)
    assert f"pip install '{REQUIREMENTS[name]}'" in str(caught.value)
    assert "In 3D Slicer: open the module MedSAM Segment" in str(caught.value)


def test_a_package_that_is_too_old_is_an_error_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed_version", lambda name: "4.57.1")
    with pytest.raises(MissingPackageError, match=r"too old: 4\.57\.1 is installed, and transformers>=5\.0 is needed"):
        require("transformers.models")


@pytest.mark.parametrize(
    ("name", "version", "is_enough"),
    [
        ("torch", "2.13.0+cpu", True),
        ("torch", "2.4.0", True),
        ("torch", "2.3.1+cu121", False),
        ("torch", "1.13.1", False),
        ("transformers", "5.0.0rc1", True),
        ("transformers", "4.57.1", False),
        ("huggingface_hub", "1.10", True),
        ("huggingface_hub", "0.36.0", False),
        ("safetensors", "0.4.5", True),
        ("safetensors", "0.4.10", True),
        ("safetensors", "0.4.3", False),
        ("safetensors", "unknown version", True),
    ],
)
def test_versions_are_compared_as_numbers(name: str, version: str, is_enough: bool) -> None:
    assert is_recent_enough(name, version) is is_enough


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [("2.4.0", False), ("2.5.1+cu121", False), ("2.9.1", False), ("2.10.0", True), ("2.13.0+cpu", True)],
)
def test_pickles_are_safe_to_read_from_the_version_on_that_mends_the_last_known_hole(
    version: str, is_safe: bool
) -> None:
    """CVE-2025-32434 is mended in 2.6, CVE-2026-24747 (GHSA-63cw-57p8-fm3p) in 2.10."""
    assert reads_pickles_safely(version) is is_safe


def test_what_is_installed_reads_pickles_safely() -> None:
    project = (LIBRARY_PARENT.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert REQUIREMENTS["torch"] == "torch>=2.10"
    assert '"torch>=2.10"' in project


def test_a_package_whose_libraries_do_not_load_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise OSError("[WinError 126] The specified module could not be found: c10.dll")

    monkeypatch.setattr(packages.importlib, "import_module", fails)
    with pytest.raises(MissingPackageError, match=r"'torch' .*c10\.dll"):
        require("torch")
    monkeypatch.undo()
    assert importlib.import_module("json")


@pytest.mark.parametrize(("model", "missing"), [("lite-medsam", "torch"), (".", "torch"), (".", "transformers")])
def test_loading_a_model_without_a_package_says_how_to_install_it(model: str, missing: str, tmp_path: Path) -> None:
    # A folder of a SAM, as far as can be seen without reading weights.
    (tmp_path / "config.json").write_text('{"model_type": "sam"}')
    (tmp_path / "model.safetensors").touch()
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from MedSAMSegmentLib.errors import MissingPackageError\n"
        "from MedSAMSegmentLib.models.load import load_model\n"
        f"try: load_model({model!r}, device='cpu')\n"
        "except MissingPackageError as error: print(error)"
    )
    environment = os.environ | {"PYTHONPATH": str(LIBRARY_PARENT)}
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert f"The Python package {missing!r} is needed" in completed.stdout
    assert f"pip install '{REQUIREMENTS[missing]}'" in completed.stdout


def test_what_slicer_installs_is_what_the_library_requires() -> None:
    lines = resource_path("requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    # torch comes through Slicer's PyTorch extension.
    assert listed == {requirement for name, requirement in REQUIREMENTS.items() if name != "torch"}
