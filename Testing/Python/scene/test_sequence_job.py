"""One ROI on every frame of a sequence: a bright sphere that grows from frame to frame."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import CancelledError, InvalidImageError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.provenance import read_tags
from MedSAMSegmentSlicer.roi_nodes import Roi
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.sequence_job import segment_sequence
from MedSAMSegmentSlicer.volume_nodes import add_volume_node
from support.mrml import parent_transform
from support.rotations import pose, rotation
from support.shapes import Sphere, voxel_centers_ras
from support.threshold_model import ThresholdModel

CENTER = np.array([4.0, -6.0, 20.0])
RADII_MM = (7.0, 8.5, 10.0)
TIMES = ("0", "1.5", "3")
ORANGE = (0.9, 0.5, 0.1)
GEOMETRY = VolumeGeometry((14, 30, 32), np.array([[1.0, 0, 0, -12], [0, 1, 0, -20], [0, 0, 2, 7], [0, 0, 0, 1]]))
OPTIONS = {"window_rule": "50,100", "level": "fast"}


def sphere(radius_mm):
    return Sphere(CENTER, radius_mm).contains(voxel_centers_ras(GEOMETRY))


@pytest.fixture
def sequence(scene):
    node = scene.mrml.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    for time, radius in zip(TIMES, RADII_MM, strict=True):
        voxels = (sphere(radius) * 100).astype(np.int16)
        volume = add_volume_node(scene.mrml, Volume(voxels, GEOMETRY), "Frame")
        node.SetDataNodeAtValue(volume, time)
        scene.mrml.RemoveNode(volume)
    return node


@pytest.fixture
def roi():
    return Roi("Lesion", OrientedBox(pose(np.eye(3), origin=CENTER), np.full(3, 22.0)), ORANGE)


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


def test_every_frame_gets_its_own_sphere(scene, sequence, roi):
    result = segment_sequence(scene.mrml, sequence, [roi], ThresholdModel(), **OPTIONS)
    made = result.sequence
    assert made.GetScene() is not None
    assert made.GetNumberOfDataNodes() == len(TIMES)
    for n, (time, radius) in enumerate(zip(TIMES, RADII_MM, strict=True)):
        assert made.GetNthIndexValue(n) == time
        segmentation = made.GetNthDataNode(n)
        segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
        np.testing.assert_array_equal(whole(segment_block(segmentation, segment_id)), sphere(radius))


def test_the_new_sequence_counts_its_frames_as_the_volumes_do(scene, sequence, roi):
    made = segment_sequence(scene.mrml, sequence, [roi], ThresholdModel(), **OPTIONS).sequence
    assert (made.GetIndexName(), made.GetIndexUnit()) == ("time", "s")
    assert made.GetIndexType() == sequence.GetIndexType()
    assert made.GetName() == "Perfusion segmentation"
    assert made.GetDataNodeClassName() == "vtkMRMLSegmentationNode"


def test_a_structure_is_the_same_segment_in_every_frame_and_says_what_made_it(scene, sequence, roi):
    other = Roi("Spot", OrientedBox(pose(np.eye(3), origin=CENTER), np.full(3, 6.0)), (0.1, 0.2, 0.3))
    made = segment_sequence(scene.mrml, sequence, [roi, other], ThresholdModel(), **OPTIONS).sequence
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


def test_the_table_follows_the_volume_through_time(scene, sequence, roi):
    rows = segment_sequence(scene.mrml, sequence, [roi], ThresholdModel(), **OPTIONS).rows
    assert [row.image for row in rows] == [f"Perfusion {time}" for time in TIMES]
    expected = [4 / 3 * np.pi * radius**3 / 1000 for radius in RADII_MM]
    np.testing.assert_allclose([row.volume_ml for row in rows], expected, rtol=0.05)


def test_the_transform_of_the_volume_that_shows_the_sequence_moves_the_frames(scene, sequence, roi):
    world = pose(rotation(0, 0, 90), origin=(100, 0, 0))
    proxy = add_volume_node(
        scene.mrml, Volume(np.zeros((2, 2, 2), dtype=np.int16), VolumeGeometry((2, 2, 2), np.eye(4))), "P"
    )
    parent_transform(scene.mrml, proxy, world)
    moved = Roi("Lesion", OrientedBox(world @ roi.box.object_to_ras, roi.box.size_mm), ORANGE)
    made = segment_sequence(scene.mrml, sequence, [moved], ThresholdModel(), proxy=proxy, **OPTIONS).sequence
    segmentation = made.GetNthDataNode(1)
    # In the sequence's own coordinates: the proxy of the new sequence goes under the same transform.
    block = segment_block(segmentation, segmentation.GetSegmentation().GetNthSegmentID(0))
    np.testing.assert_array_equal(whole(block), sphere(RADII_MM[1]))


def test_the_progress_runs_through_all_frames(scene, sequence, roi):
    told = []
    segment_sequence(scene.mrml, sequence, [roi], ThresholdModel(), progress=lambda *args: told.append(args), **OPTIONS)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert told[-1][1].startswith("Frame 3 of 3")


def test_cancelling_leaves_the_scene_as_it_was(scene, sequence, roi):
    model, before = ThresholdModel(), nodes_of(scene)
    with pytest.raises(CancelledError):
        segment_sequence(scene.mrml, sequence, [roi], model, cancelled=lambda: len(model.encoded) > 15, **OPTIONS)
    assert nodes_of(scene) == before
    assert len(model.encoded) < 3 * 11


def test_a_finished_job_adds_one_node_to_the_scene(scene, sequence, roi):
    before = nodes_of(scene)
    made = segment_sequence(scene.mrml, sequence, [roi], ThresholdModel(), **OPTIONS).sequence
    assert nodes_of(scene) - before == {made.GetID()}


def test_an_roi_outside_of_a_frame_is_refused_with_the_frames_number(scene, sequence):
    away = Roi("Away", OrientedBox(pose(np.eye(3), origin=(900, 0, 0)), np.full(3, 10.0)), ORANGE)
    before = nodes_of(scene)
    with pytest.raises(InvalidPromptError, match=r"Frame 1 of 3.*outside"):
        segment_sequence(scene.mrml, sequence, [away], ThresholdModel(), **OPTIONS)
    assert nodes_of(scene) == before


def test_a_sequence_without_frames_or_of_other_nodes_is_refused(scene, roi):
    empty = scene.mrml.AddNewNodeByClass("vtkMRMLSequenceNode", "Empty")
    with pytest.raises(InvalidImageError, match=r"Empty.*empty"):
        segment_sequence(scene.mrml, empty, [roi], ThresholdModel())
    poses = scene.mrml.AddNewNodeByClass("vtkMRMLSequenceNode", "Poses")
    poses.SetDataNodeAtValue(scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode"), "0")
    with pytest.raises(InvalidImageError, match=r"Poses.*not volumes"):
        segment_sequence(scene.mrml, poses, [roi], ThresholdModel())


def test_no_roi_is_refused(scene, sequence):
    with pytest.raises(InvalidPromptError, match="no ROI"):
        segment_sequence(scene.mrml, sequence, [], ThresholdModel())
