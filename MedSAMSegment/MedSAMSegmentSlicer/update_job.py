"""After a person has corrected slices of a structure: the slices between them follow, in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.correction_job import corrected_slices, update_between, update_edits
from MedSAMSegmentSlicer.image_in_use import ImageInUse, need_in_scene
from MedSAMSegmentSlicer.inference_worker import Job
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.roi_job import RoiJobResult, result_row
from MedSAMSegmentSlicer.segment_block import segment_block


def start_update_job(
    run: BackgroundRun[RoiJobResult], scene: Any, result: RoiJobResult, save_state: Callable[[Any], None] | None = None
) -> None:
    """Find the slices that were painted on since the result was written, and update those between them.

    Args:
        run: where it runs, and who is told the new result after the segments were written.
        scene: ``vtkMRMLScene`` of all nodes.
        result: of `start_roi_job`, or of this function.
        save_state: called with the segmentation before it is changed, so that a user can undo what is done to it.

    Raises:
        InvalidOptionError: a node is gone, or no slice was corrected.
    """
    job, segmentation = result.job, result.segmentation
    if not (scene.IsNodePresent(job.volume) and scene.IsNodePresent(segmentation)):
        raise InvalidOptionError("The volume or the segmentation is not in the scene any more. Segment the ROIs again.")
    image = ImageInUse(job.volume)
    volume = image.volume
    work = []
    for row in result.rows:
        if segmentation.GetSegmentation().GetSegment(row.segment_id) is None:
            continue
        now = segment_block(segmentation, row.segment_id)
        keys = corrected_slices(row.structure, row.written, now, volume.geometry)
        known = {slice_result.position_mm for slice_result in row.structure.slices if slice_result.is_key}
        if any(key_slice.position_mm not in known for key_slice in keys):
            work.append((row, keys))
    if not work:
        raise InvalidOptionError("No slice was corrected. Paint or erase on a slice first, with any effect.")

    def compute(task: Job) -> list[Structure]:
        segmenter = run.engine.segmenter(job.choice)
        structures = []
        for n, (row, keys) in enumerate(work):

            def told(share: float, doing: str, n: int = n) -> None:
                task.report(round(1000 * (n + share) / len(work)), 1000, doing)

            structures.append(
                update_between(
                    row.structure,
                    volume,
                    segmenter.model,
                    keys,
                    mask_options=job.options,
                    cache=segmenter.cache,
                    progress=told,
                    cancelled=task.cancelled,
                )
            )
        return structures

    def write(structures: list[Structure]) -> RoiJobResult:
        need_in_scene(scene, job.volume, segmentation)
        image.check()
        if save_state is not None:
            save_state(segmentation)
        updated = {}
        with logic_segment_writer(scene, segmentation, job.volume) as writer:
            edits = []
            for (row, _), structure in zip(work, structures, strict=True):
                edits += update_edits(row.segment_id, row.structure, structure, volume.geometry)
            added: dict[str, int] = {}
            for written in writer.write(edits):
                added[written.segment_id] = added.get(written.segment_id, 0) + written.added
            for (row, _), structure in zip(work, structures, strict=True):
                updated[row.segment_id] = result_row(
                    job,
                    segmentation,
                    row.segment_id,
                    structure,
                    added=added.get(row.segment_id, 0),
                    is_new=False,
                )
        return replace(result, rows=[updated.get(row.segment_id, row) for row in result.rows])

    run.start(compute, write)
