"""What the module's button does, from a script: markups of a scene to segments of it."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOptionError, InvalidPromptError, SegmentWriteError
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.roi_job import RoiJob, measured_again, run_roi_job, start_roi_job
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from support.mrml import block, filled
from support.threshold_model import ThresholdModel

SHAPE = (8, 10, 12)


@pytest.fixture
def engine():
    made = InferenceEngine(lambda choice: ThresholdModel())
    yield made
    made.close()


def markup(desk, kind, *points):
    node = desk.scene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", "Target")
    node.CreateDefaultDisplayNodes()
    for point in points:
        node.AddControlPoint(*point)
    return node


def test_a_line_will_do_where_an_roi_is_asked_for(desk, engine):
    # A diameter of 4 mm about (8, 5, 6) mm: voxels 6–10, 3–7 and 2–4 along I, J and K, all of them bright.
    line = markup(desk, "Line", (6, 5, 6), (10, 5, 6))
    job = RoiJob(desk.volume_node, (line,), desk.segmentation, window="50,100", plane="axial", level="fast")
    (row,) = run_roi_job(desk.scene, job, engine).rows
    held = desk.voxels(row.segment_id)
    cube = filled(SHAPE, slice(2, 5), slice(3, 8), slice(6, 11))
    assert held.any()
    assert not (held & ~cube).any()
    assert (row.measured.image, row.name, row.measured.slices) == ("CT", "Target", 3)
    assert row.volume_ml == pytest.approx(np.count_nonzero(held) * 2 / 1000)


def test_a_point_will_not(desk, engine):
    job = RoiJob(desk.volume_node, (markup(desk, "Fiducial", (6, 5, 6)),), desk.segmentation)
    with pytest.raises(InvalidPromptError, match="Target"):
        run_roi_job(desk.scene, job, engine)


def test_an_image_that_is_edited_while_it_is_segmented_changes_nothing(desk, engine):
    line = markup(desk, "Line", (6, 5, 6), (10, 5, 6))
    job = RoiJob(desk.volume_node, (line,), desk.segmentation, window="50,100", plane="axial", level="fast")
    outcomes = []
    start_roi_job(BackgroundRun(engine, "roi", outcomes.append, outcomes.append), desk.scene, job)
    desk.volume_node.GetImageData().Modified()
    while engine.is_busy:
        engine.poll()
    (error,) = outcomes
    assert isinstance(error, InvalidImageError)
    assert "changed" in str(error)
    assert desk.segmentation.GetSegmentation().GetNumberOfSegments() == 0


def test_a_segmentation_that_is_removed_meanwhile_is_named(desk, engine):
    line = markup(desk, "Line", (6, 5, 6), (10, 5, 6))
    job = RoiJob(desk.volume_node, (line,), desk.segmentation, window="50,100", plane="axial", level="fast")
    outcomes = []
    start_roi_job(BackgroundRun(engine, "roi", outcomes.append, outcomes.append), desk.scene, job)
    desk.scene.RemoveNode(desk.segmentation)
    while engine.is_busy:
        engine.poll()
    (error,) = outcomes
    assert isinstance(error, InvalidOptionError)
    assert "'Segmentation' was removed" in str(error)
    assert desk.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def roi(desk, name, center, size):
    node = desk.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.CreateDefaultDisplayNodes()
    node.SetCenter(center)
    node.SetSize(size)
    return node


def test_rois_that_overlap_take_nothing_from_each_other(desk, engine):
    # Both hold the bright columns 7 to 10; each ROI alone would find the same in its own slices.
    rois = (roi(desk, "A", (8, 5, 6), (8, 8, 8)), roi(desk, "B", (8, 5, 8), (8, 8, 8)))
    options = {"window": "50,100", "plane": "axial", "level": "fast"}
    alone = [run_roi_job(desk.scene, RoiJob(desk.volume_node, (each,), None, **options), engine) for each in rois]
    together = run_roi_job(desk.scene, RoiJob(desk.volume_node, rois, desk.segmentation, **options), engine)
    for row, single in zip(together.rows, alone, strict=True):
        assert row.voxels == single.rows[0].voxels == np.count_nonzero(desk.voxels(row.segment_id)) > 0
    shared = desk.voxels(together.rows[0].segment_id) & desk.voxels(together.rows[1].segment_id)
    assert shared.any()


def test_a_run_whose_second_segment_cannot_be_written_leaves_nothing(desk, engine, monkeypatch):
    from MedSAMSegmentSlicer import logic_segment_writer as writers

    rois = (roi(desk, "A", (8, 5, 6), (8, 8, 8)), roi(desk, "B", (8, 5, 8), (8, 8, 8)))
    job = RoiJob(desk.volume_node, rois, desk.segmentation, window="50,100", plane="axial", level="fast")
    before = run_roi_job(desk.scene, RoiJob(job.volume, rois[:1], desk.segmentation, window="50,100"), engine).rows[0]
    held = desk.voxels(before.segment_id)
    rois[0].SetSize([10.0, 8.0, 14.0])
    check_taken, calls = writers.check_taken, []

    def fails_at_the_second(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise SegmentWriteError("The disk of the test is full.")
        check_taken(*arguments, **options)

    monkeypatch.setattr(writers, "check_taken", fails_at_the_second)
    with pytest.raises(SegmentWriteError, match="of the test"):
        run_roi_job(desk.scene, job, engine)
    assert desk.segmentation.GetSegmentation().GetNumberOfSegments() == 1
    np.testing.assert_array_equal(desk.voxels(before.segment_id), held)
    calls.clear()
    with pytest.raises(SegmentWriteError, match="of the test"):
        run_roi_job(desk.scene, RoiJob(job.volume, rois, None, window="50,100", plane="axial", level="fast"), engine)
    assert desk.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_what_was_measured_follows_the_segment(desk, engine):
    job = RoiJob(desk.volume_node, (roi(desk, "A", (8, 5, 6), (8, 8, 8)),), desk.segmentation, window="50,100")
    result = run_roi_job(desk.scene, job, engine)
    (row,) = result.rows
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        everything = block(desk.volume.geometry, slice(0, 8), slice(0, 10), slice(0, 12))
        writer.write([SegmentEdit(row.segment_id, everything)])
    desk.segmentation.GetSegmentation().GetSegment(row.segment_id).SetName("All")
    (now,) = measured_again(result).rows
    # 12 × 10 × 8 voxels of 2 mm³.
    assert (now.name, now.voxels, now.volume_ml) == ("All", 960, pytest.approx(1.92))
    assert now.added == row.added
    desk.segmentation.GetSegmentation().RemoveSegment(row.segment_id)
    assert measured_again(result).rows == []
