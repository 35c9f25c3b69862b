"""What must not happen in the main thread: it is held for no longer than a picture on the screen stands still."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gui_stand_in.install import in_real_slicer
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference import slice_image
from MedSAMSegmentLib.intensity import rules
from MedSAMSegmentSlicer import prompt_work

TESTS = Path(__file__).resolve().parents[1]
MODULE = TESTS.parents[1] / "MedSAMSegment"


class Calls:
    """In which threads functions were called."""

    def __init__(self, monkeypatch):
        self.threads = {}
        self._monkeypatch = monkeypatch

    def watch(self, owner, name):
        original = getattr(owner, name)

        def watched(*arguments, **options):
            self.threads.setdefault(name, set()).add(threading.current_thread() is threading.main_thread())
            return original(*arguments, **options)

        self._monkeypatch.setattr(owner, name, watched)


@pytest.fixture
def calls(monkeypatch, model):
    made = Calls(monkeypatch)
    made.watch(prompt_work, "choose_window")
    made.watch(rules, "voxels_in")
    made.watch(slice_image, "sample")
    made.watch(slice_image, "apply_window")
    made.watch(prompt_work, "block_from_plane_mask")
    made.watch(Volume, "thinned")
    for name in ("encode", "decode", "logits_on_slice"):
        made.watch(model, name)
    return made


def test_voxels_are_looked_at_in_the_other_thread_alone(workplace, calls):
    effect = workplace.scripted_effect
    effect.setParameter("Window", "auto")
    workplace.run_events(0.4)  # the view settles
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    node = workplace.drawn_box()
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetSize([30.0, 20.0, 2.0])
    node.InvokeEvent(node.PointModifiedEvent)
    workplace.run_events(0.1)
    node.InvokeEvent(node.PointEndInteractionEvent)
    workplace.wait()
    effect.setParameter("Scope", "structure")
    effect.setNodeReference("ROI", workplace.add_roi("Brick", workplace.ras(45, 30, 3.5), (40.0, 30.0, 10.0)))
    workplace.effect.controller.apply()
    workplace.wait()
    assert workplace.voxels().any()
    assert {"choose_window", "voxels_in", "sample", "thinned", "encode", "decode"} <= set(calls.threads)
    assert {name: threads for name, threads in calls.threads.items() if True in threads} == {}


_FIRST_USE = """
import sys, threading, time
sys.path[:0] = [{tests!r}, {module!r}]
from gui_stand_in.install import install
install()
import slicer

in_main_thread = set()

class Finder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            in_main_thread.add(name)

sys.meta_path.insert(0, Finder())
import MedSAMSegment
MedSAMSegment.registerEffect()
editor = slicer.qMRMLSegmentEditorWidget()
editor.setMRMLScene(slicer.mrmlScene)
editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
editor.setSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
editor.setSourceVolumeNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))
editor.setActiveEffectByName("MedSAM")
effect = editor.activeEffect().self()
deadline = time.monotonic() + 60
while effect.controller is None and time.monotonic() < deadline:
    slicer.app.processEvents()
assert effect.controller is not None
arithmetic = ("numpy", "torch", "transformers", "SimpleITK", "MedSAMSegmentLib.geometry", "MedSAMSegmentLib.inference",
              "MedSAMSegmentLib.intensity.window", "MedSAMSegmentLib.propagation")
print(sorted(name for name in in_main_thread & set(sys.modules) if name.startswith(arithmetic)))
editor.setMRMLScene(None)
from gui_stand_in.install import uninstall
uninstall()
"""


def test_activation_imports_arithmetic_in_the_other_thread():
    if in_real_slicer():
        pytest.skip("Needs a Python that has not used the extension yet.")
    code = _FIRST_USE.format(tests=str(TESTS), module=str(MODULE))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "[]"
