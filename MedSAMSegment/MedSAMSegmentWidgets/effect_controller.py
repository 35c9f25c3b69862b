"""The effect while it is active: events in, requests out, answers shown. Made at activation, closed at deactivation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import InvalidPromptError, MedSAMSegmentError
from MedSAMSegmentSlicer.editor_requests import EditorNodes
from MedSAMSegmentSlicer.effect_segment_writer import EffectSegmentWriter
from MedSAMSegmentSlicer.effect_session import EffectSession, SessionEvents, Written
from MedSAMSegmentSlicer.effect_settings import EffectSettings, read_settings
from MedSAMSegmentSlicer.inference_engine import shared_engine
from MedSAMSegmentSlicer.roi_selection import ROI_CLASS, chosen_rois
from MedSAMSegmentSlicer.slice_view_layers import shows_volume
from MedSAMSegmentSlicer.slice_view_plane import slice_to_ras
from MedSAMSegmentSlicer.status_text import error_text
from MedSAMSegmentWidgets.box_drawing import BoxDrawing
from MedSAMSegmentWidgets.drawn_box_node import COLOR, LateBox, drawn_box_node, set_drawn_box_visible
from MedSAMSegmentWidgets.effect_parameters import ROI_ROLE
from MedSAMSegmentWidgets.effect_status import EffectStatus
from MedSAMSegmentWidgets.engine_timer import EngineTimer
from MedSAMSegmentWidgets.node_observers import NodeObservers
from MedSAMSegmentWidgets.preview_overlays import PreviewOverlays
from MedSAMSegmentWidgets.roi_handles import HandleEvents, RoiHandles
from MedSAMSegmentWidgets.roi_placement import add_roi_around_segment, start_placing_roi
from MedSAMSegmentWidgets.shortcuts import Shortcuts

if TYPE_CHECKING:
    from MedSAMSegmentLib.propagation.growth import Growth
    from MedSAMSegmentSlicer.box_drag import DrawnBox
    from MedSAMSegmentSlicer.prompt_work import PromptAnswer
    from MedSAMSegmentWidgets.effect_panel import EffectPanel

SETTLED_MS = 300
"""Without a change for this long, a view has settled."""


class EffectController:
    """Everything that lives as long as the effect is active.

    Args:
        scripted_effect: ``qSlicerSegmentEditorScriptedEffect``, active.
        panel: its options.
    """

    def __init__(self, scripted_effect: Any, panel: EffectPanel) -> None:
        self._effect = scripted_effect
        self._panel = panel
        self._engine = shared_engine()
        self._status = EffectStatus(
            panel, self._engine, lambda: self.settings().choice, lambda: self._session.is_writing
        )
        self._session = EffectSession(
            self._engine,
            EffectSegmentWriter(scripted_effect),
            SessionEvents(
                nodes=self._nodes,
                settings=self.settings,
                written=self._written,
                grown=self._grown,
                previewed=self._previewed,
                encoded=self._status.prepared,
                progress=self._status.progress,
                failed=self.show_error,
            ),
            name=f"effect {id(self)}",
        )
        self._timer = EngineTimer(self._engine, self.show_error, self._status.tick)
        self._drawing = BoxDrawing(scripted_effect, self._box_moved, self._drawn, self._box_dropped)
        self._late_box = LateBox(scripted_effect, self.observe_nodes)
        self._previews = PreviewOverlays(scripted_effect)
        self._observers = NodeObservers()
        self._view_node: Any = None
        self._last_nodes = self._nodes()
        self._handles = RoiHandles(
            self._session,
            self._previews,
            HandleEvents(
                settings=self.settings,
                drawn_box=lambda: drawn_box_node(scripted_effect),
                chosen=self.roi,
                pose_of_view=lambda: slice_to_ras(self._slice_node()),
                correct=self._correct_box,
            ),
        )
        self._settle = qt.QTimer()
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._settle.connect("timeout()", self._settled)
        self._shortcuts = Shortcuts(
            panel.apply.window(),
            {
                "apply": self.apply,
                "revert": self.revert,
                "new_roi": self.new_roi,
                "live_preview": self._toggle_live_preview,
            },
        )
        set_drawn_box_visible(scripted_effect, True)
        self.observe_nodes()
        self._status.show()
        self._settle.start()

    def close(self) -> None:
        """Leave nothing behind: no timer, key, observer, actor or request."""
        self._drawing.cancel()
        self._late_box.close()
        self._settle.stop()
        self._settle.disconnect("timeout()", self._settled)
        self._session.cancel()
        self._timer.close()
        self._shortcuts.remove()
        self._observers.remove_all()
        self._previews.remove()
        set_drawn_box_visible(self._effect, False)
        self._status.show()

    # Events of the Segment Editor

    def process_interaction(self, interactor: Any, event_id: int, view_widget: Any) -> bool:
        """A mouse or key event in a view; whether it is used up."""
        if view_widget.className() != "qMRMLSliceWidget":
            return False
        entered = event_id in (vtk.vtkCommand.EnterEvent, vtk.vtkCommand.LeftButtonPressEvent)
        if entered and not self._drawing.is_active:
            self._view_entered(view_widget.mrmlSliceNode())
        return self._drawing.process(interactor, event_id, view_widget)

    def view_changed(self, view_node: Any) -> None:
        """A slice view was scrolled, zoomed, turned or resized."""
        if not view_node.IsA("vtkMRMLSliceNode"):
            return
        self._drawing.follow_view()
        self._previews.follow_views()
        if self._view_node is None or view_node is self._view_node:
            self._session.preparation.cancel_idle()
            self._settle.start()

    def nodes_changed(self) -> None:
        """Another segment, volume, segmentation or option: what was asked for the old ones is not wanted any more."""
        self.observe_nodes()
        nodes = self._nodes()
        if nodes != self._last_nodes:
            self._last_nodes = nodes
            self._session.cancel()
            self._session.forget_volume()
            self._previews.hide()
            self._status.say("" if nodes is not None else _("Choose a source volume, a segmentation and a segment."))
        self._settle.start()
        self._status.show()

    def observe_nodes(self) -> None:
        """Observe the nodes that are chosen now, and no others."""
        self._observers.remove_all()
        parameters = self._effect.parameterSetNode()
        if parameters is None:
            return
        volume = parameters.GetSourceVolumeNode()
        display = volume.GetDisplayNode() if volume is not None else None
        if display is not None:
            self._observers.add(display, vtk.vtkCommand.ModifiedEvent, self._volume_display_changed)
        rois = [self.roi(), drawn_box_node(self._effect)]
        for node in rois:
            if node is not None:
                self._handles.observe(node, self._observers)

    # What the user can do

    def settings(self) -> EffectSettings:
        """The effect's parameters, now."""
        return read_settings(self.parameter)

    def parameter(self, name: str) -> str:
        """A stored parameter, empty if there is none."""
        return self._effect.parameter(name) if self._effect.parameterDefined(name) else ""

    def roi(self) -> Any:
        """The ROI that is chosen, or None."""
        return self._effect.nodeReference("ROI")

    def chosen_rois(self) -> list[Any]:
        """The ROIs that Apply segments: those that are checked if there are several, else the chosen one."""
        checked = chosen_rois(self._effect.parameterSetNode(), ROI_ROLE)
        if len(checked) > 1:
            return checked
        roi = self.roi()
        return [roi] if roi is not None else checked

    @property
    def is_busy(self) -> bool:
        """Whether something that will be written is being computed."""
        return self._session.is_writing

    def new_roi(self, class_name: str = ROI_CLASS) -> None:
        """Let the user place an ROI, or another markup of `SOURCE_CLASSES`."""
        self._choose_roi(start_placing_roi(class_name))

    def roi_around_segment(self) -> None:
        """Put an ROI around the selected segment, and choose it."""
        try:
            nodes = self._nodes()
            if nodes is None:
                raise InvalidPromptError("Choose a source volume, a segmentation and a segment first.")
            self._choose_roi(add_roi_around_segment(nodes.segmentation, nodes.segment_id, self.settings().margin_mm))
            self._status.say(_("The ROI is in place. Choose what to apply it to, and click Apply."))
        except MedSAMSegmentError as error:
            self.show_error(error)

    def grow(self) -> None:
        """Continue the selected segment on the slices beside it."""
        self._ask_to_write(self._session.grow)

    def apply(self) -> None:
        """Segment the chosen ROIs."""
        self._ask_to_write(lambda: self._session.apply(self.chosen_rois(), slice_to_ras(self._slice_node())))

    def revert(self) -> None:
        """Drop the preview, and put the ROI back to where it was before it was dragged."""
        self._handles.revert()

    def cancel(self) -> None:
        """Stop what is being computed."""
        self._session.cancel()
        self._status.say(_("Cancelled. Nothing was written."))

    def _box_moved(self, box: DrawnBox) -> None:
        try:
            if self._may_prepare():
                self._session.preparation.box_moved(box)
        except MedSAMSegmentError:
            pass  # whatever is wrong with the image is said when the box is drawn

    def _box_dropped(self) -> None:
        self._session.preparation.end_drag()
        self._settle.start()

    def _drawn(self, box: DrawnBox) -> None:
        try:
            self._previews.hide()
            roi = self._session.roi_of_drawn_box(box, _("MedSAM box"), COLOR)
            self._session.segment_drawn_box(box, roi)
            self._status.begin()
        except MedSAMSegmentError as error:
            self.show_error(error)
            return
        self._late_box.show(roi.box)

    def _correct_box(self, node: Any) -> None:
        self._ask_to_write(lambda: self._session.segment_corrected_box(node))

    def _ask_to_write(self, request: Callable[[], None]) -> None:
        """Ask for something that will be written; say what is wrong with it if it cannot be asked for."""
        try:
            if self._may_write():
                request()
                self._status.begin()
        except MedSAMSegmentError as error:
            self.show_error(error)

    def _may_write(self) -> bool:
        """Whether the selected segment is visible, or the user wants it to be written to as it is."""
        if self._effect.confirmCurrentSegmentVisible():
            return True
        self._status.say(_("Nothing was changed: the selected segment is hidden."))
        return False

    def _choose_roi(self, node: Any) -> None:
        self._effect.setNodeReference("ROI", node)
        self.nodes_changed()

    # Answers

    def _written(self, written: Written) -> None:
        self._previews.hide()
        self._handles.forget_pose()
        self._status.written(written)
        self._settle.start()

    def _grown(self, growth: Growth) -> None:
        self._previews.hide()
        self._status.grown(growth)

    def _previewed(self, answer: PromptAnswer) -> None:
        from MedSAMSegmentSlicer.mask_outline import outline_ras

        self._status.answer(answer)
        mask = answer.slices[0].mask
        if mask is not None:
            self._previews.show(outline_ras(mask.mask_hw, mask.plane))

    def show_error(self, error: Exception) -> None:
        """Say what went wrong; what nobody foresaw goes to the log as well."""
        if not isinstance(error, MedSAMSegmentError):
            logging.getLogger(__name__).error("MedSAM effect", exc_info=error)
        self._status.say(error_text(error))

    # Views

    def _view_entered(self, slice_node: Any) -> None:
        nodes = self._nodes()
        if nodes is not None and not shows_volume(slice_node, nodes.volume):
            text = _("This view does not show the source volume {name}, at which the model looks.")
            self._status.say(text.format(name=nodes.volume.GetName()))
        if slice_node is not self._view_node:
            self._view_node = slice_node
            self._settle.start()

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
        return self.settings().encode_ahead and self._status.what_is_missing() is None

    def _settled(self) -> None:
        if self._session.is_writing or self._drawing.is_active or not self._may_prepare():
            return
        markups = [node for node in (self.roi(), drawn_box_node(self._effect)) if node is not None]
        try:
            self._session.preparation.view_settled(self._slice_node(), markups)
        except MedSAMSegmentError as error:
            self.show_error(error)

    def _volume_display_changed(self, _node: Any, _event: Any) -> None:
        if self.settings().window == "displayed":
            self._settle.start()

    def _toggle_live_preview(self) -> None:
        self._effect.setParameter("LivePreview", 0 if self.settings().live_preview else 1)

    def _nodes(self) -> EditorNodes | None:
        parameters = self._effect.parameterSetNode()
        if parameters is None or not self._effect.active():
            return None
        segmentation, volume = parameters.GetSegmentationNode(), parameters.GetSourceVolumeNode()
        segment_id = parameters.GetSelectedSegmentID()
        if segmentation is None or volume is None or not segment_id:
            return None
        if segmentation.GetSegmentation().GetSegment(segment_id) is None:
            return None
        return EditorNodes(segmentation, segment_id, volume)
