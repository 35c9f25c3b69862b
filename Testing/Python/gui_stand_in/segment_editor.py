"""``qMRMLSegmentEditorWidget`` over ``vtkSlicerSegmentEditorLogic``: nodes, effects, undo."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets

from gui_stand_in.scripted_effect import EffectFactory, ScriptedEffect
from gui_stand_in.strict_qt import strict


class _SegmentEditorWidget(QtWidgets.QWidget):
    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._tags: list[int] = []
        self._active: Any = None
        self._effects: list[ScriptedEffect] = []
        self._editor_logic = slicer.vtkSlicerSegmentEditorLogic()
        self._answer = ScriptedEffect.ConfirmedWithoutDialog

    @property
    def logic(self) -> Any:
        return self._editor_logic

    @property
    def confirmation(self) -> int:
        return self._answer

    def answer_confirmation_with(self, answer: int) -> None:
        """For tests: what the user would answer when asked about a hidden segment."""
        self._answer = answer

    def setMRMLScene(self, scene: Any) -> None:
        if scene is None:
            self.setActiveEffect(None)
            for effect in self._effects:
                effect.self().cleanup()
            self._effects = []
            self._observe(None)
        self._scene = scene
        self._editor_logic.SetMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._observe(node)
        self._editor_logic.SetSegmentEditorNode(node)
        for registered in EffectFactory.instance().registeredEffects():
            effect = registered.clone()
            self._effects.append(effect)
            effect.enter(self)

    def _observe(self, node: Any) -> None:
        for tag in self._tags:
            self._node.RemoveObserver(tag)
        self._node = node
        self._tags = []
        if node is not None:
            self._tags.append(node.AddObserver("ModifiedEvent", self._node_modified))
            self._tags.append(node.AddObserver(node.EffectParameterModified, self._parameter_modified))

    def _node_modified(self, _node: Any, _event: str) -> None:
        if self._node.GetSegmentationNode() is None:
            self.setActiveEffect(None)

    def _parameter_modified(self, _node: Any, _event: str) -> None:
        """Slicer tells effects of their parameters and node references only: not of another segment."""
        for effect in self._effects:
            effect.self().updateGUIFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        if node is not self.segmentationNode():
            self._editor_logic.SetSegmentationNode(node)
            self.setActiveEffect(None)

    def segmentationNode(self) -> Any:
        return self._node.GetSegmentationNode() if self._node is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        self._editor_logic.SetSourceVolumeNode(node)
        for effect in self._effects:
            effect.self().sourceVolumeNodeChanged()

    def sourceVolumeNode(self) -> Any:
        return self._node.GetSourceVolumeNode()

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._editor_logic.SetCurrentSegmentID(segment_id)

    def setActiveEffectByName(self, name: str) -> None:
        self.setActiveEffect(next((effect for effect in self._effects if effect.name == name), None))

    def setActiveEffect(self, effect: Any) -> None:
        before, self._active = self._active, effect
        if before is effect:
            return
        if before is not None:
            before.self().deactivate()
        if effect is not None:
            effect.self().updateGUIFromMRML()
            effect.self().activate()

    def activeEffect(self) -> Any:
        return self._active

    def saveStateForUndo(self) -> None:
        self._editor_logic.SaveStateForUndo()

    def undo(self) -> None:
        self._editor_logic.Undo()

    def redo(self) -> None:
        self._editor_logic.Redo()


SegmentEditorWidget = strict(_SegmentEditorWidget, "qMRMLSegmentEditorWidget")
