"""torch's libraries are in memory before torch is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import MedSAMSegmentLib
from MedSAMSegmentLib import torch_libraries

PROGRAM = """
import sys
from MedSAMSegmentLib.torch_libraries import load_beside_other_threads
load_beside_other_threads()
print("imported", "torch" in sys.modules)
print("in memory", "libtorch_python.so" in open("/proc/self/maps").read())
import torch
print(int(torch.ones(3).sum()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where the import itself holds other threads up")
def test_the_libraries_are_loaded_without_importing_torch_which_works_afterwards() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(MedSAMSegmentLib.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:3] == ["imported False", "in memory True", "3"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where there is something to load")
def test_a_python_that_cannot_load_libraries_so_leaves_it_to_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(torch_libraries.ctypes, "CDLL", lambda name: object())
    torch_libraries.load_beside_other_threads()
