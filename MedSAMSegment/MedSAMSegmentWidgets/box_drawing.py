"""Drawing a rectangle with the mouse in a slice view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from MedSAMSegmentSlicer.box_drag import BoxDrag, DragState, DrawnBox
from MedSAMSegmentSlicer.slice_view_plane import ras_of_display_point, slice_to_ras
from MedSAMSegmentWidgets.drawn_box_node import COLOR
from MedSAMSegmentWidgets.handle_under_pointer import HandleUnderPointer
from MedSAMSegmentWidgets.line_overlay import LineOverlay
from MedSAMSegmentWidgets.roi_placement import is_placing_roi
from MedSAMSegmentWidgets.shortcuts import EscapeKey


class BoxDrawing:
    """Turns mouse events into boxes, and shows the rectangle meanwhile.

    Args:
        scripted_effect: asks about hidden segments, and adds the rectangle to the view.
        moved: called with the box as it is so far.
        drawn: called with a box once the button is up.
        dropped: called when a box was begun and comes to nothing; with whether it was drawn, but too small.
    """

    def __init__(
        self,
        scripted_effect: Any,
        moved: Callable[[DrawnBox], None],
        drawn: Callable[[DrawnBox], None],
        dropped: Callable[[bool], None],
    ) -> None:
        self._effect = scripted_effect
        self._moved = moved
        self._drawn = drawn
        self._dropped = dropped
        self._drag = BoxDrag()
        self._overlay: LineOverlay | None = None
        self._interruptions = _Interruptions(self.cancel)
        self._handle = HandleUnderPointer()

    @property
    def is_active(self) -> bool:
        """Whether the button is down."""
        return self._drag.state is not DragState.IDLE

    def process(self, interactor: Any, event_id: int, view_widget: Any) -> bool:
        """A mouse or key event in a slice view; whether it is used up."""
        slice_node = view_widget.mrmlSliceNode()
        if event_id == vtk.vtkCommand.LeftButtonPressEvent:
            return self._press(interactor, slice_node, view_widget)
        if event_id == vtk.vtkCommand.MouseMoveEvent:
            return self._move(interactor, slice_node, view_widget)
        if event_id == vtk.vtkCommand.LeftButtonReleaseEvent:
            return self._release()
        if event_id in (vtk.vtkCommand.RightButtonPressEvent, vtk.vtkCommand.MiddleButtonPressEvent):
            return self.cancel()
        if event_id == vtk.vtkCommand.KeyPressEvent and interactor.GetKeySym() == "Escape":
            return self.cancel()
        return False

    def follow_view(self) -> None:
        """The view has moved: the rectangle stays in the patient."""
        if self._overlay is not None:
            self._overlay.update()

    def cancel(self) -> bool:
        """Forget the rectangle that is being drawn; whether there was one."""
        was_active = self._drag.cancel()
        self._end()
        if was_active:
            self._dropped(False)
        return was_active

    def close(self) -> None:
        """Draw no more."""
        self.cancel()
        self._handle.close()

    def _press(self, interactor: Any, slice_node: Any, view_widget: Any) -> bool:
        self.cancel()  # a box whose release was lost
        modified = interactor.GetShiftKey() or interactor.GetControlKey() or interactor.GetAltKey()
        if modified or is_placing_roi(slicer.app.applicationLogic().GetInteractionNode()):
            return False
        on_handle = self._handle.is_held
        if not on_handle:
            confirmed = self._effect.confirmCurrentSegmentVisible()
            if confirmed != self._effect.ConfirmedWithoutDialog:
                # The click has gone to the dialog: the user draws again.
                return True
        xy = interactor.GetEventPosition()
        taken = self._drag.press(
            slice_node.GetID(), xy, ras_of_display_point(slice_node, xy), slice_to_ras(slice_node), handle=on_handle
        )
        if taken:
            self._overlay = LineOverlay(self._effect, view_widget, COLOR, 2.0)
            slicer.app.installEventFilter(self._interruptions)
        return taken

    def _move(self, interactor: Any, slice_node: Any, view_widget: Any) -> bool:
        xy = interactor.GetEventPosition()
        if not self.is_active:
            self._handle.pointer_moved(xy, view_widget)
        taken = self._drag.move(slice_node.GetID(), xy, ras_of_display_point(slice_node, xy))
        box = self._drag.box
        if box is not None and self._overlay is not None:
            import numpy as np

            corners = box.corners_ras
            self._overlay.show(np.stack((corners, np.roll(corners, -1, axis=0)), axis=1))
            self._moved(box)
        return taken

    def _release(self) -> bool:
        has_moved = self._drag.has_moved
        box, taken = self._drag.release()
        self._end()
        if box is not None:
            self._drawn(box)
        elif taken:
            self._dropped(has_moved)
        return taken

    def _end(self) -> None:
        slicer.app.removeEventFilter(self._interruptions)
        if self._overlay is not None:
            self._overlay.remove()
            self._overlay = None


class _Interruptions(EscapeKey):
    """What ends a drag without a release: Escape, another window, a button that went up where nobody told.

    Args:
        interrupted: called when one happens.
    """

    def __init__(self, interrupted: Callable[[], Any]) -> None:
        EscapeKey.__init__(self, interrupted)
        self._interrupted = interrupted

    def eventFilter(self, receiver: Any, event: Any) -> bool:
        """Qt's: whether the event is used up."""
        kind = event.type()
        released_elsewhere = kind == qt.QEvent.MouseMove and not event.buttons() & qt.Qt.LeftButton
        if kind == qt.QEvent.WindowDeactivate or released_elsewhere:
            self._interrupted()
            return False
        return bool(EscapeKey.eventFilter(self, receiver, event))
