"""From a prompt to a segment: what the effect asks for, and whether the answer is still wanted when it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.editor_requests import EditorNodes, EditorRequests
from MedSAMSegmentSlicer.effect_settings import EffectSettings, Scope
from MedSAMSegmentSlicer.image_in_use import image_was_changed
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.last_box import LastBox
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
    """

    results: list[WriteResult]
    answers: list[PromptAnswer]
    names: list[str]


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
        progress: parts done, all parts.
        failed: what went wrong.
    """

    nodes: Callable[[], EditorNodes | None]
    settings: Callable[[], EffectSettings]
    written: Callable[[Written], None]
    grown: Callable[[Growth], None]
    previewed: Callable[[PromptAnswer], None]
    encoded: Callable[[bool], None]
    progress: Callable[[int, int], None]
    failed: Callable[[Exception], None]


class EffectSession:
    """One effect's requests whose answers are written. All for the main thread.

    Args:
        engine: computes.
        writer: puts masks into segments.
        events: is told.
        name: unique among the sessions that share the engine.

    Attributes:
        previews: of prompts, which are not written.
        preparation: of slices, ahead of any prompt.
    """

    def __init__(self, engine: InferenceEngine, writer: SegmentsWriter, events: SessionEvents, name: str) -> None:
        self._engine = engine
        self._writer = writer
        self._events = events
        self._requests = EditorRequests(events.nodes, events.settings)
        self.previews = PromptPreviews(engine, self._requests, events.previewed, events.failed, name)
        self.preparation = SlicePreparation(engine, self._requests, events.encoded, events.failed, name)
        self._write_key = f"{name}/write"
        self._prefix = f"{name}/"
        self._last_box = LastBox()

    @property
    def is_writing(self) -> bool:
        """Whether something that will be written is being computed."""
        return self._engine.has(self._write_key)

    def cancel(self) -> None:
        """Forget what is being computed; nothing of it is written or shown."""
        self.previews.cancel()
        self.preparation.end_drag()
        self._engine.cancel(self._prefix)

    def forget_box(self) -> None:
        """The last box is finished: drawing or moving another one leaves what it did."""
        self._last_box.forget()

    def forget_volume(self) -> None:
        """Let go of the voxels of the source volume, and of what was chosen for them."""
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

    def segment_drawn_box(self, box: DrawnBox, roi: Roi) -> None:
        """Segment what is in a box that was just drawn, on the slice where it was drawn, into the selected segment.

        Args:
            box: as it was drawn.
            roi: `roi_of_drawn_box`.
        """
        self.forget_box()
        self._segment_box(roi, box.slice_to_ras)

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

        def done(answers: list[PromptAnswer]) -> None:
            is_new = len(rois) > 1
            ids = [nodes.segment_id]
            if is_new:
                ids = self._writer.add_segments([(roi.name, roi.color) for roi in rois])
            edits = [
                self._edit(segment_id, answer, settings.mode, nodes)
                for segment_id, answer in zip(ids, answers, strict=True)
            ]
            results = self._writer.write(edits, is_begun=is_new)
            for segment_id, roi, answer in zip(ids, rois, answers, strict=True):
                _tag(nodes, segment_id, roi, answer, settings)
            self._events.written(Written(results, answers, _names(nodes, ids)))

        self.forget_box()
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
        self.forget_box()
        self.previews.cancel()
        self.preparation.make_room()
        run = BackgroundRun(self._engine, self._write_key, self._events.grown, self._events.failed, self._told)
        start_growth_job(run, self._writer, job, wanted=lambda: self._events.nodes() == nodes)

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

    def _segment_box(self, roi: Roi, pose: Any) -> None:
        nodes, settings = self._requests.need_nodes(), self._events.settings()
        plane = self._requests.plane_of(pose)
        request = self._requests.request(nodes, settings, roi.box, (plane,))

        def done(answers: list[PromptAnswer]) -> None:
            self.previews.remember_window(answers[0], settings.window)
            edit = self._edit(nodes.segment_id, answers[0], settings.mode, nodes)
            before = self._last_box.before(nodes, edit)
            results = self._writer.write([*self._last_box.withdrawal(nodes), edit])
            _tag(nodes, nodes.segment_id, roi, answers[0], settings)
            self._last_box.remember(nodes, before)
            self._events.written(Written(results, answers, _names(nodes, [nodes.segment_id])))

        self._submit(nodes, settings, [request], done)

    def _submit(
        self,
        nodes: EditorNodes,
        settings: EffectSettings,
        requests: list[PromptRequest],
        done: Callable[[list[PromptAnswer]], None],
        *,
        whole: bool = False,
    ) -> None:
        """Ask, and have the answers written if they still fit what the editor works on when they come."""
        self.previews.cancel()
        self.preparation.make_room(requests[0] if len(requests) == 1 and not whole else None)

        def guarded(answers: list[PromptAnswer]) -> None:
            if self._events.nodes() != nodes:
                return
            try:
                if not all(self._requests.is_current(nodes, request) for request in requests):
                    raise image_was_changed(nodes.volume)
                done(answers)
            except Exception as error:
                self._events.failed(error)

        key, failed, told = self._write_key, self._events.failed, self._told
        if whole:
            self._engine.answer_structures(
                key, settings.choice, requests, settings.level, "auto", guarded, failed, told
            )
        else:
            self._engine.answer(key, settings.choice, requests, guarded, failed, told)

    def _told(self, parts: int, total: int, _doing: str) -> None:
        self._events.progress(parts, total)

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
