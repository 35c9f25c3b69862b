"""Puts the stand-in where the extension imports from."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

MODULE_FILE = Path(__file__).resolve().parents[3] / "MedSAMSegment" / "MedSAMSegment.py"


def in_real_slicer() -> bool:
    """Whether this Python is a 3D Slicer's."""
    return "SlicerApp" in Path(sys.executable).name or "qSlicerBaseQTCorePythonQt" in sys.modules


def install() -> None:
    """Make ``qt``, ``ctk`` and what ``slicer`` lacks; once a process."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer

    if hasattr(slicer, "app"):
        return
    from PySide6 import QtCore, QtWidgets

    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    from gui_stand_in.strict_qt import make_qt
    from gui_stand_in.widgets import make_ctk, slicer_widgets

    slicer.app = _Application(QtWidgets.QApplication.instance() or QtWidgets.QApplication(["stand-in"]))
    sys.modules["qt"] = make_qt()
    sys.modules["ctk"] = make_ctk()
    for name, widget in slicer_widgets().items():
        setattr(slicer, name, widget)

    from gui_stand_in import parameter_node, scripted_effect, scripted_module, ui_loader

    sys.modules["qt"].QUiLoader = ui_loader.make_ui_loader(sys.modules["ctk"], slicer_widgets())  # type: ignore[attr-defined]
    _module("slicer.i18n", tr=lambda text: text, translate=lambda _context, text: text)
    _module("slicer.parameterNodeWrapper", **vars(parameter_node))
    _module("slicer.ScriptedLoadableModule", **vars(scripted_module))
    _module(
        "SegmentEditorEffects", AbstractScriptedSegmentEditorEffect=scripted_effect.AbstractScriptedSegmentEditorEffect
    )
    _module(
        "qSlicerSegmentationsEditorEffectsPythonQt", qSlicerSegmentEditorScriptedEffect=scripted_effect.ScriptedEffect
    )
    slicer.qSlicerSegmentEditorEffectFactory = scripted_effect.EffectFactory
    from gui_stand_in.segment_editor import SegmentEditorWidget

    slicer.qMRMLSegmentEditorWidget = SegmentEditorWidget
    _set_up_scene(slicer)


def uninstall() -> None:
    """Let go of everything while Python still can: Qt and VTK objects that outlive it crash at exit."""
    import gc

    import slicer
    from PySide6 import QtCore

    from gui_stand_in import scripted_effect

    slicer.mrmlScene.Clear(True)
    for effect in scripted_effect.EffectFactory.instance().registeredEffects():
        effect.self().cleanup()
    scripted_effect.EffectFactory._instance = None
    slicer.app._layout = None
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    gc.collect()
    slicer.app._qt.shutdown()


def _module(name: str, **members: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update({key: value for key, value in members.items() if not key.startswith("__")})
    sys.modules[name] = module
    if name.startswith("slicer."):
        import slicer

        setattr(slicer, name.removeprefix("slicer."), module)


def _set_up_scene(slicer: Any) -> None:
    from gui_stand_in.views import LayoutManager

    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLApplicationLogic()
    logic.SetMRMLScene(scene)
    markups, segmentations = slicer.vtkSlicerMarkupsLogic(), slicer.vtkSlicerSegmentationsModuleLogic()
    sequences = slicer.vtkSlicerSequencesLogic()
    for module_logic in (markups, segmentations, sequences):
        module_logic.SetMRMLApplicationLogic(logic)
        module_logic.SetMRMLScene(scene)
    slicer.mrmlScene = scene
    slicer.app._logic = logic
    slicer.app._layout = LayoutManager(scene)
    slicer.modules = types.SimpleNamespace(
        markups=types.SimpleNamespace(logic=lambda: markups),
        segmentations=types.SimpleNamespace(logic=lambda: segmentations),
        sequences=types.SimpleNamespace(logic=lambda: sequences),
        medsamsegment=types.SimpleNamespace(path=str(MODULE_FILE)),
    )

    def set_layers(background: Any = None, fit: bool = False, **_others: Any) -> None:
        """No pixels are drawn: the views only know what they would show."""
        slicer.app._layout.show(background)

    slicer.util.setSliceViewerLayers = set_layers
    slicer.app.status_messages = []
    slicer.util.showStatusMessage = lambda message, _duration=0: slicer.app.status_messages.append(message)


class _Application:
    """``slicer.app``."""

    def __init__(self, qt_application: Any) -> None:
        self._qt = qt_application
        self._slots: list[tuple[str, Any]] = []
        self._logic: Any = None
        self._layout: Any = None

    def connect(self, signal: str, slot: Any) -> bool:
        self._slots.append((signal, slot))
        return True

    def emit(self, signal: str) -> None:
        """For tests: what Slicer does by itself, such as ``startupCompleted()``."""
        for name, slot in self._slots:
            if name == signal:
                slot()

    def processEvents(self) -> None:
        self._qt.processEvents()

    def installEventFilter(self, event_filter: Any) -> None:
        self._qt.installEventFilter(event_filter)

    def removeEventFilter(self, event_filter: Any) -> None:
        self._qt.removeEventFilter(event_filter)

    def sendEvent(self, receiver: Any, event: Any) -> bool:
        return bool(self._qt.sendEvent(receiver, event))

    def applicationLogic(self) -> Any:
        return self._logic

    def layoutManager(self) -> Any:
        return self._layout

    def testingEnabled(self) -> bool:
        return True
