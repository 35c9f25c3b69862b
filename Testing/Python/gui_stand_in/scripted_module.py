"""``slicer.ScriptedLoadableModule``: the four base classes."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import qt
import slicer


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent or types.SimpleNamespace(isEntered=True)
        self._container = qt.QWidget()
        self.layout = qt.QVBoxLayout(self._container)

    def setup(self) -> None:
        pass

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.modules.medsamsegment.path).parent / "Resources" / name)

    def onReload(self) -> None:
        pass


class ScriptedLoadableModuleLogic:
    def getParameterNode(self) -> Any:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode("MedSAMSegment", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("MedSAMSegment")
            node = scene.AddNode(node)
        return node


class ScriptedLoadableModuleTest:
    def delayDisplay(self, message: str, msec: int = 0) -> None:
        print(message)
