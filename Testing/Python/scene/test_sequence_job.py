"""One ROI on every frame of a sequence: a bright sphere that grows from frame to frame."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import slicer

from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.matrices import to_vtk
from MedSAMSegmentSlicer.provenance import read_tags
from MedSAMSegmentSlicer.roi_job import RoiJob
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segmentation_sequence import browser_of, sequence_measured_again
from MedSAMSegmentSlicer.sequence_job import start_sequence_job
from MedSAMSegmentSlicer.volume_nodes import add_volume_node
from MedSAMSegmentSlicer.waiting import result_of
from support.mrml import parent_transform
from support.rotations import pose, rotation
from support.shapes import Sphere, voxel_centers_ras
from support.threshold_model import ThresholdModel

CENTER = np.array([4.0, -6.0, 20.0])
RADII_MM = (7.0, 8.5, 10.0)
TIMES = ("0", "1.5", "3")
ORANGE = (0.9, 0.5, 0.1)
GEOMETRY = VolumeGeometry((14, 30, 32), np.array([[1.0, 0, 0, -12], [0, 1, 0, -20], [0, 0, 2, 7], [0, 0, 0, 1]]))
OPTIONS = {"window": "50,100", "level": "fast"}


def sphere(radius_mm):
    return Sphere(CENTER, radius_mm).contains(voxel_centers_ras(GEOMETRY))


@pytest.fixture
def engine():
    made = InferenceEngine(lambda choice: ThresholdModel())
    yield made
    made.close()


@pytest.fixture(autouse=True)
def player(scene):
    """Slicer's own logic: shows the frame that a browser selects."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene.mrml)
    return logic


def add_sequence(scene, player, name, nodes):
    """A sequence and the node in which a browser shows it."""
    sequence = scene.mrml.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for time, node in zip(TIMES, nodes, strict=True):
        sequence.SetDataNodeAtValue(node, time)
        scene.mrml.RemoveNode(node)
    browser = scene.mrml.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Player")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    player.UpdateProxyNodesFromSequences(browser)
    return browser.GetProxyNode(sequence)


@pytest.fixture
def perfusion(scene, player):
    """The volume node that shows the sequence."""
    frames = [
        add_volume_node(scene.mrml, Volume((sphere(radius) * 100).astype(np.int16), GEOMETRY), "Frame")
        for radius in RADII_MM
    ]
    return add_sequence(scene, player, "Perfusion", frames)


def add_roi(scene, name, size_mm, world=None):
    node = scene.mrml.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSelectedColor(*ORANGE)
    node.SetAndObserveObjectToNodeMatrix(to_vtk((np.eye(4) if world is None else world) @ pose(np.eye(3), CENTER)))
    node.SetSize(size_mm, size_mm, size_mm)
    return node


@pytest.fixture
def roi(scene):
    return add_roi(scene, "Lesion", 22.0)


def segmented(engine, volume_node, *rois, progress=None):
    job = RoiJob(volume_node, rois, **OPTIONS)
    return result_of(engine, lambda run: start_sequence_job(replace(run, progress=progress), job))


def nodes_of(scene):
    return {scene.mrml.GetNthNode(n).GetID() for n in range(scene.mrml.GetNumberOfNodes())}


def whole(block):
    """A segment on the frames' grid, found by the place of its voxels."""
    mask = np.zeros(GEOMETRY.shape_kji, dtype=bool)
    inside = np.argwhere(block.mask_kji)[:, ::-1]
    points = inside @ block.geometry.ijk_to_ras[:3, :3].T + block.geometry.ijk_to_ras[:3, 3]
    ijk = np.round(points @ GEOMETRY.ras_to_ijk[:3, :3].T + GEOMETRY.ras_to_ijk[:3, 3]).astype(int)
    mask[tuple(ijk.T[::-1])] = True
    return mask


def test_every_frame_gets_its_own_sphere(engine, perfusion, roi):
    made = segmented(engine, perfusion, roi).sequence
    assert made.GetScene() is not None
    assert made.GetNumberOfDataNodes() == len(TIMES)
    for n, (time, radius) in enumerate(zip(TIMES, RADII_MM, strict=True)):
        assert made.GetNthIndexValue(n) == time
        segmentation = made.GetNthDataNode(n)
        segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
        np.testing.assert_array_equal(whole(segment_block(segmentation, segment_id)), sphere(radius))


