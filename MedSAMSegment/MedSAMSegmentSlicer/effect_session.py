"""From a prompt to a segment: what the effect asks for, and whether the answer is still wanted when it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.free_plane import plane_of_view
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentSlicer.effect_settings import EffectSettings
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.inference_worker import IDLE
from MedSAMSegmentSlicer.neighbour_slices import NeighbourSlices
from MedSAMSegmentSlicer.prompt_work import FrozenWindow, PromptAnswer, PromptRequest, layer_thickness, planes_through
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
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, WriteResult, on_reference_grid, segment_mask
from MedSAMSegmentSlicer.slice_view_plane import slice_to_ras
from MedSAMSegmentSlicer.volume_nodes import volume_from_node

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
    from MedSAMSegmentLib.intensity.window import Window
    from MedSAMSegmentLib.propagation.growth import Growth
    from MedSAMSegmentSlicer.box_drag import DrawnBox

_FROM_THE_BOX = ("auto", "roi")
"""Window rules that look at the voxels in the box."""

NEAREST_LAYER = 0.5
"""In layers: a slice view between two layers stands for the nearer one."""


@dataclass(frozen=True)
class EditorNodes:
    """What a Segment Editor works on at a moment. An answer is written only where it was asked for."""

    segmentation: Any
    segment_id: str
    volume: Any


class SegmentsWriter(Protocol):
    """What the session writes with: `effect_segment_writer.EffectSegmentWriter`."""

    def write(self, edits: Sequence[SegmentEdit]) -> list[WriteResult]: ...

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


@dataclass(frozen=True)
class _LastBox:
    """What the box drawn last added: given back when the box is corrected."""

    nodes: EditorNodes
    added: MaskBlock | None


class EffectSession:
    """One effect's requests. All for the main thread.

    Args:
        engine: computes.
        writer: puts masks into segments.
        events: is told.
        name: unique among the sessions that share the engine.
    """

    def __init__(self, engine: InferenceEngine, writer: SegmentsWriter, events: SessionEvents, name: str) -> None:
        self._engine = engine
        self._writer = writer
        self._events = events
        self._write_key = f"{name}/write"
        self._preview_key = f"{name}/preview"
        self._ahead_key = f"{name}/ahead"
        self._neighbours_key = f"{name}/neighbour"
        self._prefix = f"{name}/"
        self._neighbours = NeighbourSlices()
        self._last_box: _LastBox | None = None
        self._volume: tuple[Any, Volume] | None = None
        self._drag_window: FrozenWindow | None = None
        self._window_of: dict[str, Window] = {}
        self._next_preview: tuple[EditorNodes, EffectSettings, PromptRequest, str] | None = None

    @property
    def is_writing(self) -> bool:
        """Whether something that will be written is being computed."""
        return self._engine.has(self._write_key)

    def cancel(self) -> None:
        """Forget what is being computed; nothing of it is written or shown."""
        self._next_preview = None
        self._engine.cancel(self._prefix)

    def cancel_preview(self) -> None:
        """Forget the preview that is being computed."""
        self._next_preview = None
        self._engine.cancel(self._preview_key)

    def forget_box(self) -> None:
        """The last box is finished: drawing or moving another one leaves what it added."""
        self._last_box = None

    def forget_volume(self) -> None:
        """Let go of the voxels of the source volume, and of what was chosen for them."""
        self._volume = None
        self._window_of = {}

    def view_plane(self, slice_node: Any) -> SlicePlane:
        """The slice of the source volume that a view shows.

        Raises:
            InvalidPromptError: the view misses the volume, or there is none.
        """
        volume = self._need_volume(self._need_nodes())
        return plane_of_view(slice_to_ras(slice_node), volume.geometry, layer_tolerance=NEAREST_LAYER)

    def slice_thickness(self, slice_node: Any) -> float:
        """Of the source volume across a view, in mm: how thick a box drawn there is."""
        volume = self._need_volume(self._need_nodes())
        return layer_thickness(self.view_plane(slice_node), volume.geometry)

    def segment_drawn_box(self, box: DrawnBox, roi_node: Any) -> None:
        """Segment what is in a box that was just drawn, on the slice where it was drawn, into the selected segment.

        Args:
            box: as it was drawn.
            roi_node: that shows it from now on.
        """
        self.forget_box()
        self._segment_box(roi_from_node(roi_node), self._plane_of_pose(box.slice_to_ras), roi_node, correct=False)

    def segment_corrected_box(self, roi_node: Any) -> None:
        """Segment what is in the last box after its handles were moved: what it had added before is taken back."""
        roi = roi_from_node(roi_node)
        self._segment_box(roi, self._plane_of_pose(roi.box.object_to_ras), roi_node, correct=True)

    def preview_box(self, roi_node: Any, *, moving: bool) -> None:
        """As `preview`, of the last box, on the slice where it is: its sides are parallel to that view's."""
        self.preview(roi_node, roi_from_node(roi_node).box.object_to_ras, moving=moving)

    def preview(self, roi_node: Any, pose_of_view: Any, *, moving: bool) -> None:
        """Compute the mask of an ROI on the slice in view, for showing only.

        While one is being computed, only the newest of those that are asked for meanwhile waits.

        Args:
            roi_node: the ROI.
            pose_of_view: (4, 4) of the slice view.
            moving: a handle is being dragged: the window is chosen once for the whole drag, so that the slice is
                encoded once, and every further position costs a decoder pass only.
        """
        self.cancel_neighbours()
        nodes, settings = self._need_nodes(), self._events.settings()
        plane = self._plane_of_pose(pose_of_view)
        request = self._request(nodes, settings, roi_from_markup(roi_node), (plane,))
        if not moving:
            self._drag_window = None
        elif settings.window in _FROM_THE_BOX:
            if self._drag_window is None:
                self._drag_window = FrozenWindow(self._window_of.get(roi_node.GetID()) or settings.window)
            request = replace(request, window=self._drag_window)
        if self._engine.has(self._preview_key):
            self._next_preview = (nodes, settings, request, roi_node.GetID())
        else:
            self._start_preview(nodes, settings, request, roi_node.GetID())

    def _start_preview(self, nodes: EditorNodes, settings: EffectSettings, request: PromptRequest, roi_id: str) -> None:
        def done(answers: list[PromptAnswer]) -> None:
            self._remember_window(roi_id, answers[0])
            if self._events.nodes() == nodes:
                self._events.previewed(answers[0])
            go_on()

        def failed(error: Exception) -> None:
            # Where the ROI has left the slice there is nothing to show, which is no event for the user.
            if not isinstance(error, InvalidPromptError):
                self._events.failed(error)
            go_on()

        def go_on() -> None:
            waiting, self._next_preview = self._next_preview, None
            if waiting is not None:
                self._start_preview(*waiting)

        self._engine.answer(self._preview_key, settings.choice, [request], done, failed)

    def _remember_window(self, roi_id: str, answer: PromptAnswer) -> None:
        if answer.window is not None:
            self._window_of[roi_id] = answer.window

    def apply(self, roi_nodes: Sequence[Any], pose_of_view: Any) -> None:
        """Segment ROIs as far as the scope says: one into the selected segment, several into one segment each.

        Raises:
            InvalidPromptError: there is no ROI, or one cannot be used.
        """
        if not roi_nodes:
            raise InvalidPromptError("No ROI is chosen. Choose one, or place a new one with New ROI.")
        nodes, settings = self._need_nodes(), self._events.settings()
        rois = [roi_from_markup(node) for node in roi_nodes]
        plane = self._plane_of_pose(pose_of_view)
        geometry = self._need_volume(nodes).geometry
        requests = [
            self._request(
                nodes,
                settings,
                roi,
                (plane,) if settings.scope == "slice" else planes_through(roi.box, plane, geometry),
            )
            for roi in rois
        ]

        def done(answers: list[PromptAnswer]) -> None:
            if self._events.nodes() != nodes:
                return
            ids = [nodes.segment_id]
            if len(rois) > 1:
                ids = self._writer.add_segments([(roi.name, roi.color) for roi in rois])
            edits = [
                edit
                for segment_id, answer in zip(ids, answers, strict=True)
                for edit in self._edits(segment_id, answer, settings.mode, nodes)
            ]
            results = self._writer.write(edits)
            for segment_id, roi, answer in zip(ids, rois, answers, strict=True):
                _tag(nodes, segment_id, roi, answer, settings)
            self._events.written(Written(results, answers, _names(nodes, ids)))

        self.forget_box()
        self._submit(settings, requests, done, whole=settings.scope == "structure")

    def grow(self) -> None:
        """Continue the selected segment on the slices beside it.

        Raises:
            InvalidPromptError: the segment is empty.
        """
        from MedSAMSegmentSlicer.growth_job import GrowthJob, start_growth_job

        nodes, settings = self._need_nodes(), self._events.settings()
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
        self._make_room()
        start_growth_job(
            self._engine,
            self._write_key,
            self._writer,
            job,
            self._events.grown,
            self._events.failed,
            self._told,
            wanted=lambda: self._events.nodes() == nodes,
        )

    def encode_ahead(self, slice_node: Any, roi_node: Any = None) -> None:
        """Encode what a view shows, so that a prompt on it is answered at once; the newest request wins.

        Then, while nothing else is to do, the slices that come next in the direction of scrolling.

        Args:
            slice_node: of the view.
            roi_node: the prompt that is likely to come, for windows that depend on it.
        """
        self.cancel_neighbours()
        nodes = self._events.nodes()
        if nodes is None:
            return
        settings = self._events.settings()
        try:
            plane = self.view_plane(slice_node)
            roi = None if roi_node is None else roi_from_markup(roi_node).box
        except InvalidPromptError:
            return  # the view is beside the volume, or the ROI not placed yet: there is nothing to prepare
        window = settings.window_for(nodes.volume)
        self._engine.encode_ahead(
            self._ahead_key, settings.choice, self._need_volume(nodes), plane, window, roi,
            self._events.encoded, self._events.failed,
        )  # fmt: skip
        volume = self._need_volume(nodes)
        for n, neighbour in enumerate(self._neighbours.after(plane, volume.geometry)):
            # A job each, so that whatever else comes goes between them. An error waits until somebody looks there.
            self._engine.encode_ahead(
                f"{self._neighbours_key} {n}", settings.choice, volume, neighbour, window, roi,
                lambda _: None, lambda _: None, IDLE,
            )  # fmt: skip

    def cancel_neighbours(self) -> None:
        """The user does something: what was encoded for later makes room."""
        self._engine.cancel(self._neighbours_key)

    def _segment_box(self, roi: Roi, plane: SlicePlane, roi_node: Any, *, correct: bool) -> None:
        nodes, settings = self._need_nodes(), self._events.settings()
        roi_id = roi_node.GetID()
        request = self._request(nodes, settings, roi, (plane,))

        def done(answers: list[PromptAnswer]) -> None:
            self._remember_window(roi_id, answers[0])
            if self._events.nodes() != nodes:
                return
            edits = self._edits(nodes.segment_id, answers[0], settings.mode, nodes)
            last = self._last_box
            if correct and last is not None and last.nodes == nodes and last.added is not None:
                edits.insert(0, SegmentEdit(nodes.segment_id, last.added, EditMode.SUBTRACT))
            block = answers[0].block and on_reference_grid(answers[0].block, nodes.segmentation)
            before = None if block is None else segment_mask(nodes.segmentation, nodes.segment_id, block)
            if correct and last is not None and last.added is not None and block is not None and before is not None:
                # What the same box had added counts as not there: it would go again with the next correction.
                before = before & ~_overlap(last.added, block)
            results = self._writer.write(edits)
            _tag(nodes, nodes.segment_id, roi, answers[0], settings)
            self._last_box = _LastBox(nodes, self._added(nodes, block, before))
            self._events.written(Written(results, answers, _names(nodes, [nodes.segment_id])))

        self._submit(settings, [request], done)

    def _submit(
        self,
        settings: EffectSettings,
        requests: list[PromptRequest],
        done: Callable[[list[PromptAnswer]], None],
        *,
        whole: bool = False,
    ) -> None:
        self._make_room()

        def guarded(answers: list[PromptAnswer]) -> None:
            try:
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

    def _make_room(self) -> None:
        self.cancel_preview()
        self._engine.cancel(self._ahead_key)
        self.cancel_neighbours()

    def _told(self, parts: int, total: int, _doing: str) -> None:
        self._events.progress(parts, total)

    def _request(
        self, nodes: EditorNodes, settings: EffectSettings, roi: Roi, planes: tuple[SlicePlane, ...]
    ) -> PromptRequest:
        if not nodes.segmentation.GetSegmentation().GetConversionParameter("Reference image geometry"):
            # Made from surfaces, or empty: its voxels will be the volume's, as with Slicer's own effects.
            nodes.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(nodes.volume)
        return PromptRequest(
            volume=self._need_volume(nodes),
            planes=planes,
            roi=roi.box,
            window=settings.window_for(nodes.volume),
            options=settings.mask_options,
        )

    def _edits(self, segment_id: str, answer: PromptAnswer, mode: str, nodes: EditorNodes) -> list[SegmentEdit]:
        edit_mode = EditMode(mode)
        if edit_mode is not EditMode.REPLACE:
            return [SegmentEdit(segment_id, answer.block, edit_mode)]
        import numpy as np

        grid = self._need_volume(nodes).geometry
        regions = [
            block_from_plane_mask(np.ones(each.plane.shape_hw, dtype=bool), each.plane, grid) for each in answer.slices
        ]
        blocks = [region for region in regions if region is not None]
        region = MaskBlock.union(blocks) if blocks else None
        return [SegmentEdit(segment_id, answer.block, edit_mode, region)]

    def _added(self, nodes: EditorNodes, block: MaskBlock | None, before: Any) -> MaskBlock | None:
        """The voxels of a block that the segment has now and had not before."""
        if block is None:
            return None
        after = segment_mask(nodes.segmentation, nodes.segment_id, block)
        return MaskBlock(after & ~before, block.extent_ijk, block.grid).trimmed()

    def _plane_of_pose(self, pose: Any) -> SlicePlane:
        volume = self._need_volume(self._need_nodes())
        return plane_of_view(pose, volume.geometry, layer_tolerance=NEAREST_LAYER)

    def _need_nodes(self) -> EditorNodes:
        nodes = self._events.nodes()
        if nodes is None:
            raise InvalidPromptError("Choose a source volume, a segmentation and a segment first.")
        return nodes

    def _need_volume(self, nodes: EditorNodes) -> Volume:
        """The source volume's voxels, not copied. Kept while nothing changes, for what it has found out about them."""
        image, transform = nodes.volume.GetImageData(), nodes.volume.GetParentTransformNode()
        stamp = (
            nodes.volume,
            image.GetMTime() if image is not None else 0,
            nodes.volume.GetMTime(),
            transform.GetTransformToWorldMTime() if transform is not None else 0,
        )
        if self._volume is None or self._volume[0] != stamp:
            self._volume = (stamp, volume_from_node(nodes.volume))
        return self._volume[1]


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


def _overlap(part: MaskBlock, of: MaskBlock) -> Any:
    """Where a block's voxels are another one's: bool of the other one's shape."""
    import numpy as np

    whole = MaskBlock.union([part, MaskBlock(np.zeros_like(of.mask_kji), of.extent_ijk, of.grid)])
    first = [of.extent_ijk[2 * axis] - whole.extent_ijk[2 * axis] for axis in (2, 1, 0)]
    return whole.mask_kji[tuple(slice(low, low + size) for low, size in zip(first, of.mask_kji.shape, strict=True))]
