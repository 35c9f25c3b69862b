"""The effect while it is active: events in, requests out, answers shown. Made at activation, closed at deactivation."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentSlicer.box_drag import BoxDrag, DragState
from MedSAMSegmentSlicer.effect_segment_writer import EffectSegmentWriter
from MedSAMSegmentSlicer.effect_session import EditorNodes, EffectSession, SessionEvents, Written
from MedSAMSegmentSlicer.effect_settings import EffectSettings, read_settings
from MedSAMSegmentSlicer.inference_engine import ModelChoice, shared_engine
from MedSAMSegmentSlicer.roi_selection import (
    chosen_rois,
    pointer_is_on_a_handle,
    remembered_pose,
    restore_pose,
)
from MedSAMSegmentSlicer.slice_view_plane import ras_of_display_point, slice_to_ras
from MedSAMSegmentSlicer.status_text import engine_text, error_text, what_is_missing
from MedSAMSegmentWidgets.drawn_box_node import COLOR, drawn_box_node, set_drawn_box_visible, show_drawn_box
from MedSAMSegmentWidgets.effect_parameters import ROI_ROLE
from MedSAMSegmentWidgets.engine_timer import EngineTimer
from MedSAMSegmentWidgets.line_overlay import LineOverlay
from MedSAMSegmentWidgets.node_observers import NodeObservers
from MedSAMSegmentWidgets.roi_placement import is_placing_roi, start_placing_roi
from MedSAMSegmentWidgets.shortcuts import EscapeKey, Shortcuts

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.prompt_work import PromptAnswer
    from MedSAMSegmentWidgets.effect_panel import EffectPanel

SETTLED_MS = 300
"""Without a change for this long, a view has settled."""

_SHOW_EVERY_S = 0.1
"""While the engine works: more often than this nobody reads the status line."""

_PREVIEW_COLOR = (0.25, 0.75, 0.65)


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
        self._session = EffectSession(
            self._engine,
            EffectSegmentWriter(scripted_effect),
            SessionEvents(
                nodes=self._nodes,
                settings=self.settings,
                written=self._written,
                previewed=self._previewed,
                encoded=self._encoded,
                progress=self._progress,
                failed=self.show_error,
            ),
            name=f"effect {id(self)}",
        )
        self._timer = EngineTimer(self._engine, self.show_error, self._ticked)
        self._drag = BoxDrag()
        self._drag_overlay: LineOverlay | None = None
        self._escape = EscapeKey(self.cancel_drag)
        self._preview_overlays: dict[Any, LineOverlay] = {}
        self._observers = NodeObservers()
        self._view_node: Any = None
        self._last_nodes = self._nodes()
        self._ready_choice: ModelChoice | None = None
        self._message = ""
        self._shown_at = 0.0
        self._busy_since: float | None = None
        self._pose_before_drag: tuple[Any, Any] | None = None
        self._handle_is_dragged = False
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
        self._show_status()
        self._settle.start()

    def close(self) -> None:
        """Leave nothing behind: no timer, key, observer, actor or request."""
        self._settle.stop()
        self._settle.disconnect("timeout()", self._settled)
        self.cancel_drag()
        self._session.cancel()
        self._timer.close()
        self._shortcuts.remove()
        self._observers.remove_all()
        for overlay in self._preview_overlays.values():
            overlay.remove()
        self._preview_overlays = {}
        set_drawn_box_visible(self._effect, False)
        self._show_busy()

    # Events of the Segment Editor

    def process_interaction(self, interactor: Any, event_id: int, view_widget: Any) -> bool:
        """A mouse or key event in a view; whether it is used up."""
        if view_widget.className() != "qMRMLSliceWidget":
            return False
        slice_node = view_widget.mrmlSliceNode()
        if event_id == vtk.vtkCommand.LeftButtonPressEvent:
            return self._press(interactor, slice_node, view_widget)
        if event_id == vtk.vtkCommand.MouseMoveEvent:
            return self._move(interactor, slice_node)
        if event_id == vtk.vtkCommand.LeftButtonReleaseEvent:
            return self._release(slice_node)
        if event_id == vtk.vtkCommand.EnterEvent and self._drag.state is DragState.IDLE:
            self._view_entered(slice_node)
        if event_id == vtk.vtkCommand.KeyPressEvent and interactor.GetKeySym() == "Escape":
            return self.cancel_drag()
        return False

    def view_changed(self, view_node: Any) -> None:
        """A slice view was scrolled, zoomed, turned or resized."""
        if not view_node.IsA("vtkMRMLSliceNode"):
            return
        if self._drag_overlay is not None:
            self._drag_overlay.update()
        for overlay in self._preview_overlays.values():
            overlay.update()
        if self._view_node is None or view_node is self._view_node:
            self._settle.start()

    def nodes_changed(self) -> None:
        """Another segment, volume, segmentation or option: what was asked for the old ones is not wanted any more."""
        self.observe_nodes()
        nodes = self._nodes()
        if nodes != self._last_nodes:
            self._last_nodes = nodes
            self._session.cancel()
            self._session.forget_volume()
            self._hide_previews()
            self._show_busy()
        self._settle.start()
        self._show_status()

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
                self._observers.add(node, node.PointStartInteractionEvent, self._handle_picked)
                self._observers.add(node, node.PointModifiedEvent, self._roi_moved)
                self._observers.add(node, node.PointEndInteractionEvent, self._handle_released)

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

    def new_roi(self) -> None:
        """Let the user place an ROI."""
        node = start_placing_roi()
        self._effect.setNodeReference("ROI", node)
        self.nodes_changed()

    def apply(self) -> None:
        """Segment the chosen ROIs."""
        try:
            if not self._effect.confirmCurrentSegmentVisible():
                return
            self._message = ""
            self._session.apply(self.chosen_rois(), slice_to_ras(self._slice_node()))
            self._begin_busy()
        except MedSAMSegmentError as error:
            self.show_error(error)

    def revert(self) -> None:
        """Drop the preview, and put the ROI back to where it was before it was dragged."""
        self._session.cancel_preview()
        self._hide_previews()
        if self._pose_before_drag is not None:
            node, pose = self._pose_before_drag
            self._pose_before_drag = None
            if node.GetScene() is not None:
                restore_pose(node, pose)
                self._session.cancel_preview()

    def cancel(self) -> None:
        """Stop what is being computed."""
        self._session.cancel()
        self._message = _("Cancelled. Nothing was written.")
        self._show_busy()

    def cancel_drag(self) -> bool:
        """Forget the rectangle that is being drawn; whether there was one."""
        was_active = self._drag.cancel()
        self._end_drag()
        return was_active

    # Drawing a box

    def _press(self, interactor: Any, slice_node: Any, view_widget: Any) -> bool:
        modified = interactor.GetShiftKey() or interactor.GetControlKey() or interactor.GetAltKey()
        if modified or is_placing_roi(slicer.app.applicationLogic().GetInteractionNode()):
            return False
        on_handle = pointer_is_on_a_handle(slicer.mrmlScene)
        if not on_handle:
            confirmed = self._effect.confirmCurrentSegmentVisible()
            if confirmed != self._effect.ConfirmedWithoutDialog:
                # The click has gone to the dialog: the user draws again.
                return True
        self._view_entered(slice_node)
        xy = interactor.GetEventPosition()
        taken = self._drag.press(
            slice_node.GetID(), xy, ras_of_display_point(slice_node, xy), slice_to_ras(slice_node), handle=on_handle
        )
        if taken:
            self._drag_overlay = LineOverlay(self._effect, view_widget, COLOR, 2.0)
            slicer.app.installEventFilter(self._escape)
        return taken

    def _move(self, interactor: Any, slice_node: Any) -> bool:
        xy = interactor.GetEventPosition()
        taken = self._drag.move(slice_node.GetID(), xy, ras_of_display_point(slice_node, xy))
        box = self._drag.box
        if box is not None and self._drag_overlay is not None:
            import numpy as np

            corners = box.corners_ras
            self._drag_overlay.show(np.stack((corners, np.roll(corners, -1, axis=0)), axis=1))
        return taken

    def _release(self, slice_node: Any) -> bool:
        box, taken = self._drag.release()
        self._end_drag()
        if box is not None:
            try:
                self._message = ""
                self._hide_previews()
                thickness = self._session.slice_thickness(slice_node)
                node = show_drawn_box(self._effect, box.oriented_box(thickness))
                self.observe_nodes()
                self._session.segment_drawn_box(box, node)
                self._begin_busy()
            except MedSAMSegmentError as error:
                self.show_error(error)
        return taken

    def _end_drag(self) -> None:
        slicer.app.removeEventFilter(self._escape)
        if self._drag_overlay is not None:
            self._drag_overlay.remove()
            self._drag_overlay = None

    # Handles of ROIs

    def _handle_picked(self, node: Any, _event: Any) -> None:
        self._handle_is_dragged = True
        if self._pose_before_drag is None or self._pose_before_drag[0] is not node:
            self._pose_before_drag = (node, remembered_pose(node))

    def _roi_moved(self, node: Any, _event: Any) -> None:
        if self.settings().live_preview and (self._handle_is_dragged or node is self.roi()):
            self._preview(node, moving=self._handle_is_dragged)

    def _handle_released(self, node: Any, _event: Any) -> None:
        was_dragged, self._handle_is_dragged = self._handle_is_dragged, False
        if not was_dragged:
            return
        if node is drawn_box_node(self._effect):
            self._pose_before_drag = None
            self._hide_previews()
            try:
                if self._effect.confirmCurrentSegmentVisible():
                    self._session.segment_corrected_box(node)
                    self._begin_busy()
            except MedSAMSegmentError as error:
                self.show_error(error)
        elif self.settings().live_preview:
            self._preview(node, moving=False)

    def _preview(self, node: Any, *, moving: bool) -> None:
        try:
            if node is drawn_box_node(self._effect):
                self._session.preview_box(node, moving=moving)
            else:
                self._session.preview(node, slice_to_ras(self._slice_node()), moving=moving)
        except MedSAMSegmentError:
            # Half-way through a drag an ROI may be flat or off the image: there is nothing to show.
            self._hide_previews()

    # Answers

    def _written(self, written: Written) -> None:
        self._hide_previews()
        self._pose_before_drag = None
        answer = written.answers[-1]
        changed = sum(result.added + result.removed for result in written.results)
        confidence = sum(each.predicted_iou for each in written.answers) / len(written.answers)
        self._panel.confidence.text = f"{confidence:.2f}"
        self._show_answer(answer)
        seconds = sum(each.seconds for each in written.answers)
        if changed:
            self._message = _("Done in {seconds:.1f} s, {voxels} voxels changed.").format(
                seconds=seconds, voxels=changed
            )
        elif all(each.block is None for each in written.answers):
            self._message = _("The model found nothing in the box. Draw it more tightly, or lower the threshold.")
        else:
            self._message = _("No voxel changed: the masking settings or the segment itself cover all of the mask.")
        self._show_busy()

    def _previewed(self, answer: PromptAnswer) -> None:
        from MedSAMSegmentSlicer.mask_outline import outline_ras

        self._panel.confidence.text = f"{answer.predicted_iou:.2f}"
        self._show_answer(answer)
        mask = answer.slices[0].mask
        if mask is None:
            return
        lines = outline_ras(mask.mask_hw, mask.plane)
        for overlay in self._overlays():
            overlay.show(lines)

    def _show_answer(self, answer: PromptAnswer) -> None:
        from MedSAMSegmentSlicer.thumbnail import thumbnail_ppm

        if not answer.slices:
            return
        self._panel.show_picture(thumbnail_ppm(answer.slices[len(answer.slices) // 2]))
        if answer.window is not None:
            self._panel.thumbnail.setToolTip(
                _("Window {rule}: level {level:g}, width {width:g}").format(
                    rule=answer.window.rule, level=answer.window.level, width=answer.window.width
                )
            )

    def _encoded(self, encoded: bool) -> None:
        if not self._message and encoded:
            self._message = _("Slice prepared.")
        self._show_status()

    def _progress(self, done: int, total: int) -> None:
        self._panel.progress.maximum = total
        self._panel.progress.value = done

    def show_error(self, error: Exception) -> None:
        """Say what went wrong; what nobody foresaw goes to the log as well."""
        if not isinstance(error, MedSAMSegmentError):
            logging.getLogger(__name__).error("MedSAM effect", exc_info=error)
        self._message = error_text(error)
        self._show_busy()

    # Status

    def _ticked(self) -> None:
        now = time.monotonic()
        if now - self._shown_at >= _SHOW_EVERY_S or not self._session.is_writing:
            self._shown_at = now
            self._show_busy()

    def _begin_busy(self) -> None:
        self._busy_since = time.monotonic()
        self._panel.progress.maximum = 0
        self._show_busy()

    def _show_busy(self) -> None:
        writing = self._session.is_writing
        if not writing:
            self._busy_since = None
        self._panel.cancel.enabled = writing
        # A single slice is there before a bar would be read.
        waited = 0.0 if self._busy_since is None else time.monotonic() - self._busy_since
        visible = writing and waited > 0.5
        if bool(self._panel.progress.visible) != visible:
            self._panel.progress.setVisible(visible)
        self._show_status()

    def _show_status(self) -> None:
        choice = self.settings().choice
        missing = self._what_is_missing(choice)
        if self._session.is_writing and self._busy_since is not None:
            waited = time.monotonic() - self._busy_since
            text = _("{model} Encoding, {seconds:.0f} s…").format(
                model=engine_text(self._engine.state, choice), seconds=waited
            )
        elif missing is not None:
            text = missing
        else:
            text = " ".join(part for part in (engine_text(self._engine.state, choice), self._message) if part)
        if self._panel.status.text != text:
            self._panel.status.text = text
        self._panel.set_up_button.visible = missing is not None or self._engine.state.phase == "failed"

    def _what_is_missing(self, choice: ModelChoice) -> str | None:
        # Looked for again and again only as long as something is missing: it takes milliseconds.
        if choice == self._ready_choice:
            return None
        missing = what_is_missing(choice)
        if missing is None:
            self._ready_choice = choice
        return missing

    # Views

    def _view_entered(self, slice_node: Any) -> None:
        if slice_node is not self._view_node:
            self._view_node = slice_node
            self._settle.start()

    def _slice_node(self) -> Any:
        """The view that was used last; the first one if none was."""
        node = self._view_node
        if node is None or node.GetScene() is None:
            layout = slicer.app.layoutManager()
            node = layout.sliceWidget(layout.sliceViewNames()[0]).mrmlSliceNode()
            self._view_node = node
        return node

    def _settled(self) -> None:
        settings = self.settings()
        if self._session.is_writing or not settings.encode_ahead or self._what_is_missing(settings.choice) is not None:
            return
        try:
            self._session.encode_ahead(self._slice_node(), self.roi())
        except MedSAMSegmentError as error:
            self.show_error(error)

    def _volume_display_changed(self, _node: Any, _event: Any) -> None:
        if self.settings().window == "displayed":
            self._settle.start()

    def _overlays(self) -> list[LineOverlay]:
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames():
            if name not in self._preview_overlays:
                widget = layout.sliceWidget(name)
                self._preview_overlays[name] = LineOverlay(self._effect, widget, _PREVIEW_COLOR, 2.0)
        return list(self._preview_overlays.values())

    def _hide_previews(self) -> None:
        for overlay in self._preview_overlays.values():
            overlay.hide()

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
