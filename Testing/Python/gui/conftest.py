"""The effect in a Segment Editor: Slicer's own where there is one, else the stand-in's."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gui_stand_in.install import in_real_slicer, install, uninstall

if not in_real_slicer():
    install()

import numpy as np
import slicer
import vtk

from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentSlicer.inference_engine import InferenceEngine, ModelChoice, shared_engine_replaced
from MedSAMSegmentSlicer.volume_nodes import add_volume_node
from support.threshold_model import ThresholdModel

PROJECT = Path(__file__).resolve().parents[3]
SHAPE_KJI = (8, 60, 80)
BRIGHT = (slice(2, 6), slice(20, 40), slice(30, 60))
"""Where the volume is 100 instead of 0."""


class Interactor:
    """What an effect asks of a vtkRenderWindowInteractor."""

    def __init__(self, xy: tuple[int, int], key: str = "", modifier: bool = False) -> None:
        self._xy, self._key, self._modifier = xy, key, modifier

    def GetEventPosition(self) -> tuple[int, int]:
        return self._xy

    def GetKeySym(self) -> str:
        return self._key

    def GetShiftKey(self) -> int:
        return int(self._modifier)

    def GetControlKey(self) -> int:
        return 0

    GetAltKey = GetControlKey


class Workplace:
    """A volume, a segmentation with a segment *Target*, and an editor with the effect active."""

    def __init__(self, model: ThresholdModel) -> None:
        self.model = model
        voxels = np.zeros(SHAPE_KJI, dtype=np.int16)
        voxels[BRIGHT] = 100
        ijk_to_ras = np.diag([-1.0, -1.0, 2.0, 1.0])
        ijk_to_ras[:3, 3] = (39.5, 29.5, -7.0)
        self.volume = add_volume_node(slicer.mrmlScene, Volume(voxels, VolumeGeometry(SHAPE_KJI, ijk_to_ras)), "Brick")
        self.volume.CreateDefaultDisplayNodes()
        self.segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        self.segmentation.GetSegmentation().AddEmptySegment("Target", "Target")
        slicer.util.setSliceViewerLayers(background=self.volume, fit=True)
        self.show_slice(3)
        self.editor = self.new_editor()

    def new_editor(self, parameters: Any = None) -> Any:
        """Another editor, with a parameter node of its own unless it gets one."""
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        editor.setMRMLSegmentEditorNode(parameters or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        editor.setSegmentationNode(self.segmentation)
        editor.setSourceVolumeNode(self.volume)
        editor.setCurrentSegmentID("Target")
        editor.setActiveEffectByName("MedSAM")
        assert editor.activeEffect().name == "MedSAM"
        self.wait(lambda: editor.activeEffect().self().controller is not None)  # the first time, it imports first
        editor.activeEffect().setParameter("Window", "50,100")
        # The pointer comes into the axial view.
        enter = vtk.vtkCommand.EnterEvent
        editor.activeEffect().self().processInteractionEvents(Interactor((5, 5)), enter, self.view)
        return editor

    @property
    def scripted_effect(self) -> Any:
        return self.editor.activeEffect()

    @property
    def effect(self) -> Any:
        return self.scripted_effect.self()

    @property
    def view(self) -> Any:
        return slicer.app.layoutManager().sliceWidget("Red")

    def cursor_shape(self) -> int:
        """Of the pointer over the axial view, as Qt numbers it."""
        view = self.view.sliceView()
        if in_real_slicer():
            return view.VTKWidget().cursor.shape()
        return view.cursor.shape() if view.cursor is not None else 0

    def number_of_actors(self) -> int:
        """What is drawn over the slice in the axial view."""
        if not in_real_slicer():
            return len(self.view.actors())
        renderers = self.view.sliceView().renderWindow().GetRenderers()
        return sum(
            renderers.GetItemAsObject(n).GetActors2D().GetNumberOfItems() for n in range(renderers.GetNumberOfItems())
        )

    def show_slice(self, k: int) -> None:
        self.view.mrmlSliceNode().SetOrientation("Axial")
        self.view.mrmlSliceNode().JumpSliceByCentering(0.0, 0.0, self.ras(0, 0, k)[2])

    def ras(self, i: float, j: float, k: float) -> tuple[float, float, float]:
        return (39.5 - i, 29.5 - j, 2.0 * k - 7.0)

    def xy(self, i: float, j: float) -> tuple[int, int]:
        """Display pixel, in the axial view, of a voxel."""
        ras_to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.view.mrmlSliceNode().GetXYToRAS(), ras_to_xy)
        r, a, _ = self.ras(i, j, 0)
        s = self.view.mrmlSliceNode().GetSliceToRAS().GetElement(2, 3)
        x, y, _z, _w = ras_to_xy.MultiplyPoint([r, a, s, 1.0])
        return (round(x), round(y))

    def event(self, kind: str, xy: tuple[int, int], key: str = "", modifier: bool = False) -> bool:
        event_id = vtk.vtkCommand.GetEventIdFromString(kind)
        return self.effect.processInteractionEvents(Interactor(xy, key, modifier), event_id, self.view)

    def draw(self, first: tuple[float, float], second: tuple[float, float]) -> None:
        """Drag a box between two voxels (i, j) of the slice in view."""
        self.event("LeftButtonPressEvent", self.xy(*first))
        self.event("MouseMoveEvent", self.xy(*second))
        self.event("LeftButtonReleaseEvent", self.xy(*second))

    def drawn_box(self) -> Any:
        """The markup of the last box, once it can be picked up."""

        def can_be_picked_up() -> bool:
            node = self.scripted_effect.nodeReference("DrawnBox")
            return node is not None and bool(node.GetDisplayNode().GetVisibility())

        self.wait(can_be_picked_up)
        return self.scripted_effect.nodeReference("DrawnBox")

    def wait(self, done: Callable[[], bool] | None = None, seconds: float = 20.0) -> None:
        """Run the event loop until the effect is not busy, or something else is so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            slicer.app.processEvents()
            if done() if done is not None else not self.effect.controller.is_busy:
                return
            time.sleep(0.002)
        raise AssertionError("Waited in vain.")

    def run_events(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            slicer.app.processEvents()
            time.sleep(0.002)

    def voxels(self, segment_id: str = "Target") -> Any:
        """A segment as (K, J, I) bool."""
        import slicer.util

        segment = self.segmentation.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            return None
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentation, segment_id, self.volume)
        if voxels is None or voxels.shape != SHAPE_KJI:
            return np.zeros(SHAPE_KJI, dtype=bool)
        return voxels > 0

    def voxels_without_transforms(self) -> Any:
        """The segment's own voxels, as if no node were transformed."""
        transform = self.segmentation.GetTransformNodeID()
        self.segmentation.SetAndObserveTransformNodeID(None)
        try:
            return self.voxels()
        finally:
            self.segmentation.SetAndObserveTransformNodeID(transform)

    def bright(self, *layers: int) -> Any:
        """The bright voxels of some layers: what the model finds there."""
        expected = np.zeros(SHAPE_KJI, dtype=bool)
        for k in layers:
            expected[k][BRIGHT[1:]] = BRIGHT[0].start <= k < BRIGHT[0].stop
        return expected

    def add_roi(self, name: str, center: tuple[float, float, float], size: tuple[float, float, float]) -> Any:
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
        roi.CreateDefaultDisplayNodes()
        roi.SetCenter(list(center))
        roi.SetSize(list(size))
        return roi

    def close(self) -> None:
        self.editor.setMRMLScene(None)
        self.editor.deleteLater()


