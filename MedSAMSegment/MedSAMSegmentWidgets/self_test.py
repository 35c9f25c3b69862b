"""The extension's self test: the effect in a real Segment Editor, and the module's run, on a synthetic volume."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import vtk

from MedSAMSegmentSlicer.inference_engine import (
    InferenceEngine,
    LoadModel,
    ModelChoice,
    load_chosen,
    shared_engine_replaced,
)
from MedSAMSegmentSlicer.roi_selection import ROI_CLASS
from MedSAMSegmentWidgets.self_test_models import bright_in_box, tiny_random_sam

_RADIUS_MM = 12.0
_WAIT_S = 120.0


def _provide_views() -> Any:
    """Slice views where Slicer runs without its main window, as ctest runs it; what has to be kept alive."""
    if slicer.app.layoutManager() is not None:
        return None
    import qt

    viewport = qt.QWidget()
    viewport.resize(800, 600)
    layout = slicer.qSlicerLayoutManager()
    layout.setMRMLScene(slicer.mrmlScene)
    layout.setViewport(viewport)
    slicer.app.setLayoutManager(layout)
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    viewport.show()
    slicer.app.processEvents()
    return viewport, layout


class _Mouse:
    """What an effect asks of an interactor."""

    def __init__(self, xy: tuple[int, int]) -> None:
        self._xy = xy

    def GetEventPosition(self) -> tuple[int, int]:
        return self._xy

    def GetShiftKey(self) -> int:
        return 0

    GetControlKey = GetAltKey = GetShiftKey


class SelfTest:
    """Each test sets its own scene up, and asserts on voxels.

    Args:
        say: shows a line to who is watching.
    """

    def __init__(self, say: Callable[[str], Any]) -> None:
        self._say = say
        self._views = _provide_views()

    def tests(self) -> list[Callable[[], None]]:
        """What can be tested here, in order."""
        tests = [self.test_drawn_box, self.test_undo_and_masking, self.test_module]
        if importlib.util.find_spec("torch") is None:
            self._say("torch is not installed: tested with a stand-in for the model only.")
            return tests
        if importlib.util.find_spec("transformers") is None:
            self._say("transformers is not installed: not tested with a SAM.")
        else:
            tests.append(self.test_random_sam)
        if self._has_lite_medsam():
            tests.append(self.test_lite_medsam)
        else:
            self._say("LiteMedSAM's weights are not on this computer: not tested with them.")
        return tests

    def test_drawn_box(self) -> None:
        """What is in the box of one slice, and nothing else, gets into the segment."""
        self._say("Drawing a box with the effect")
        with self._editor(bright_in_box) as editor:
            self._draw_box(editor, (-20, -20), (20, 20))
            expected = self._sphere(editor) & self._middle_slice(editor)
            _check(bool((self._voxels(editor) == expected).all()), "the box's slice of the sphere is the segment")
            _check(int(expected.sum()) > 100, "the sphere is in the slice")

    def test_undo_and_masking(self) -> None:
        """One undo per box; the intensity range of the editor is honoured."""
        self._say("Undo, redo and masking")
        with self._editor(bright_in_box) as editor:
            self._draw_box(editor, (-20, -20), (20, 20))
            full = int(self._voxels(editor).sum())
            editor.undo()
            _check(int(self._voxels(editor).sum()) == 0, "one undo takes the box back")
            editor.redo()
            _check(int(self._voxels(editor).sum()) == full, "redo brings it again")
            editor.undo()
            parameters = editor.mrmlSegmentEditorNode()
            parameters.SetSourceVolumeIntensityMask(True)
            parameters.SetSourceVolumeIntensityMaskRange(500.0, 1000.0)
            self._draw_box(editor, (-20, -20), (20, 20))
            _check(int(self._voxels(editor).sum()) == 0, "no voxel is in the intensity range, and none changes")

    def test_module(self) -> None:
        """An ROI becomes a segment of its name without a Segment Editor."""
        self._say("Segmenting an ROI with the module")
        from MedSAMSegmentSlicer.roi_job import RoiJob, run_roi_job

        with shared_engine_replaced(InferenceEngine(bright_in_box)):
            volume = self._volume()
            roi = slicer.mrmlScene.AddNewNodeByClass(ROI_CLASS, "Ball")
            roi.SetCenter([0.0, 0.0, 0.0])
            roi.SetSize([36.0, 36.0, 36.0])
            result = run_roi_job(slicer.mrmlScene, RoiJob(volume, (roi,), level="fast"))
            row = result.rows[0]
            ideal_ml = 4 / 3 * 3.14159 * _RADIUS_MM**3 / 1000
            _check(row.name == "Ball", "the segment is named after the ROI")
            _check(abs(row.volume_ml - ideal_ml) < 0.15 * ideal_ml, f"{row.volume_ml:.2f} mL is near {ideal_ml:.2f} mL")

    def test_random_sam(self) -> None:
        """A real SAM architecture runs from the mouse to the voxels."""
        self._say("Drawing a box with a small SAM of random weights")
        with self._editor(tiny_random_sam) as editor:
            self._draw_box(editor, (-20, -20), (20, 20))
            outside = self._voxels(editor) & ~self._middle_slice(editor)
            _check(int(outside.sum()) == 0, "only the slice of the box can change")

    def test_lite_medsam(self) -> None:
        """LiteMedSAM finds the sphere."""
        self._say("Drawing a box with LiteMedSAM")
        with self._editor(load_chosen) as editor:
            self._draw_box(editor, (-14, -14), (14, 14))
            expected = self._sphere(editor) & self._middle_slice(editor)
            found = self._voxels(editor)
            dice = 2 * int((found & expected).sum()) / max(1, int(found.sum()) + int(expected.sum()))
            _check(dice > 0.9, f"Dice {dice:.3f} of the sphere's slice is above 0.9")

    def _has_lite_medsam(self) -> bool:
        from MedSAMSegmentLib.models.description import describe
        from MedSAMSegmentLib.models.weights import find_weights

        return find_weights(describe(ModelChoice().model)) is not None

    def _volume(self) -> Any:
        """A sphere of 100 in a background of 0, spacing 1 × 1 × 2 mm, turned as most images are (LPS)."""
        import numpy as np

        from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
        from MedSAMSegmentSlicer.volume_nodes import add_volume_node

        ijk_to_ras = np.diag([-1.0, -1.0, 2.0, 1.0])
        ijk_to_ras[:3, 3] = (31.5, 31.5, -24.0)
        k, j, i = np.indices((25, 64, 64))
        x, y, z = (31.5 - i, 31.5 - j, 2.0 * k - 24.0)
        voxels = np.where(x**2 + y**2 + z**2 <= _RADIUS_MM**2, 100, 0).astype(np.int16)
        node = add_volume_node(slicer.mrmlScene, Volume(voxels, VolumeGeometry(voxels.shape, ijk_to_ras)), "Sphere")
        node.CreateDefaultDisplayNodes()
        return node

    @contextmanager
    def _editor(self, load: LoadModel) -> Iterator[Any]:
        """A Segment Editor with the effect active, an empty segment, and the axial view on the sphere's middle."""
        slicer.mrmlScene.Clear(0)
        volume = self._volume()
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        segment_id = segmentation.GetSegmentation().AddEmptySegment("Target", "Target")
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        view = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
        view.SetOrientation("Axial")
        view.JumpSliceByCentering(0.0, 0.0, 0.0)
        with shared_engine_replaced(InferenceEngine(load)):
            editor = slicer.qMRMLSegmentEditorWidget()
            try:
                editor.setMRMLScene(slicer.mrmlScene)
                editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
                editor.setSegmentationNode(segmentation)
                editor.setSourceVolumeNode(volume)
                editor.setCurrentSegmentID(segment_id)
                editor.setActiveEffectByName("MedSAM")
                effect = editor.activeEffect()
                _check(effect is not None and effect.name == "MedSAM", "the effect can be activated")
                _wait_until(lambda: effect.self().controller is not None, "the effect has started")
                effect.setParameter("Window", "100,200")
                effect.setParameter("Threshold", 0.5)
                yield editor
            finally:
                editor.setActiveEffect(None)
                editor.setMRMLScene(None)
                editor.deleteLater()

    def _draw_box(self, editor: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, drag and release in the axial view, between two points (R, A) mm, and wait for the answer."""
        widget = slicer.app.layoutManager().sliceWidget("Red")
        ras_to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(widget.mrmlSliceNode().GetXYToRAS(), ras_to_xy)
        points = []
        for r, a in (start, end):
            x, y, _z, _w = ras_to_xy.MultiplyPoint([float(r), float(a), 0.0, 1.0])
            points.append((round(x), round(y)))
        effect = editor.activeEffect().self()
        event = vtk.vtkCommand
        effect.processInteractionEvents(_Mouse(points[0]), event.LeftButtonPressEvent, widget)
        effect.processInteractionEvents(_Mouse(points[1]), event.MouseMoveEvent, widget)
        effect.processInteractionEvents(_Mouse(points[1]), event.LeftButtonReleaseEvent, widget)
        _wait_until(lambda: not effect.controller.is_busy, "the model has answered")

    def _voxels(self, editor: Any) -> Any:
        """The segment on the volume's voxels: (K, J, I) bool."""
        import numpy as np

        segmentation, volume = editor.segmentationNode(), editor.sourceVolumeNode()
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "Target", volume)
        shape = slicer.util.arrayFromVolume(volume).shape
        return np.zeros(shape, dtype=bool) if voxels is None or voxels.shape != shape else voxels > 0

    def _sphere(self, editor: Any) -> Any:
        return slicer.util.arrayFromVolume(editor.sourceVolumeNode()) > 0

    def _middle_slice(self, editor: Any) -> Any:
        import numpy as np

        middle = np.zeros(slicer.util.arrayFromVolume(editor.sourceVolumeNode()).shape, dtype=bool)
        middle[12] = True
        return middle


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not condition() and time.monotonic() < deadline:
        slicer.app.processEvents()
        time.sleep(0.005)
    _check(condition(), what)


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"It does not hold that {what}.")
