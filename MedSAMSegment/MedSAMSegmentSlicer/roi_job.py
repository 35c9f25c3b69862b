"""Segment ROIs of the scene into a segmentation, one segment each: what the module's button does."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from MedSAMSegmentSlicer.waiting import result_of


@dataclass(frozen=True)
class RoiJob:
    """What to segment.

    Attributes:
        volume: ``vtkMRMLScalarVolumeNode``.
        rois: ``vtkMRMLMarkupsROINode`` each, or another markup that `roi_from_markup` takes.
        segmentation: to be continued; a new one if None.
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


@dataclass(frozen=True)
class ResultRow:
    """One segment of the result table.

    Attributes:
        segment_id: not its name.
        voxels: that this job added to it.
        doubtful: slices to look at.
        measured: what the segment holds now; the rows that `add_table_node` and `write_csv` take.
        structure: what is known of each slice.
        written: the segment's voxels right afterwards, to see later what was corrected by hand; None if it is empty.
    """

    segment_id: str
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


def start_roi_job(run: BackgroundRun[RoiJobResult], scene: Any, job: RoiJob) -> None:
    """Segment in the background; nothing is written before all ROIs are done.

    Args:
        run: where it runs, and who is told after the segments were written.
        scene: ``vtkMRMLScene`` of all nodes.
        job: what to do.

    Raises:
        MedSAMSegmentError: a node cannot be used.
    """
    if not job.rois:
        raise InvalidPromptError("There is no ROI. Place one around the structure: module Markups, ROI.")
    rois = [roi_from_markup(node) for node in job.rois]
    image = ImageInUse(job.volume)
    requests = [PromptRequest(image.volume, (), roi.box, job.window, job.options) for roi in rois]

    def write(answers: list[PromptAnswer]) -> RoiJobResult:
        need_in_scene(scene, job.volume, *([] if job.segmentation is None else [job.segmentation]))
        image.check()
        return _write(scene, job, rois, answers)

    run.engine.answer_structures(
        run.key, job.choice, requests, job.level, job.plane, run.ending_with(write), run.failed, run.progress
    )


def run_roi_job(scene: Any, job: RoiJob, engine: InferenceEngine | None = None) -> RoiJobResult:
    """Segment and wait for it: for scripts.

    Raises:
        MedSAMSegmentError: what went wrong.
    """
    return result_of(engine or shared_engine(), lambda run: start_roi_job(run, scene, job))


def _write(scene: Any, job: RoiJob, rois: list[Roi], answers: list[PromptAnswer]) -> RoiJobResult:
    segmentation = job.segmentation
    if segmentation is None:
        name = scene.GenerateUniqueName(f"{job.volume.GetName()} segmentation")
        segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(job.volume)
        transform = job.volume.GetTransformNodeID()
        if transform is not None:
            segmentation.SetAndObserveTransformNodeID(transform)
    with logic_segment_writer(scene, segmentation, job.volume) as writer:
        ids = [writer.add_segment(roi.name, roi.color) for roi in rois]
        edits = [SegmentEdit(segment_id, answer.block) for segment_id, answer in zip(ids, answers, strict=True)]
        written = writer.write(edits)
    rows = []
    for segment_id, roi, answer, result in zip(ids, rois, answers, written, strict=True):
        segment = segmentation.GetSegmentation().GetSegment(segment_id)
        if answer.structure is None:
            raise TypeError("A structure was asked for, and a slice was answered.")
        tag_segment(segment, provenance_of(answer.identity, roi.box, answer.structure))
        rows.append(result_row(job, segmentation, segment_id, answer.structure, result.added))
    return RoiJobResult(job, segmentation, rows)


def result_row(job: RoiJob, segmentation: Any, segment_id: str, structure: Structure, voxels: int) -> ResultRow:
    """What is shown of a segment that has just been written.

    Args:
        job: that it was written for.
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: not its name.
        structure: what was found.
        voxels: that the segment got.
    """
    name = segmentation.GetSegmentation().GetSegment(segment_id).GetName()
    doubtful = tuple(doubtful_slice(each) for each in structure.doubtful_slices)
    block = segment_block(segmentation, segment_id)
    row = measured(job.volume.GetName(), name, block, len(structure.slices), len(doubtful), structure.confidence)
    return ResultRow(segment_id, voxels, doubtful, row, structure, block)