def test_the_new_sequence_counts_its_frames_as_the_volumes_do(scene, engine, perfusion, roi):
    made = segmented(engine, perfusion, roi).sequence
    assert (made.GetIndexName(), made.GetIndexUnit()) == ("time", "s")
    assert made.GetIndexType() == browser_of(perfusion).GetSequenceNode(perfusion).GetIndexType()
    assert made.GetName() == "Perfusion segmentation"
    assert made.GetDataNodeClassName() == "vtkMRMLSegmentationNode"


def test_the_browser_that_plays_the_volumes_plays_the_segmentations_along(engine, perfusion, roi):
    shown = segmented(engine, perfusion, roi).shown
    assert shown.GetDisplayNode() is not None
    browser = browser_of(perfusion)
    for n, radius in enumerate(RADII_MM):
        browser.SetSelectedItemNumber(n)
        segment_id = shown.GetSegmentation().GetNthSegmentID(0)
        np.testing.assert_array_equal(whole(segment_block(shown, segment_id)), sphere(radius))


def test_rois_that_overlap_take_nothing_from_each_other_at_any_time_point(scene, engine, perfusion, roi):
    made = segmented(engine, perfusion, roi, add_roi(scene, "Same", 22.0)).sequence
    for n, radius in enumerate(RADII_MM):
        segmentation = made.GetNthDataNode(n)
        for m in range(2):
            segment_id = segmentation.GetSegmentation().GetNthSegmentID(m)
            np.testing.assert_array_equal(whole(segment_block(segmentation, segment_id)), sphere(radius))


def test_the_table_follows_what_is_edited_at_a_time_point(engine, perfusion, roi):
    result = segmented(engine, perfusion, roi)
    first, second, third = (result.sequence.GetNthDataNode(n).GetSegmentation() for n in range(3))
    first.GetNthSegment(0).SetName("Renamed")
    second.RemoveSegment(second.GetNthSegmentID(0))
    third.GetNthSegment(0).GetRepresentation("Binary labelmap").GetPointData().GetScalars().Fill(0)
    rows = sequence_measured_again(result).rows
    assert [(row.image, row.segment) for row in rows] == [("Perfusion 0", "Renamed"), ("Perfusion 3", "Lesion")]
    assert rows[0].volume_ml == result.rows[0].volume_ml
    assert rows[1].volume_ml == 0.0


def test_a_structure_is_the_same_segment_in_every_frame_and_says_what_made_it(scene, engine, perfusion, roi):
    made = segmented(engine, perfusion, roi, add_roi(scene, "Spot", 6.0)).sequence
    seen = []
    for n in range(len(TIMES)):
        segments = made.GetNthDataNode(n).GetSegmentation()
        seen.append([segments.GetNthSegmentID(m) for m in range(segments.GetNumberOfSegments())])
        first = segments.GetNthSegment(0)
        assert first.GetName() == "Lesion"
        assert first.GetColor() == pytest.approx(ORANGE)
        assert read_tags(first).model == "threshold"
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 2


def test_the_table_follows_the_volume_through_time(engine, perfusion, roi):
    rows = segmented(engine, perfusion, roi).rows
    assert [row.image for row in rows] == [f"Perfusion {time}" for time in TIMES]
    expected = [4 / 3 * np.pi * radius**3 / 1000 for radius in RADII_MM]
    np.testing.assert_allclose([row.volume_ml for row in rows], expected, rtol=0.05)


def test_the_transform_of_the_volume_that_shows_the_sequence_moves_the_frames(scene, engine, perfusion):
    world = pose(rotation(0, 0, 90), origin=(100, 0, 0))
    parent_transform(scene.mrml, perfusion, world)
    result = segmented(engine, perfusion, add_roi(scene, "Lesion", 22.0, world))
    segmentation = result.sequence.GetNthDataNode(1)
    # In the sequence's own coordinates: the node that shows it is under the same transform as the volume.
    block = segment_block(segmentation, segmentation.GetSegmentation().GetNthSegmentID(0))
    np.testing.assert_array_equal(whole(block), sphere(RADII_MM[1]))
    assert result.shown.GetTransformNodeID() == perfusion.GetTransformNodeID()


