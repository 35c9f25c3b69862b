"""From a prompt to a segment: what the effect asks for is carried out in order, or it is said why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.editor_requests import EditorNodes, EditorRequests
from MedSAMSegmentSlicer.effect_settings import EffectSettings, Scope
from MedSAMSegmentSlicer.image_in_use import ImageInUse
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.last_box import LastBox
from MedSAMSegmentSlicer.pending_actions import PendingAction, PendingActions
from MedSAMSegmentSlicer.prompt_previews import PromptPreviews
from MedSAMSegmentSlicer.prompt_work import PromptAnswer, PromptRequest, box_on_view, planes_through
from MedSAMSegmentSlicer.provenance import (
    Provenance,
    describe_box,
    describe_plane,
    describe_window,
    identity_fields,
    tag_segment,
)
from MedSAMSegmentSlicer.roi_nodes import Roi, roi_from_node
from MedSAMSegmentSlicer.roi_sources import roi_from_markup
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, WriteResult
from MedSAMSegmentSlicer.slice_preparation import SlicePreparation

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
    from MedSAMSegmentLib.propagation.growth import Growth
    from MedSAMSegmentSlicer.box_drag import DrawnBox


class SegmentsWriter(Protocol):
    """What the session writes with: `effect_segment_writer.EffectSegmentWriter`."""

    def write(self, edits: Sequence[SegmentEdit], *, is_begun: bool = False) -> list[WriteResult]: ...

    def add_segments(self, wanted: Sequence[tuple[str, tuple[float, float, float]]]) -> list[str]: ...


@dataclass(frozen=True)
class Written:
    """What one user action did.

    Attributes:
        results: of every edit.
        answers: of the model, one for each segment.
        names: of the segments, in the same order.
        seconds: since the user asked for it.
    """

    results: list[WriteResult]
    answers: list[PromptAnswer]
    names: list[str]
    seconds: float = 0.0


@dataclass(frozen=True)
class SessionEvents:
    """Where the session tells what happens; all called in the main thread.

    Attributes:
        nodes: what the editor works on now; None if a node is missing.
        settings: the effect's, now.
        written: an action is in the segment.
        grown: a segment has its new slices, if there are any.
        previewed: an answer to look at, not written.
        encoded: the model is loaded, and the slice in view was encoded or could not be without a prompt.
        progress: parts done, all parts, and what is being done.
        failed: what went wrong.
    """

    nodes: Callable[[], EditorNodes | None]
    settings: Callable[[], EffectSettings]
    written: Callable[[Written], None]
    grown: Callable[[Growth], None]
    previewed: Callable[[PromptAnswer], None]
    encoded: Callable[[bool], None]
    progress: Callable[[int, int, str], None]
    failed: Callable[[Exception], None]


class EffectSession:
    """One effect's requests whose answers are written. All for the main thread.

    Args:
        engine: computes.
        writer_for: puts masks into segments of what they were asked for.
        events: is told.
        name: unique among the sessions that share the engine.

    Attributes:
        previews: of prompts, which are not written.
        preparation: of slices, ahead of any prompt.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        writer_for: Callable[[EditorNodes], SegmentsWriter],
        events: SessionEvents,
        name: str,
    ) -> None:
        self._engine = engine
        self._writer_for = writer_for
        self._events = events
        self._requests = EditorRequests(events.nodes, events.settings)
        self.previews = PromptPreviews(engine, self._requests, events.previewed, events.failed, name)
        self.preparation = SlicePreparation(engine, self._requests, events.encoded, events.failed, name)
        self._pending = PendingActions(engine, name)
        self._prefix = f"{name}/"
        self._last_box = LastBox()
        self._box_number = self._written_box = 0
        """Of the box that was drawn last, and of that which `LastBox` knows: what is computed may lie behind."""

    @property
    def is_writing(self) -> bool:
        """Whether something that will be written is being computed."""
        return len(self._pending) > 0

    @property
    def pending_count(self) -> int:
        """How many actions are not written yet, the one that is being computed included."""
        return len(self._pending)

    @property
    def waited_s(self) -> float:
        """How long the user has waited for what is being computed; 0 if nothing is."""
        first = self._pending.first
        return 0.0 if first is None else time.monotonic() - first.asked_at

    def cancel(self) -> None:
        """Forget all that is being computed or waits; nothing of it is written or shown."""
        self.previews.cancel()
        self.preparation.end_drag()
        self._pending.cancel()
        self._engine.cancel(self._prefix)

    def give_up_void(self) -> None:
        """Give up what cannot be written any more, and say why; to be called from time to time."""
        for reason in self._pending.drop_void():
            self._events.failed(InvalidPromptError(reason))

    def forget_view(self) -> None:
        """The editor works on something else: drop what is only shown or prepared. What will be written goes on.

        The voxels of the source volume are let go of, and what was chosen for them.
        """
        self.previews.cancel()
        self.preparation.make_room()
        self._requests.forget_volume()
        self.preparation.forget_volume()
        self.previews.forget_windows()

    def roi_of_drawn_box(self, box: DrawnBox, name: str, color: tuple[float, float, float]) -> Roi:
        """A rectangle as thick as the slice that it was drawn on.

        Raises:
            InvalidPromptError: it was drawn beside the volume, or there is none.
        """
        thickness = self._requests.thickness_of(self._requests.plane_of(box.slice_to_ras))
        return Roi(name, box.oriented_box(thickness), color)

    def segment_drawn_box(self, box: DrawnBox, roi: Roi, released_at: float | None = None) -> None:
        """Segment what is in a box that was just drawn, on the slice where it was drawn, into the selected segment.

        Args:
            box: as it was drawn.
            roi: `roi_of_drawn_box`.
            released_at: ``time.monotonic()`` of the release of the mouse.
        """
        self._finish_box()
        self._segment_box(roi, box.slice_to_ras, released_at)

    def segment_corrected_box(self, roi_node: Any) -> None:
        """Segment what is in the last box after its handles were moved: what it had done before is undone."""
        roi = roi_from_node(roi_node)
        self._segment_box(roi, roi.box.object_to_ras)

    def apply(self, roi_nodes: Sequence[Any], pose_of_view: Any) -> None:
        """Segment ROIs as far as the scope says: one into the selected segment, several into one segment each.

        Raises:
            InvalidPromptError: there is no ROI, or one cannot be used.
        """
        if not roi_nodes:
            raise InvalidPromptError("No ROI is chosen. Choose one, or place a new one with New ROI.")
        nodes, settings = self._requests.need_nodes(), self._events.settings()
        rois = [roi_from_markup(node) for node in roi_nodes]
        requests = [
            self._requests.request(nodes, settings, roi.box, self._planes(roi, settings.scope, pose_of_view))
            for roi in rois
        ]

        def done(answers: list[PromptAnswer]) -> Written:
            is_new = len(rois) > 1
            ids, writer = [nodes.segment_id], self._writer_for(nodes)
            if is_new:
                ids = writer.add_segments([(roi.name, roi.color) for roi in rois])
            edits = [
                self._edit(segment_id, answer, settings.mode, nodes)
                for segment_id, answer in zip(ids, answers, strict=True)
            ]
            results = writer.write(edits, is_begun=is_new)
            for segment_id, roi, answer in zip(ids, rois, answers, strict=True):
                _tag(nodes, segment_id, roi, answer, settings)
            return Written(results, answers, _names(nodes, ids))

        self._finish_box()
        self._submit(nodes, settings, requests, done, whole=settings.scope == "structure")

    def grow(self) -> None:
        """Continue the selected segment on the slices beside it.

        Raises:
            InvalidPromptError: the segment is empty.
        """
        from MedSAMSegmentSlicer.growth_job import GrowthJob, start_growth_job

        nodes, settings = self._requests.need_nodes(), self._events.settings()
        job = GrowthJob(
            volume=nodes.volume,
            segmentation=nodes.segmentation,
            segment_id=nodes.segment_id,
            choice=settings.choice,
            below=settings.grow_below,
            above=settings.grow_above,
            window=settings.window_rule_for(nodes.volume),
            options=settings.mask_options,
        )
        self._finish_box()
        self.previews.cancel()
        self.preparation.make_room()
        action = self._pending.add(nodes)

        def grown(growth: Growth) -> None:
            self._pending.remove(action)
            self._events.grown(growth)

        run = BackgroundRun(self._engine, action.key, grown, self._failure_of(action), self._events.progress)
        try:
            start_growth_job(run, self._writer_for(nodes), job)
        except Exception:
            self._pending.remove(action)
            raise

    def _planes(self, roi: Roi, scope: Scope, pose_of_view: Any) -> tuple[SlicePlane, ...]:
        """The slices that are asked about; none for a whole structure, which does not depend on the view."""
        if scope == "structure":
            return ()
        plane, volume = self._requests.plane_of(pose_of_view), self._requests.volume(self._requests.need_nodes())
        if scope == "slices":
            return planes_through(roi.box, plane, volume.geometry)
        if box_on_view(roi.box, plane, volume) is None:
            raise InvalidPromptError(
                f"{roi.name!r} is not on the slice in view. Scroll to a slice that it crosses, or choose more slices "
                "under Apply to."
            )
        return (plane,)

    def _finish_box(self) -> None:
        """The last box is finished: drawing or moving another one leaves what it did, or will do."""
        self._box_number += 1

    def _segment_box(self, roi: Roi, pose: Any, asked_at: float | None = None) -> None:
        nodes, settings = self._requests.need_nodes(), self._events.settings()
        plane = self._requests.plane_of(pose)
        request = self._requests.request(nodes, settings, roi.box, (plane,))
        number, writer = self._box_number, self._writer_for(nodes)

        def done(answers: list[PromptAnswer]) -> Written:
            if number != self._written_box:
                self._last_box.forget()
                self._written_box = number
            self.previews.remember_window(answers[0], settings.window)
            edit = self._edit(nodes.segment_id, answers[0], settings.mode, nodes)
            before = self._last_box.before(nodes, edit)
            results = writer.write([*self._last_box.withdrawal(nodes), edit])
            _tag(nodes, nodes.segment_id, roi, answers[0], settings)
            self._last_box.remember(nodes, before)
            return Written(results, answers, _names(nodes, [nodes.segment_id]))

        self._submit(nodes, settings, [request], done, asked_at=asked_at)

    def _submit(
        self,
        nodes: EditorNodes,
        settings: EffectSettings,
        requests: list[PromptRequest],
        done: Callable[[list[PromptAnswer]], Written],
        *,
        whole: bool = False,
        asked_at: float | None = None,
    ) -> None:
        """Ask, and have the answers written when they come, whatever the editor works on by then."""
        image = ImageInUse(nodes.volume, requests[0].volume)
        self.previews.cancel()
        self.preparation.make_room(requests[0] if len(requests) == 1 and not whole else None)

        action = self._pending.add(nodes, asked_at)

        def guarded(answers: list[PromptAnswer]) -> None:
            self.give_up_void()
            if action not in self._pending:
                return
            self._pending.remove(action)
            try:
                image.check()
                written = done(answers)
            except Exception as error:
                self._events.failed(error)
                return
            self._events.written(replace(written, seconds=time.monotonic() - action.asked_at))

        key, failed, told = action.key, self._failure_of(action), self._events.progress
        if whole:
            self._engine.answer_structures(
                key, settings.choice, requests, settings.level, "auto", guarded, failed, told
            )
        else:
            self._engine.answer(key, settings.choice, requests, guarded, failed, told)

    def _failure_of(self, action: PendingAction) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            self._pending.remove(action)
            self._events.failed(error)

        return failed

    def _edit(self, segment_id: str, answer: PromptAnswer, mode: str, nodes: EditorNodes) -> SegmentEdit:
        edit_mode = EditMode(mode)
        if edit_mode is not EditMode.REPLACE:
            return SegmentEdit(segment_id, answer.block, edit_mode)
        import numpy as np

        grid = self._requests.volume(nodes).geometry
        regions = [
            block_from_plane_mask(np.ones(each.plane.shape_hw, dtype=bool), each.plane, grid) for each in answer.slices
        ]
        blocks = [region for region in regions if region is not None]
        region = MaskBlock.union(blocks) if blocks else None
        return SegmentEdit(segment_id, answer.block, edit_mode, region)


def _names(nodes: EditorNodes, segment_ids: Sequence[str]) -> list[str]:
    segmentation = nodes.segmentation.GetSegmentation()
    return [segmentation.GetSegment(segment_id).GetName() for segment_id in segment_ids]


def _tag(nodes: EditorNodes, segment_id: str, roi: Roi, answer: PromptAnswer, settings: EffectSettings) -> None:
    """Write onto the segment what it was made with; of several prompts, the last."""
    if settings.mode == EditMode.SUBTRACT.value or answer.block is None:
        return
    provenance = Provenance(
        **identity_fields(answer.identity),
        prompt=describe_box(roi.box),
        plane=f"{len(answer.slices)} slices" if len(answer.slices) > 1 else describe_plane(answer.slices[0].plane),
        window=describe_window(answer.window),
        # What was done, which is not `auto`.
        level=answer.structure.level if answer.structure is not None else "slice",
        predicted_iou=f"{answer.predicted_iou:.3f}",
    )
    tag_segment(nodes.segmentation.GetSegmentation().GetSegment(segment_id), provenance)
