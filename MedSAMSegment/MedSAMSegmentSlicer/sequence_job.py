"""ROIs applied to every frame of a time sequence, in the background: a sequence of segmentations comes back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentLib.propagation.structure import segment_structure
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.image_in_use import need_in_scene
from MedSAMSegmentSlicer.inference_worker import Job
from MedSAMSegmentSlicer.matrices import node_to_world
from MedSAMSegmentSlicer.roi_job import RoiJob
from MedSAMSegmentSlicer.roi_sources import roi_from_markup
from MedSAMSegmentSlicer.segmentation_sequence import (
    Frame,
    SequenceResult,
    add_segmentation_sequence,
    browser_of,
    frames_of,
)


def start_sequence_job(run: BackgroundRun[SequenceResult], job: RoiJob) -> None:
    """Segment what the ROIs surround in every frame; the scene gets the result when all of it is there.

    The window is chosen for each frame as for a volume of its own.

    Args:
        run: where it runs, and who is told after the new sequence was added to the scene, and to the browser.
        job: its volume is the node in which a browser shows the sequence; its segmentation is not used.

    Raises:
        InvalidImageError: the volume shows no sequence, or the sequence holds something else than volumes.
        InvalidPromptError: there is no ROI, or one cannot be used.
    """
    if not job.rois:
        raise InvalidPromptError("There is no ROI. Place one around the structure: module Markups, ROI.")
    scene, browser = job.volume.GetScene(), browser_of(job.volume)
    if browser is None:
        raise InvalidImageError(
            f"The volume {job.volume.GetName()!r} shows no time points of a sequence. Choose one that a sequence "
            "browser plays."
        )
    rois = [roi_from_markup(node) for node in job.rois]
    sequence = browser.GetSequenceNode(job.volume)
    frames = frames_of(sequence)
    # The parent transform of the node that shows the frames tells where they lie.
    world_to_sequence = np.linalg.inv(node_to_world(job.volume))
    boxes = [OrientedBox(world_to_sequence @ roi.box.object_to_ras, roi.box.size_mm) for roi in rois]

    def compute(task: Job) -> tuple[list[list[Structure]], ModelIdentity]:
        segmenter = run.engine.segmenter(job.choice)
        return _segment_frames(frames, boxes, segmenter, job, task), segmenter.model.identity

    def write(found: tuple[list[list[Structure]], ModelIdentity]) -> SequenceResult:
        need_in_scene(scene, job.volume, sequence, browser)
        return add_segmentation_sequence(browser, job.volume, frames, rois, *found)

    run.start(compute, write)


def _segment_frames(
    frames: Sequence[Frame], boxes: Sequence[OrientedBox], segmenter: Segmenter, job: RoiJob, task: Job
) -> list[list[Structure]]:
    """The structures of every frame, in the boxes' order: numpy in, numpy out, no node is touched.

    Boxes are in the frames' coordinates.
    """
    total = len(frames) * len(boxes)
    structures = []
    for n, frame in enumerate(frames):
        of_frame = []
        for m, box in enumerate(boxes):
            stop_if(task.cancelled)

            def advance(done: float, text: str, before: int = n * len(boxes) + m, number: int = n + 1) -> None:
                task.report(
                    round(1000 * (before + done) / total), 1000, f"Time point {number} of {len(frames)}: {text}"
                )

            try:
                structure = segment_structure(
                    frame.volume,
                    box,
                    segmenter.model,
                    level=job.level,
                    window_rule=job.window,
                    orientation=job.plane,
                    mask_options=job.options,
                    cache=segmenter.cache,
                    progress=advance,
                    cancelled=task.cancelled,
                )
            except InvalidPromptError as error:
                raise InvalidPromptError(f"Time point {n + 1} of {len(frames)}: {error}") from error
            of_frame.append(structure)
        structures.append(of_frame)
    return structures
