"""torch's libraries are in memory before torch is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import MedSAMSegmentLib

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
