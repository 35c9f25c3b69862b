"""Segments of a scene grow by whole slices, and can be taken back."""

import threading

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.growth_job import GrowthJob, start_growth_job
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from MedSAMSegmentSlicer.waiting import result_of
from support.mrml import block, filled, parent_transform
from support.rotations import pose, rotation
from support.threshold_model import ThresholdModel

ORANGE = (0.9, 0.5, 0.1)
SHAPE = (8, 10, 12)
BRIGHT = (slice(2, 8), slice(0, 10), slice(6, 12))
"""What is bright on the desk from column 6 on; the segment starts as part of it."""
OPTIONS = {"window": "50,100", "plane": "axial"}


@pytest.fixture
def writer(desk):
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as made:
        yield made


@pytest.fixture
def segment_id(desk, writer):
    made = writer.add_segment("Lesion", ORANGE)
    writer.write([SegmentEdit(made, block(desk.volume.geometry, slice(3, 5), slice(2, 7), slice(6, 10)))])
    return made


@pytest.fixture
def engine():
    made = InferenceEngine(lambda choice: ThresholdModel())
    yield made
    made.close()


def grown(engine, desk, writer, segment_id, **options):
    job = GrowthJob(desk.volume_node, desk.segmentation, segment_id, **OPTIONS, **options)
    return result_of(engine, lambda run: start_growth_job(run, writer, job))


def test_the_new_slices_join_the_segment_and_one_undo_takes_them_all_back(engine, desk, writer, segment_id):
    before = desk.voxels(segment_id)
    growth = grown(engine, desk, writer, segment_id, below=2, above=1)
    after = desk.voxels(segment_id)
    np.testing.assert_array_equal(after[3:5], before[3:5])
    assert after.sum() - before.sum() == growth.block.voxel_count
    assert {int(k) for k in np.argwhere(after)[:, 0]} == {1, 2, 3, 4, 5}
    # The box of the mask, one pixel wider, as far as the volume is bright there.
    np.testing.assert_array_equal(after[5], filled(SHAPE, slice(5, 6), slice(1, 8), slice(6, 11))[5])
    writer.undo()
    np.testing.assert_array_equal(desk.voxels(segment_id), before)


def test_volume_and_segment_under_a_transform_grow_alike(engine, desk, writer, segment_id):
    for node in (desk.volume_node, desk.segmentation):
        parent_transform(desk.scene, node, pose(rotation(0, 0, 20), origin=(11, -7, 3)))
    grown(engine, desk, writer, segment_id)
    np.testing.assert_array_equal(desk.voxels(segment_id)[5], filled(SHAPE, slice(5, 6), slice(1, 8), slice(6, 11))[5])


def test_cancelling_writes_nothing(desk, writer, segment_id):
    before = desk.voxels(segment_id)
    outcomes = []

    class Cancelling(ThresholdModel):
        def encode(self, slices, *, cancelled=None):
            wanted.wait()  # until somebody cancels
            return super().encode(slices)

    wanted = threading.Event()
    engine = InferenceEngine(lambda choice: Cancelling())
    job = GrowthJob(desk.volume_node, desk.segmentation, segment_id, below=2, **OPTIONS)
    start_growth_job(BackgroundRun(engine, "grow", outcomes.append, outcomes.append), writer, job)
    engine.cancel("grow")
    wanted.set()
    while engine.is_busy:
        engine.poll()
    engine.close()
    assert outcomes == []
    np.testing.assert_array_equal(desk.voxels(segment_id), before)


def test_a_segment_that_is_deleted_meanwhile_gets_nothing(engine, desk, writer, segment_id):
    outcomes = []
    job = GrowthJob(desk.volume_node, desk.segmentation, segment_id, **OPTIONS)
    start_growth_job(BackgroundRun(engine, "grow", outcomes.append, outcomes.append), writer, job)
    desk.segmentation.GetSegmentation().RemoveSegment(segment_id)
    while engine.is_busy:
        engine.poll()
    assert outcomes == []
    assert desk.segmentation.GetSegmentation().GetNumberOfSegments() == 0


def test_nothing_to_grow_to_leaves_no_undo_state(engine, desk, writer):
    segment_id = writer.add_segment("Top", ORANGE)
    writer.write([SegmentEdit(segment_id, block(desk.volume.geometry, slice(7, 8), slice(2, 7), slice(6, 10)))])
    growth = grown(engine, desk, writer, segment_id, below=0, above=2)
    assert growth.block is None
    assert growth.ended_above
    writer.undo()  # of the first write: there is no other
    assert desk.voxels(segment_id).sum() == 0


def test_an_empty_segment_is_refused_by_name(engine, desk, writer):
    with pytest.raises(InvalidPromptError, match=r"Empty.*is empty"):
        grown(engine, desk, writer, writer.add_segment("Empty", ORANGE))


def test_an_image_that_is_moved_while_a_segment_grows_leaves_the_segment_as_it_was(engine, desk, writer, segment_id):
    before = desk.voxels(segment_id)
    outcomes = []
    job = GrowthJob(desk.volume_node, desk.segmentation, segment_id, **OPTIONS)
    start_growth_job(BackgroundRun(engine, "grow", outcomes.append, outcomes.append), writer, job)
    desk.volume_node.SetOrigin(3.0, 0.0, 0.0)
    while engine.is_busy:
        engine.poll()
    (error,) = outcomes
    assert isinstance(error, InvalidImageError)
    desk.volume_node.SetOrigin(0.0, 0.0, 0.0)
    np.testing.assert_array_equal(desk.voxels(segment_id), before)
