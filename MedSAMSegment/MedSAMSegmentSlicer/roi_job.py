"""Segment ROIs of the scene into a segmentation, one segment each: what the module's button does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.doubtful_slice import DoubtfulSlice, doubtful_slice
from MedSAMSegmentSlicer.image_in_use import ImageInUse, need_in_scene
from MedSAMSegmentSlicer.inference_engine import InferenceEngine, ModelChoice, shared_engine
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.prompt_work import PromptAnswer, PromptRequest
from MedSAMSegmentSlicer.provenance import provenance_of, tag_segment
from MedSAMSegmentSlicer.results_table import TableRow, measured
from MedSAMSegmentSlicer.roi_nodes import Roi
from MedSAMSegmentSlicer.roi_sources import roi_from_markup
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_of_roi import mark_segment, segment_of_roi
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from MedSAMSegmentSlicer.waiting import result_of


@dataclass(frozen=True)
class RoiJob:
    """What to segment.

    Attributes:
        volume: ``vtkMRMLScalarVolumeNode``.
        rois: ``vtkMRMLMarkupsROINode`` each, or another markup that `roi_from_markup` takes.
        segmentation: to be continued: an ROI that was segmented into it before adds to its own segment, and no other
            segment gives way. A new one if None.
        choice: model, device, precision.
        window: rule of `MedSAMSegmentLib.intensity.rules`.
        plane: ``auto``, ``axial``, ``sagittal`` or ``coronal``.
        level: ``auto``, ``fast`` or ``best``.
        options: from logits to a mask.
    """

    volume: Any
    rois: tuple[Any, ...]
    segmentation: Any = None
    choice: ModelChoice = field(default_factory=ModelChoice)
    window: str = "auto"
    plane: str = "auto"
    level: str = "auto"
    options: MaskOptions = field(default_factory=MaskOptions)

    @property
    def nodes(self) -> list[Any]:
        """Without any one of them, what is computed is of no use."""
        return [self.volume, *self.rois, *([] if self.segmentation is None else [self.segmentation])]


@dataclass(frozen=True)
class ResultRow:
    """One segment of the result table.

    Attributes:
        segment_id: not its name.
        added: voxels that this job added to it.
        is_new: this job made the segment; else it continued one.
        voxels: that it holds.
        doubtful: slices to look at.
        measured: what the segment holds; the rows that `add_table_node` and `write_csv` take.
        structure: what is known of each slice.
        written: the segment's voxels right afterwards, to see later what was corrected by hand; None if it is empty.
    """

    segment_id: str
    added: int
    is_new: bool
    voxels: int
    doubtful: tuple[DoubtfulSlice, ...]
    measured: TableRow
    structure: Structure
    written: MaskBlock | None

    @property
    def name(self) -> str:
        return self.measured.segment

    @property
    def volume_ml(self) -> float:
        return self.measured.volume_ml

    @property
    def diameter_mm(self) -> float:
        return self.measured.diameter_mm

    @property
    def perpendicular_mm(self) -> float:
        return self.measured.perpendicular_mm

    @property
    def confidence(self) -> float:
        return self.measured.confidence


@dataclass(frozen=True)
class RoiJobResult:
    """What a job did: the job itself, the segmentation node, and a row for each ROI."""

    job: RoiJob
    segmentation: Any
    rows: list[ResultRow]


def start_roi_job(
    run: BackgroundRun[RoiJobResult], scene: Any, job: RoiJob, save_state: Callable[[Any], None] | None = None
) -> None:
    """Segment in the background; nothing is written before all ROIs are done.

    Args:
        run: where it runs, and who is told after the segments were written.
        scene: ``vtkMRMLScene`` of all nodes.
        job: what to do.
        save_state: called with the segmentation before it is changed, so that a user can undo what is done to it.

    Raises:
        MedSAMSegmentError: a node cannot be used.
    """
    if not job.rois:
        raise InvalidPromptError("There is no ROI. Place one around the structure: module Markups, ROI.")
    rois = [roi_from_markup(node) for node in job.rois]
    image = ImageInUse(job.volume)
    requests = [PromptRequest(image.volume, (), roi.box, job.window, job.options) for roi in rois]

    def write(answers: list[PromptAnswer]) -> RoiJobResult:
        need_in_scene(scene, *job.nodes)
        image.check()
        return _write(scene, job, rois, answers, save_state)

    run.engine.answer_structures(
        run.key, job.choice, requests, job.level, job.plane, run.ending_with(write), run.failed, run.progress
    )


def run_roi_job(scene: Any, job: RoiJob, engine: InferenceEngine | None = None) -> RoiJobResult:
    """Segment and wait for it: for scripts.

    Raises:
        MedSAMSegmentError: what went wrong.
    """
    return result_of(engine or shared_engine(), lambda run: start_roi_job(run, scene, job))


def _write(
    scene: Any,
    job: RoiJob,
    rois: list[Roi],
    answers: list[PromptAnswer],
    save_state: Callable[[Any], None] | None,
) -> RoiJobResult:
    segmentation = job.segmentation or _new_segmentation(scene, job.volume)
    structures = [_structure(answer) for answer in answers]
    if save_state is not None:
        save_state(segmentation)
    ids: list[str] = []
    added: list[str] = []
    with logic_segment_writer(scene, segmentation, job.volume) as writer:
        for node, roi in zip(job.rois, rois, strict=True):
            segment_id = segment_of_roi(segmentation, node, job.volume, ids)
            if segment_id is None:
                segment_id = writer.add_segment(roi.name, roi.color)
                added.append(segment_id)
            ids.append(segment_id)
        edits = [SegmentEdit(segment_id, answer.block) for segment_id, answer in zip(ids, answers, strict=True)]
        try:
            written = writer.write(edits)
        except Exception:
            # All or nothing: what was written before the fault goes again.
            writer.undo()
            for segment_id in added:
                segmentation.GetSegmentation().RemoveSegment(segment_id)
            if segmentation is not job.segmentation:
                scene.RemoveNode(segmentation)
            raise
    rows = []
    for node, roi, segment_id, answer, structure, result in zip(
        job.rois, rois, ids, answers, structures, written, strict=True
    ):
        segment = segmentation.GetSegmentation().GetSegment(segment_id)
        tag_segment(segment, provenance_of(answer.identity, roi.box, structure))
        mark_segment(segment, node, job.volume)
        rows.append(
            result_row(job, segmentation, segment_id, structure, added=result.added, is_new=segment_id in added)
        )
    return RoiJobResult(job, segmentation, rows)


def _structure(answer: PromptAnswer) -> Structure:
    if answer.structure is None:
        raise TypeError("A structure was asked for, and a slice was answered.")
    return answer.structure


def _new_segmentation(scene: Any, volume: Any) -> Any:
    """An empty segmentation on a volume's grid, where the volume is."""
    name = scene.GenerateUniqueName(f"{volume.GetName()} segmentation")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    transform = volume.GetTransformNodeID()
    if transform is not None:
        segmentation.SetAndObserveTransformNodeID(transform)
    return segmentation


