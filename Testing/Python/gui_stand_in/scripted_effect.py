"""``qSlicerSegmentEditorScriptedEffect`` and its factory, over ``vtkSlicerSegmentEditorLogic``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import qt

ACTIVE_CHANGED = "active"


class ScriptedEffect:
    """Hosts a Python effect. Attributes that the real class does not have cannot be set."""

    NotConfirmed, ConfirmedWithoutDialog, ConfirmedWithDialog = 0, 1, 2
    _fields = (
        "name", "title", "perSegment", "requireSegments", "showEffectCursorInSliceView", "showEffectCursorInThreeDView",
    )  # fmt: skip

    def __init__(self, _parent: Any = None) -> None:
        for field, value in zip(self._fields, ("", "", True, True, True, False), strict=True):
            object.__setattr__(self, field, value)
        self._python: Any = None
        self._editor: Any = None
        self._frame = qt.QFrame()
        self._layout = qt.QFormLayout(self._frame)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._fields and not name.startswith("_"):
            raise AttributeError(f"qSlicerSegmentEditorScriptedEffect has no property {name!r}")
        object.__setattr__(self, name, value)

    def setPythonSource(self, path: str) -> bool:
        """As Slicer does it: the folder's name becomes the module's, the file's name the class's."""
        file = Path(path)
        spec = importlib.util.spec_from_file_location(file.parent.name, file)
        if spec is None or spec.loader is None:
            return False
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.parent.name] = module
        spec.loader.exec_module(module)
        self._python = getattr(module, file.stem)(self)
        return True

    def self(self) -> Any:
        return self._python

    def clone(self) -> ScriptedEffect:
        return self._python.clone()

    # What the editor does with its effects

    def enter(self, editor: Any) -> None:
        self._editor = editor
        if self.parameterSetNode() is not None:
            self._python.setMRMLDefaults()
        self._python.setupOptionsFrame()

    def parameterSetNode(self) -> Any:
        return self._editor.mrmlSegmentEditorNode() if self._editor is not None else None

    def active(self) -> bool:
        return self._editor is not None and self._editor.activeEffect() is self

    def selectEffect(self, name: str) -> None:
        self._editor.setActiveEffectByName(name)

    def confirmCurrentSegmentVisible(self) -> int:
        return self._editor.confirmation

    def saveStateForUndo(self) -> None:
        self._editor.logic.SaveStateForUndo()

    def modifySegmentByLabelmap(
        self, segmentation: Any, segment_id: str, labelmap: Any, mode: int, bypass_masking: bool = False
    ) -> None:
        logic = self._editor.logic
        kinds = (
            logic.ModificationModeSet,
            logic.ModificationModeAdd,
            logic.ModificationModeRemove,
            logic.ModificationModeRemoveAll,
        )
        whole = [0, -1, 0, -1, 0, -1]
        logic.ModifySegmentByLabelmap(
            segmentation, segment_id, labelmap, kinds[mode], whole, self.perSegment, bypass_masking
        )

    # Parameters: strings named Effect.Name

    def parameterDefined(self, name: str) -> bool:
        return self.parameterSetNode().GetAttribute(f"{self.name}.{name}") is not None

    def parameter(self, name: str) -> str:
        value = self.parameterSetNode().GetAttribute(f"{self.name}.{name}")
        if value is None:
            print(f"parameter: {name} is not defined", file=sys.stderr)
        return value or ""

    def setParameter(self, name: str, value: str | int | float) -> None:
        if not isinstance(value, (str, int, float)):
            raise TypeError(f"setParameter({name!r}) does not take {value!r}")
        node, attribute = self.parameterSetNode(), f"{self.name}.{name}"
        if node.GetAttribute(attribute) == str(value):
            return
        # As in Slicer: whoever observes the node's ModifiedEvent is not told of parameters.
        was_disabled = node.GetDisableModifiedEvent()
        node.SetDisableModifiedEvent(1)
        node.SetAttribute(attribute, str(value))
        node.SetDisableModifiedEvent(was_disabled)
        node.InvokeCustomModifiedEvent(node.EffectParameterModified)

    def setParameterDefault(self, name: str, value: str | int | float) -> None:
        if not self.parameterDefined(name):
            self.setParameter(name, value)

    def nodeReference(self, name: str) -> Any:
        return self.parameterSetNode().GetNodeReference(f"{self.name}.{name}")

    def setNodeReference(self, name: str, node: Any) -> None:
        if node is self.nodeReference(name):
            return
        parameters = self.parameterSetNode()
        parameters.SetNodeReferenceID(f"{self.name}.{name}", node.GetID() if node is not None else None)
        parameters.InvokeCustomModifiedEvent(parameters.EffectParameterModified)

    # Options and views

    def optionsFrame(self) -> Any:
        return self._frame

    def addOptionsWidget(self, widget: Any) -> None:
        self._layout.addRow(widget)

    def addLabeledOptionsWidget(self, label: str, widget: Any) -> Any:
        shown = qt.QLabel(label)
        self._layout.addRow(shown, widget)
        return shown

    def addActor2D(self, view_widget: Any, actor: Any) -> None:
        view_widget._actors.append(actor)

    def removeActor2D(self, view_widget: Any, actor: Any) -> None:
        view_widget._actors.remove(actor)


class EffectFactory:
    """``qSlicerSegmentEditorEffectFactory``: a name that is taken is not registered again."""

    _instance: EffectFactory | None = None

    def __init__(self) -> None:
        self._effects: list[ScriptedEffect] = []

    @classmethod
    def instance(cls) -> EffectFactory:
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def registerEffect(self, effect: ScriptedEffect) -> bool:
        if not effect.name or any(effect.name == other.name for other in self._effects):
            return False
        self._effects.append(effect)
        return True

    def registeredEffects(self) -> tuple[ScriptedEffect, ...]:
        return tuple(self._effects)


class AbstractScriptedSegmentEditorEffect:
    """The base class of Python effects."""

    def __init__(self, scriptedEffect: Any) -> None:
        self.scriptedEffect = scriptedEffect

    def register(self) -> None:
        EffectFactory.instance().registerEffect(self.scriptedEffect)

    def cleanup(self) -> None:
        pass