def test_rois_on_the_same_slices_share_what_was_encoded_of_them(scene, perfusion, roi):
    def passes(*rois):
        model = ThresholdModel()
        engine = InferenceEngine(lambda choice: model)
        segmented(engine, perfusion, *rois)
        engine.close()
        return len(model.encoded)

    assert passes(roi, add_roi(scene, "The same again", 22.0)) == passes(roi)


def test_the_progress_runs_through_all_frames(engine, perfusion, roi):
    told = []
    segmented(engine, perfusion, roi, progress=lambda *args: told.append(args))
    shares = [parts / total for parts, total, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] <= 1.0
    assert all(text.startswith("Time point ") and " of 3: " in text for _, _, text in told)


def test_cancelling_leaves_the_scene_as_it_was(scene, perfusion, roi):
    begun, wanted = threading.Event(), threading.Event()

    class Waiting(ThresholdModel):
        def encode(self, slices, *, cancelled=None):
            begun.set()
            wanted.wait()
            return super().encode(slices)

    model, before, outcomes = Waiting(), nodes_of(scene), []
    engine = InferenceEngine(lambda choice: model)
    run = BackgroundRun(engine, "time", outcomes.append, outcomes.append)
    start_sequence_job(run, RoiJob(perfusion, (roi,), **OPTIONS))
    begun.wait()
    engine.cancel("time")
    wanted.set()
    while engine.is_busy:
        engine.poll()
    engine.close()
    assert outcomes == []
    assert nodes_of(scene) == before
    assert len(model.encoded) < 3 * 11


def test_a_finished_job_adds_the_sequence_and_what_shows_it(scene, engine, perfusion, roi):
    before = nodes_of(scene)
    result = segmented(engine, perfusion, roi)
    added = nodes_of(scene) - before
    assert {result.sequence.GetID(), result.shown.GetID(), result.shown.GetDisplayNodeID()} <= added
    assert len(added) == 4  # and its storage node


def test_an_roi_outside_of_a_frame_is_refused_with_the_frames_number(scene, engine, perfusion):
    away = add_roi(scene, "Away", 10.0, pose(np.eye(3), origin=(900, 0, 0)))
    before = nodes_of(scene)
    with pytest.raises(InvalidPromptError, match=r"Time point 1 of 3.*outside"):
        segmented(engine, perfusion, away)
    assert nodes_of(scene) == before


def test_a_volume_that_shows_no_sequence_is_refused(scene, engine, roi):
    alone = add_volume_node(scene.mrml, Volume(np.zeros(GEOMETRY.shape_kji, np.int16), GEOMETRY), "Still")
    with pytest.raises(InvalidImageError, match="Still"):
        segmented(engine, alone, roi)


def test_a_sequence_of_other_nodes_is_refused(scene, player, engine, roi):
    poses = add_sequence(
        scene, player, "Poses", [scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode") for _ in TIMES]
    )
    with pytest.raises(InvalidImageError, match=r"Poses.*not volumes"):
        segmented(engine, poses, roi)


def test_no_roi_is_refused(engine, perfusion):
    with pytest.raises(InvalidPromptError, match="no ROI"):
        segmented(engine, perfusion)


def test_what_is_corrected_at_a_time_point_is_kept_there(engine, perfusion, roi):
    result = segmented(engine, perfusion, roi)
    browser = browser_of(perfusion)
    browser.SetSelectedItemNumber(1)
    result.shown.GetSegmentation().GetNthSegment(0).SetName("Corrected")
    result.shown.Modified()
    browser.SetSelectedItemNumber(2)
    names = [result.sequence.GetNthDataNode(n).GetSegmentation().GetNthSegment(0).GetName() for n in range(3)]
    assert names == ["Lesion", "Corrected", "Lesion"]
