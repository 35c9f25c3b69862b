"""What the module's button does, from a script: markups of a scene to segments of it."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOptionError, InvalidPromptError
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.roi_job import RoiJob, run_roi_job, start_roi_job
from support.mrml import filled
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