class IdentifiedThresholdModel(ThresholdModel):
    """With an identity that can be written into tags."""

    identity = ModelIdentity("threshold", "test", "0" * 64, "sam")


@pytest.fixture(scope="session", autouse=True)
def _registered() -> Iterator[None]:
    if in_real_slicer():
        yield
        return
    import MedSAMSegment

    MedSAMSegment.registerEffect()
    yield
    uninstall()


@pytest.fixture(autouse=True)
def _no_exception_is_swallowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test if a slot, a timer or a VTK observer raised: Qt and VTK print such an exception and go on.

    Inside Slicer, its own modules raise too: only exceptions that pass through this project's code count.
    """
    raised: list[str] = []

    def remember(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if any(Path(frame.filename).is_relative_to(PROJECT) for frame in traceback.extract_tb(trace)):
            raised.append("".join(traceback.format_exception(kind, error, trace)))

    monkeypatch.setattr(sys, "excepthook", remember)
    yield
    if raised:
        pytest.fail("An exception was raised in a slot, timer or observer:\n" + "\n".join(raised), pytrace=False)


@pytest.fixture
def model() -> ThresholdModel:
    return IdentifiedThresholdModel()


@pytest.fixture
def engine(model: ThresholdModel) -> Iterator[InferenceEngine]:
    """The application's engine, with a model that needs no weights."""

    def load(_choice: ModelChoice) -> ThresholdModel:
        return model

    with shared_engine_replaced(InferenceEngine(load)) as made:
        yield made


@pytest.fixture
def workplace(engine: InferenceEngine, model: ThresholdModel) -> Iterator[Workplace]:
    slicer.mrmlScene.Clear(False)
    made = Workplace(model)
    yield made
    made.close()
    slicer.mrmlScene.Clear(False)


@pytest.fixture
def widget(workplace: Workplace) -> Iterator[Any]:
    """The module's widget; the workplace's editor is idle."""
    if in_real_slicer():
        # A new one: the application's has looked for its engine before the test had one.
        made = slicer.util.getNewModuleWidget("MedSAMSegment")
        made.enter()
        yield made
        made.cleanup()
        return
    import MedSAMSegment

    made = MedSAMSegment.MedSAMSegmentWidget()
    made.setup()
    made.enter()
    yield made
    made.cleanup()


@pytest.fixture
def roi(workplace: Workplace) -> Any:
    """An ROI around the bright brick, with room on every side."""
    return workplace.add_roi("Brick", workplace.ras(44.5, 29.5, 3.5), (36.0, 26.0, 16.0))
