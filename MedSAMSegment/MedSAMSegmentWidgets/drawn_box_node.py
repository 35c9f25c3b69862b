"""The rectangle drawn last, as an ROI markup: it stays in the scene, and its handles correct it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_selection import DRAWN_BOX, ROI_CLASS

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.oriented_box import OrientedBox

REFERENCE = "DrawnBox"
"""Name of the effect's node reference."""


def drawn_box_node(scripted_effect: Any) -> Any:
    """The ROI of an effect's last rectangle; None if none was drawn, or if it was deleted."""
    if scripted_effect.parameterSetNode() is None:
        return None
    return scripted_effect.nodeReference(REFERENCE)


class LateBox:
    """Puts rectangles into the scene in turns of the event loop of their own, behind the one in which they were drawn.

    The first one of a session is a new markup, about which Slicer has much to do: the request to the model goes first,
    and the main thread is held for one step at a time.

    Args:
        scripted_effect: whose rectangles they are.
        shown: called when one can be picked up.
    """

    def __init__(self, scripted_effect: Any, shown: Callable[[], None]) -> None:
        self._effect = scripted_effect
        self._shown = shown
        self._box: OrientedBox | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._turn)

    def show(self, box: OrientedBox) -> None:
        """Put a rectangle into the scene in place of the one before, soon."""
        self._box = box
        self._timer.start()

    def close(self) -> None:
        """What is not in the scene yet stays out of it."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self._turn)

    def _turn(self) -> None:
        parameters = self._effect.parameterSetNode()
        if self._box is None or parameters is None or parameters.GetScene() is None:
            return  # the scene was closed
        node = drawn_box_node(self._effect)
        if node is None:
            _add_node(self._effect)
            self._timer.start()
            return
        _place(node, self._box)
        _set_visible(node, True)
        self._box = None
        self._shown()


def _place(node: Any, box: OrientedBox) -> None:
    from MedSAMSegmentSlicer.matrices import to_vtk

    node.SetAndObserveTransformNodeID(None)
    was_modifying = node.StartModify()
    node.SetAndObserveObjectToNodeMatrix(to_vtk(box.object_to_ras))
    node.SetSize([float(side) for side in box.size_mm])
    node.EndModify(was_modifying)


def _add_node(scripted_effect: Any) -> None:
    """Add an ROI that cannot be seen yet.

    It and its display node are as they shall be before the scene, and all that observes it, gets to know them: the main
    thread is held a fraction of the time that changing them one by one in the scene takes.
    """
    scene = slicer.mrmlScene
    display = scene.CreateNodeByClass("vtkMRMLMarkupsROIDisplayNode")
    display.UnRegister(None)
    display.SetVisibility(False)
    display.SetFillVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)
    display.SetVisibility3D(False)
    display.SetHandlesInteractive(True)
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
    display.SetSelectedColor(*COLOR)
    display.SetColor(*COLOR)
    node = scene.CreateNodeByClass(ROI_CLASS)
    node.UnRegister(None)
    node.SetName(scene.GenerateUniqueName(_("MedSAM box")))
    # Not offered in node selectors: it belongs to the effect.
    node.SetHideFromEditors(True)
    node.SetAttribute(DRAWN_BOX, "1")
    scene.AddNode(display)
    node.SetAndObserveDisplayNodeID(display.GetID())
    scene.AddNode(node)
    scripted_effect.setNodeReference(REFERENCE, node)


@dataclass
class _Use:
    """Of the rectangle of a parameter node, by the effect of one editor; several editors may share the node."""

    parameters: Any
    role: str
    is_active: bool = True


_uses: dict[int, _Use] = {}
"""By the ``id`` of the effect, from its first activation until its editor is closed."""


def use_drawn_box(scripted_effect: Any) -> None:
    """The effect is active: show its rectangle, if it has one."""
    parameters = scripted_effect.parameterSetNode()
    before = _uses.get(id(scripted_effect))
    if before is not None and before.parameters is not parameters:
        drop_drawn_box(scripted_effect)
    _uses[id(scripted_effect)] = _Use(parameters, f"{scripted_effect.name}.{REFERENCE}")
    _set_visible(drawn_box_node(scripted_effect), True)


def put_drawn_box_aside(scripted_effect: Any) -> None:
    """The effect is not active any more: its rectangle stays in the scene unseen, until it is."""
    use = _uses.get(id(scripted_effect))
    if use is not None:
        use.is_active = False
        if not any(other.is_active and other.parameters is use.parameters for other in _uses.values()):
            _set_visible(drawn_box_node(scripted_effect), False)


def drop_drawn_box(scripted_effect: Any) -> None:
    """The effect's editor is closed: its rectangle goes, unless another editor works with the same parameter node."""
    use = _uses.pop(id(scripted_effect), None)
    if use is None or use.parameters is None or any(other.parameters is use.parameters for other in _uses.values()):
        return
    scene = use.parameters.GetScene()
    node = use.parameters.GetNodeReference(use.role) if scene is not None else None
    if node is not None and not scene.IsClosing():
        display = node.GetDisplayNode()
        scene.RemoveNode(node)
        if display is not None and display.GetScene() is not None:
            scene.RemoveNode(display)


def _set_visible(node: Any, visible: bool) -> None:
    display = node.GetDisplayNode() if node is not None else None
    if display is not None and bool(display.GetVisibility()) != visible:
        display.SetVisibility(visible)


COLOR = (1.0, 0.81, 0.25)
