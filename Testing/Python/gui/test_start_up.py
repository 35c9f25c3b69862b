"""What the extension costs when Slicer starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from gui_stand_in.install import in_real_slicer

TESTS = Path(__file__).resolve().parents[1]
MODULE = TESTS.parents[1] / "MedSAMSegment"

_START = """
import sys
sys.path[:0] = [{tests!r}, {module!r}]
from gui_stand_in.install import install
install()
before = set(sys.modules)
import types, slicer
import MedSAMSegment
MedSAMSegment.MedSAMSegment(types.SimpleNamespace(path={module!r}))
MedSAMSegment.registerEffect()
new = set(sys.modules) - before
print(sorted(name for name in new if name.split(".")[0] in {heavy!r}))
"""


def test_loading_the_module_and_registering_the_effect_imports_no_library_of_ours_and_nothing_heavy():
    if in_real_slicer():
        pytest.skip("Needs a Python that has not used the extension yet.")
    heavy = ("numpy", "torch", "transformers", "SimpleITK", "MedSAMSegmentLib", "MedSAMSegmentSlicer")
    code = _START.format(tests=str(TESTS), module=str(MODULE), heavy=heavy)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_the_module_registers_one_effect_however_often_it_is_asked():
    import slicer

    import MedSAMSegment

    factory = slicer.qSlicerSegmentEditorEffectFactory.instance()
    MedSAMSegment.registerEffect()
    names = [effect.name for effect in factory.registeredEffects()]
    assert names.count("MedSAM") == 1
