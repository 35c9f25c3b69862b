"""Grow a segment of a scene to the slices beside it, in the background."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from MedSAMSegmentLib.errors import CancelledError, InvalidPromptError
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.propagation.growth import Growth, grow
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.image_in_use import ImageInUse
from MedSAMSegmentSlicer.inference_engine import ModelChoice
from MedSAMSegmentSlicer.inference_worker import Job
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_writer import SegmentEdit, SegmentWriter


@dataclass(frozen=True)
class GrowthJob:
    """What to grow, and how far.

    Attributes:
        volume: ``vtkMRMLScalarVolumeNode`` that is looked at.
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: not its name.
        choice: model, device, precision.
        below: slices to the left, posterior or inferior side.
        above: slices to the right, anterior or superior side.
        plane: ``auto``, ``axial``, ``sagittal`` or ``coronal``.
        window: rule of `MedSAMSegmentLib.intensity.rules`.
        options: from logits to a mask.
    """

    volume: Any
    segmentation: Any
    segment_id: str
    choice: ModelChoice = field(default_factory=ModelChoice)
    below: int = 1
    above: int = 1
    plane: str = "auto"
    window: str = "auto"
    options: MaskOptions = field(default_factory=MaskOptions)


def start_growth_job(run: BackgroundRun[Growth], writer: SegmentWriter, job: GrowthJob) -> None:
    """Add to a segment what the model finds of it on the next slices: one undo state, none if nothing is found.

    The slices that the segment has already are not changed.

    Args:
        run: where it runs, and who is told.
        writer: for the job's segmentation.
        job: what to do.

    Raises:
        InvalidPromptError: the segment is empty.
        InvalidImageError: a parent transform is not linear.
    """
    segments = job.segmentation.GetSegmentation()
    block = segment_block(job.segmentation, job.segment_id)
    if block is None:
        name = segments.GetSegment(job.segment_id).GetName()
        raise InvalidPromptError(f"The segment {name!r} is empty: segment or paint it on one slice first.")
    image = ImageInUse(job.volume)

    def compute(task: Job) -> Growth:
        segmenter = run.engine.segmenter(job.choice)
        return grow(
            image.volume,
            block,
            segmenter.model,
            below=job.below,
            above=job.above,
            orientation=job.plane,
            window_rule=job.window,
            mask_options=job.options,
            cache=segmenter.cache,
            progress=lambda share, doing: task.report(round(1000 * share), 1000, doing),
            cancelled=task.cancelled,
        )

    def write(growth: Growth) -> Growth:
        if job.segmentation.GetScene() is None or segments.GetSegment(job.segment_id) is None:
            raise CancelledError("The segment is gone. Nothing was written.")
        image.check()
        if growth.block is not None:
            writer.write([SegmentEdit(job.segment_id, growth.block)])
        return growth

    run.start(compute, write)