def result_row(
    job: RoiJob, segmentation: Any, segment_id: str, structure: Structure, *, added: int, is_new: bool
) -> ResultRow:
    """What is shown of a segment that has just been written.

    Args:
        job: that it was written for.
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: not its name.
        structure: what was found.
        added: voxels that the segment got.
        is_new: it was made for this.
    """
    doubtful = tuple(doubtful_slice(each) for each in structure.doubtful_slices)
    block = segment_block(segmentation, segment_id)
    name = segmentation.GetSegmentation().GetSegment(segment_id).GetName()
    row = _measured(job.volume.GetName(), name, block, structure)
    return ResultRow(segment_id, added, is_new, _count(block), doubtful, row, structure, block)


def measured_again(result: RoiJobResult) -> RoiJobResult:
    """The result with names and measures of the segments as they are now: edited, renamed; removed ones are left out.

    What the model said, and what was written at first, stays.
    """
    segments = result.segmentation.GetSegmentation()
    rows = []
    for row in result.rows:
        segment = segments.GetSegment(row.segment_id)
        if segment is not None:
            block = segment_block(result.segmentation, row.segment_id)
            measures = _measured(row.measured.image, segment.GetName(), block, row.structure)
            rows.append(replace(row, measured=measures, voxels=_count(block)))
    return replace(result, rows=rows)


def _measured(image: str, name: str, block: MaskBlock | None, structure: Structure) -> TableRow:
    return measured(image, name, block, len(structure.slices), len(structure.doubtful_slices), structure.confidence)


def _count(block: MaskBlock | None) -> int:
    return 0 if block is None else block.voxel_count
