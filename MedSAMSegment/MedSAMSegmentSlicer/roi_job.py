"""Segment ROIs of the scene into a segmentation, one segment each: what the module's button does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentSlicer.inference_engine import InferenceEngine, ModelChoice, shared_engine
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.prompt_work import PromptAnswer, PromptRequest
from MedSAMSegmentSlicer.provenance import Provenance, describe_box, describe_window, identity_fields, tag_segment
from MedSAMSegmentSlicer.results_table import TableRow, measured
from MedSAMSegmentSlicer.roi_nodes import Roi, roi_from_node
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from MedSAMSegmentSlicer.volume_nodes import volume_from_node

DOUBTFUL_BELOW = 0.7
"""Slices with a lower predicted IoU are put on the review list."""


@dataclass(frozen=True)
class RoiJob:
    """What to segment.

    Attributes:
        volume: ``vtkMRMLScalarVolumeNode``.
        rois: ``vtkMRMLMarkupsROINode`` each.
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
class DoubtfulSlice:
    """A slice to look at: where it is, and the model's estimate."""

    center_ras: tuple[float, float, float]
    normal_ras: tuple[float, float, float]
    predicted_iou: float


@dataclass(frozen=True)
class ResultRow:
    """One segment of the result table.

    Attributes:
        segment_id: not its name.
        voxels: that this job added to it.
        doubtful: slices to look at.
        measured: what the segment holds now; the rows that `add_table_node` and `write_csv` take.
    """

    segment_id: str
    voxels: int
    doubtful: tuple[DoubtfulSlice, ...]
    measured: TableRow

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
    """What a job did: the segmentation node, and a row for each ROI."""

    segmentation: Any
    rows: list[ResultRow]


def start_roi_job(
    engine: InferenceEngine,
    key: str,
    scene: Any,
    job: RoiJob,
    done: Callable[[RoiJobResult], None],
    failed: Callable[[Exception], None],
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Segment in the background; nothing is written before all ROIs are done.

    Args:
        engine: to be polled by the caller.
        key: with which the job can be cancelled.
        scene: ``vtkMRMLScene`` of all nodes.
        job: what to do.
        done: called after the segments were written.
        failed: called with what went wrong.
        progress: told thousandths that are done.

    Raises:
        MedSAMSegmentError: a node cannot be used.
    """
    if not job.rois:
        raise InvalidPromptError("There is no ROI. Place one around the structure: module Markups, ROI.")
    rois = [roi_from_node(node) for node in job.rois]
    volume = volume_from_node(job.volume)
    requests = [PromptRequest(volume, (), roi.box, job.window, job.options) for roi in rois]

    def write(answers: list[PromptAnswer]) -> None:
        try:
            if not scene.IsNodePresent(job.volume):
                return
            if job.segmentation is not None and not scene.IsNodePresent(job.segmentation):
                return
            result = _write(scene, job, rois, answers)
        except Exception as error:
            failed(error)
            return
        done(result)

    engine.answer_structures(key, job.choice, requests, job.level, job.plane, write, failed, progress)


def run_roi_job(scene: Any, job: RoiJob, engine: InferenceEngine | None = None) -> RoiJobResult:
    """Segment and wait for it: for scripts.

    Raises:
        MedSAMSegmentError: what went wrong.
    """
    engine = engine or shared_engine()
    results: list[RoiJobResult] = []
    errors: list[Exception] = []
    key = f"script {id(results)}"
    start_roi_job(engine, key, scene, job, results.append, errors.append)
    while engine.has(key):
        time.sleep(0.01)
        engine.poll()
    if errors:
        raise errors[0]
    return results[0]


def provenance_of(
    identity: ModelIdentity, roi: OrientedBox, answer: PromptAnswer, plane: str, level: str
) -> Provenance:
    """What a segment's tags say."""
    return Provenance(
        **identity_fields(identity),
        prompt=describe_box(roi),
        plane=plane,
        window=describe_window(answer.window),
        level=level,
        predicted_iou=f"{answer.predicted_iou:.3f}",
    )


def _write(scene: Any, job: RoiJob, rois: list[Roi], answers: list[PromptAnswer]) -> RoiJobResult:
    segmentation = job.segmentation
    if segmentation is None:
        segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{job.volume.GetName()} segmentation")
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
        tag_segment(segment, provenance_of(answer.identity, roi.box, answer, job.plane, job.level))
        doubtful = _doubtful(answer)
        block = segment_block(segmentation, segment_id)
        row = measured(
            job.volume.GetName(), segment.GetName(), block, len(answer.slices), len(doubtful), answer.predicted_iou
        )
        rows.append(ResultRow(segment_id, result.added, doubtful, row))
    return RoiJobResult(segmentation, rows)


def _doubtful(answer: PromptAnswer) -> tuple[DoubtfulSlice, ...]:
    return tuple(
        DoubtfulSlice(
            tuple(float(x) for x in _box_center(each)),  # type: ignore[arg-type]
            tuple(float(x) for x in each.plane.normal_ras),  # type: ignore[arg-type]
            each.predicted_iou,
        )
        for each in answer.slices
        if each.predicted_iou < DOUBTFUL_BELOW
    )


def _box_center(answer: Any) -> Any:
    box = answer.box
    return (answer.plane.pixel_to_ras @ ((box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2, 0.0, 1.0))[:3]
