"""The effect while it is active: events in, requests out, answers shown. Made at activation, closed at deactivation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import vtk
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import InvalidPromptError, MedSAMSegmentError
from MedSAMSegmentSlicer.roi_selection import ROI_CLASS
from MedSAMSegmentWidgets.drawn_box_node import COLOR, LateBox, put_drawn_box_aside, use_drawn_box
from MedSAMSegmentWidgets.effect_views import EffectViews
from MedSAMSegmentWidgets.node_observers import NodeObservers
from MedSAMSegmentWidgets.preview_overlays import PreviewOverlays
from MedSAMSegmentWidgets.roi_handles import RoiHandles
from MedSAMSegmentWidgets.roi_placement import Placement, add_roi_around_segment
from MedSAMSegmentWidgets.shortcuts import Shortcuts

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.box_drag import DrawnBox
    from MedSAMSegmentSlicer.prompt_work import PromptAnswer
    from MedSAMSegmentWidgets.effect_panel import EffectPanel
    from MedSAMSegmentWidgets.effect_work import EffectWork


class EffectController:
    """Everything that lives as long as the effect is active.

    Args:
        scripted_effect: ``qSlicerSegmentEditorScriptedEffect``, active.
        panel: its options.
        work: of the effect, which outlives this.
    """

    def __init__(self, scripted_effect: Any, panel: EffectPanel, work: EffectWork) -> None:
        self._effect = scripted_effect
        self._work = work
        self._choices, self._status, self._session = work.choices, work.status, work.session
        self._previews = PreviewOverlays(scripted_effect)
        self._views = EffectViews(
            scripted_effect, self._choices, self._session, self._previews, self._status, self._drawn
        )
        self._handles = RoiHandles(
            self._session, self._previews, self._choices, self._views, self._status, self._correct_box
        )
        self._late_box = LateBox(scripted_effect, self.observe_nodes)
        self._placement = Placement(self._placed)
        self._observers = NodeObservers()
        self._last_nodes = self._choices.nodes()
        self._last_settings = self._choices.settings()
        self._shortcuts = Shortcuts(
            panel.apply.window(),
            {
                "apply": self.apply,
                "revert": self.revert,
                "new_roi": self.new_roi,
                "live_preview": self._choices.toggle_live_preview,
            },
        )
        work.enter(self)
        use_drawn_box(scripted_effect)
        self.observe_nodes()
        self._status.show()
        self._views.settle()

    def close(self) -> None:
        """Leave nothing behind: no key, observer, actor or request but those that will be written."""
        self._views.close()
        self._late_box.close()
        self._placement.close()
        self._work.leave()
        self._shortcuts.remove()
        self._observers.remove_all()
        self._previews.remove()
        put_drawn_box_aside(self._effect)
        self._status.show()

    # Events of the Segment Editor

    def process_interaction(self, interactor: Any, event_id: int, view_widget: Any) -> bool:
        """A mouse or key event in a view; whether it is used up."""
        return self._views.process_interaction(interactor, event_id, view_widget)

    def view_changed(self, view_node: Any) -> None:
        """A view was scrolled, zoomed, turned or resized."""
        self._views.view_changed(view_node)

    def mouse_mode_changed(self, interaction_node: Any) -> None:
        """The mouse places markups, or does so no more."""
        self._placement.mode_changed(interaction_node)

    def nodes_changed(self) -> None:
        """Another segment, volume, segmentation or option: what was prepared for the old ones is not wanted any more.

        What was asked for them is carried out.
        """
        self.observe_nodes()
        nodes = self._choices.nodes()
        if nodes != self._last_nodes:
            self._last_nodes = nodes
            self._session.forget_view()
            self._previews.hide()
            self._status.say("" if nodes is not None else _("Choose a source volume, a segmentation and a segment."))
        settings = self._choices.settings()
        if settings != self._last_settings:
            self._last_settings = settings
            self._status.say("")  # what was said of the old ones may be wrong now
        self._views.settle()
        self._status.show()

    def observe_nodes(self) -> None:
        """Observe the nodes that are chosen now, and no others."""
        self._observers.remove_all()
        parameters = self._effect.parameterSetNode()
        if parameters is None:
            return
        # Slicer tells an effect of its parameters and of another volume, and of another segment not at all.
        self._observers.add(parameters, vtk.vtkCommand.ModifiedEvent, self._editor_modified)
        segmentation = parameters.GetSegmentationNode()
        if segmentation is not None and segmentation.GetSegmentation() is not None:
            changed = segmentation.GetSegmentation()
            for event in (changed.SourceRepresentationModified, changed.SegmentModified, changed.SegmentRemoved):
                self._observers.add(changed, event, self._segments_changed)
        self._views.observe_display(parameters.GetSourceVolumeNode(), self._observers)
        for node in self._choices.markups():
            self._handles.observe(node, self._observers)

    def _editor_modified(self, _node: Any, _event: Any) -> None:
        if self._choices.nodes() != self._last_nodes:
            self.nodes_changed()

    def _segments_changed(self, _segmentation: Any, _event: Any) -> None:
        # Undo, or another effect; a mask of this one is told of after it was written.
        self._status.forget_results()

    # What the user can do

    @property
    def is_busy(self) -> bool:
        """Whether something that will be written is being computed."""
        return self._session.is_writing

    def new_roi(self, class_name: str = ROI_CLASS) -> None:
        """Let the user place an ROI, or another markup of `SOURCE_CLASSES`."""
        self._choose_roi(self._placement.begin(class_name))
        self._status.say(_("Click in a slice view to place it. Escape gives it up."))

    def roi_around_segment(self) -> None:
        """Put an ROI around the selected segment, and choose it."""
        try:
            nodes = self._choices.nodes()
            if nodes is None:
                raise InvalidPromptError("Choose a source volume, a segmentation and a segment first.")
            self._choose_roi(
                add_roi_around_segment(nodes.segmentation, nodes.segment_id, self._choices.settings().margin_mm)
            )
            self._placed(self._choices.roi())
        except MedSAMSegmentError as error:
            self._status.failed(error)

    def grow(self) -> None:
        """Continue the selected segment on the slices beside it."""
        self._ask_to_write(self._session.grow)

    def apply(self) -> None:
        """Segment the chosen ROIs."""
        self._ask_to_write(lambda: self._session.apply(self._choices.rois(), self._views.pose()))

    def revert(self) -> None:
        """Drop the preview, and put the ROI back to where it was before it was dragged."""
        self._handles.revert()
        self._status.say("")  # what was said of the preview goes with it

    def cancel(self) -> None:
        """Stop what is being computed."""
        self._session.cancel()
        self._status.say(_("Cancelled. Nothing was written."))

    def _drawn(self, box: DrawnBox) -> None:
        released_at = time.monotonic()
        try:
            self._previews.hide()
            roi = self._session.roi_of_drawn_box(box, _("MedSAM box"), COLOR)
            self._session.segment_drawn_box(box, roi, released_at)
            self._status.begin()
        except MedSAMSegmentError as error:
            self._status.failed(error)
            return
        self._late_box.show(roi.box)

    def _correct_box(self, node: Any) -> bool:
        return self._ask_to_write(lambda: self._session.segment_corrected_box(node))

    def _ask_to_write(self, request: Callable[[], None]) -> bool:
        """Ask for something that will be written; whether it could be asked for. If not, it is said why."""
        try:
            if not self._may_write():
                return False
            request()
            self._status.begin()
        except MedSAMSegmentError as error:
            self._status.failed(error)
            return False
        return True

    def _may_write(self) -> bool:
        """Whether the selected segment is visible, or the user wants it to be written to as it is."""
        if self._effect.confirmCurrentSegmentVisible():
            return True
        self._status.say(_("Nothing was changed: the selected segment is hidden."))
        return False

    def _placed(self, node: Any) -> None:
        text = _("The ROI is in place. Choose what to apply it to, and click Apply.") if node is not None else ""
        self._status.say(text)

    def _choose_roi(self, node: Any) -> None:
        self._choices.choose_roi(node)
        self.nodes_changed()

    # Answers

    def written(self) -> None:
        """An action is in the segment."""
        self._previews.hide()
        self._handles.forget_pose()
        self._views.settle()

    def grown(self) -> None:
        """A segment was continued."""
        self._previews.hide()

    def previewed(self, answer: PromptAnswer) -> None:
        """There is something to look at, which is not written."""
        from MedSAMSegmentSlicer.mask_outline import outline_ras

        mask = answer.slices[0].mask
        if mask is not None:
            self._previews.show(outline_ras(mask.mask_hw, mask.plane))
