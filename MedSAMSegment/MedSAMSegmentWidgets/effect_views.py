"""What the slice views do while the effect is active: boxes are drawn in them, and what they show is prepared ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import InvalidPromptError, MedSAMSegmentError
from MedSAMSegmentSlicer.matrices import to_numpy
from MedSAMSegmentSlicer.slice_view_layers import shows_volume
from MedSAMSegmentSlicer.slice_view_plane import slice_to_ras
from MedSAMSegmentWidgets.box_drawing import BoxDrawing

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.box_drag import DrawnBox
    from MedSAMSegmentSlicer.effect_session import EffectSession
    from MedSAMSegmentWidgets.effect_choices import EffectChoices
    from MedSAMSegmentWidgets.effect_status import EffectStatus
    from MedSAMSegmentWidgets.node_observers import NodeObservers
    from MedSAMSegmentWidgets.preview_overlays import PreviewOverlays

SETTLED_MS = 300
"""Without a change for this long, a view has settled."""


class EffectViews:
    """Follows the slice views.

    Args:
        scripted_effect: draws in them.
        choices: of the user.
        session: prepares slices.
        previews: that lie over the views.
        status: is told what is wrong.
        drawn: called with a box once the button is up.
    """

    def __init__(
        self,
        scripted_effect: Any,
        choices: EffectChoices,
        session: EffectSession,
        previews: PreviewOverlays,
        status: EffectStatus,
        drawn: Callable[[DrawnBox], None],
    ) -> None:
        self._choices = choices
        self._session = session
        self._previews = previews
        self._status = status
        self._drawing = BoxDrawing(scripted_effect, self._box_moved, drawn, self._box_dropped)
        self._view_node: Any = None
        self._settle = qt.QTimer()
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._settle.connect("timeout()", self._settled)

    def close(self) -> None:
        """Follow them no more."""
        self._drawing.close()
        self._settle.stop()
        self._settle.disconnect("timeout()", self._settled)

    def process_interaction(self, interactor: Any, event_id: int, view_widget: Any) -> bool:
        """A mouse or key event in a view; whether it is used up."""
        if view_widget.className() != "qMRMLSliceWidget":
            return False
        entered = event_id in (vtk.vtkCommand.EnterEvent, vtk.vtkCommand.LeftButtonPressEvent)
        if entered and not self._drawing.is_active:
            self._entered(view_widget.mrmlSliceNode())
        return self._drawing.process(interactor, event_id, view_widget)

    def view_changed(self, view_node: Any) -> None:
        """A slice view was scrolled, zoomed, turned or resized."""
        if not view_node.IsA("vtkMRMLSliceNode"):
            return
        self._drawing.follow_view()
        self._previews.follow_views()
        if self._view_node is None or view_node is self._view_node:
            self._session.preparation.cancel_idle()
            self.settle()

    def observe_display(self, volume: Any, observers: NodeObservers) -> None:
        """Notice that a volume is displayed with another window, for as long as the observers last."""
        display = volume.GetDisplayNode() if volume is not None else None
        if display is not None:
            observers.add(display, vtk.vtkCommand.ModifiedEvent, self._display_changed)

    def settle(self) -> None:
        """Prepare the slice in view once nothing has changed for a while."""
        self._settle.start()

    def pose(self) -> Any:
        """(4, 4) slice to RAS of the view that was used last.

        Raises:
            InvalidPromptError: there is no slice view.
        """
        return slice_to_ras(self._slice_node())

    def mm_per_pixel(self) -> float:
        """Of the display, in the view that was used last. Errors as `pose`."""
        return float(np.linalg.norm(to_numpy(self._slice_node().GetXYToRAS())[:3, 0]))

    def _box_moved(self, box: DrawnBox) -> None:
        try:
            if self._may_prepare():
                self._session.preparation.box_moved(box)
        except MedSAMSegmentError:
            pass  # whatever is wrong with the image is said when the box is drawn

    def _box_dropped(self, is_too_small: bool) -> None:
        self._session.preparation.end_drag()
        if is_too_small:
            self._status.say(
                _("Too small for a box: nothing was changed. Drag across the structure; zoom in on a small one.")
            )
        self.settle()

    def _entered(self, slice_node: Any) -> None:
        nodes = self._choices.nodes()
        if nodes is not None and not shows_volume(slice_node, nodes.volume):
            text = _("This view does not show the source volume {name}, at which the model looks.")
            self._status.say(text.format(name=nodes.volume.GetName()))
        if slice_node is not self._view_node:
            self._view_node = slice_node
            self.settle()

    def _slice_node(self) -> Any:
        """The view that was used last; the axial one of Slicer's layouts, or the first one, if none was."""
        node = self._view_node
        if node is None or node.GetScene() is None:
            layout = slicer.app.layoutManager()
            if layout is None:
                raise InvalidPromptError("There is no slice view. Open a layout with one.")
            names = layout.sliceViewNames()
            node = layout.sliceWidget("Red" if "Red" in names else names[0]).mrmlSliceNode()
            self._view_node = node
        return node

    def _may_prepare(self) -> bool:
        return self._choices.settings().encode_ahead and self._status.what_is_missing() is None

    def _settled(self) -> None:
        if self._session.is_writing or self._drawing.is_active or not self._may_prepare():
            return
        try:
            self._session.preparation.view_settled(self._slice_node(), self._choices.markups())
        except MedSAMSegmentError as error:
            self._status.failed(error)

    def _display_changed(self, _node: Any, _event: Any) -> None:
        if self._choices.settings().window == "displayed":
            self.settle()
