"""Slice views without pixels: a real slice node and logic in a widget of a fixed size."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets

from gui_stand_in.strict_qt import strict

SIDE = 256
"""Display pixels of every view, both ways."""

_COLORS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class _SliceView:
    def __init__(self) -> None:
        self.cursor: Any = None

    def setViewCursor(self, cursor: Any) -> None:
        self.cursor = cursor

    def scheduleRender(self) -> None:
        """There is nothing to draw on."""


def _singleton(scene: Any, layout_name: str, class_name: str) -> Any:
    """The node of a class that belongs to a view; it survives the closing of the scene."""
    node = scene.GetSingletonNode(layout_name, class_name)
    if node is None:
        node = scene.CreateNodeByClass(class_name)
        node.UnRegister(None)
        node.SetSingletonTag(layout_name)
        node.SetName(layout_name)
        node.SetLayoutName(layout_name)
        node = scene.AddNode(node)
    return node


class _SliceWidget(QtWidgets.QWidget):
    """``qMRMLSliceWidget``, and the actors that were added to it."""

    def __init__(self, scene: Any, name: str) -> None:
        super().__init__()
        self._node = _singleton(scene, name, "vtkMRMLSliceNode")
        self._node.SetOrientation(_COLORS[name])
        self._node.SetDimensions(SIDE, SIDE, 1)
        self._node.SetFieldOfView(SIDE / 2, SIDE / 2, 1.0)
        self._node.UpdateMatrices()
        self._view = _SliceView()
        self._actors: list[Any] = []

    def mrmlSliceNode(self) -> Any:
        return self._node

    def sliceView(self) -> Any:
        return self._view

    def actors(self) -> list[Any]:
        """For tests: what is drawn over the slice."""
        return list(self._actors)


_StrictSliceWidget = strict(_SliceWidget, "qMRMLSliceWidget")


class LayoutManager:
    """``slicer.app.layoutManager()``: three slice views and no 3D view."""

    threeDViewCount = 0

    def __init__(self, scene: Any) -> None:
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self._widgets = {name: _StrictSliceWidget(scene, name) for name in _COLORS}
        self._composites = [_singleton(scene, name, "vtkMRMLSliceCompositeNode") for name in _COLORS]

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> Any:
        return self._widgets[name]

    def show(self, volume: Any) -> None:
        """Show a volume in all views."""
        for composite in self._composites:
            composite.SetBackgroundVolumeID(volume.GetID() if volume is not None else None)
