"""What is asked about is the image as it is: never as it was."""

from types import SimpleNamespace

import numpy as np
import pytest
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vtk.util.numpy_support import vtk_to_numpy

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentSlicer.editor_requests import EditorNodes, EditorRequests
from MedSAMSegmentSlicer.effect_settings import read_settings
from MedSAMSegmentSlicer.matrices import to_vtk
from MedSAMSegmentSlicer.prompt_work import answer_prompts
from MedSAMSegmentSlicer.scene import headless_scene
from MedSAMSegmentSlicer.volume_nodes import add_volume_node, volume_from_node
from support.mrml import parent_transform
from support.rotations import pose, rotation
from support.threshold_model import ThresholdModel

AXIAL = np.diag([-1.0, 1.0, 1.0, 1.0])
"""Pose of an axial view through the origin's layer."""


@pytest.fixture
def nodes(desk):
    desk.segmentation.GetSegmentation().AddEmptySegment("Target", "Target")
    return EditorNodes(desk.segmentation, "Target", desk.volume_node)


@pytest.fixture
def requests(nodes):
    return EditorRequests(lambda: nodes, lambda: read_settings(lambda name: ""))


def scalars(desk):
    return desk.volume_node.GetImageData().GetPointData().GetScalars()


def test_the_voxels_are_the_same_object_for_as_long_as_nothing_changes(requests, nodes, desk):
    first = requests.volume(nodes)
    desk.volume_node.SetName("Another name")
    desk.volume_node.CreateDefaultDisplayNodes()
    assert requests.volume(nodes) is first


def edit_voxels(desk):
    vtk_to_numpy(scalars(desk))[:] += 1
    scalars(desk).Modified()


def replace_image(desk):
    image = vtk.vtkImageData()
    image.DeepCopy(desk.volume_node.GetImageData())
    desk.volume_node.SetAndObserveImageData(image)


def move_voxels(desk):
    matrix = vtk.vtkMatrix4x4()
    desk.volume_node.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 3, matrix.GetElement(0, 3) + 1.0)
    desk.volume_node.SetIJKToRASMatrix(matrix)


def transform(desk):
    parent_transform(desk.scene, desk.volume_node, pose(rotation(0, 0, 10), origin=(1, 2, 0)))


CHANGES = {"voxels": edit_voxels, "image": replace_image, "place": move_voxels, "transform": transform}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_answer_to_what_was_asked_before_a_change_is_not_current(requests, nodes, desk, change):
    box = OrientedBox.from_bounds((2, 2, -1), (9, 8, 1))
    request = requests.request(nodes, read_settings(lambda name: ""), box, (requests.plane_of(AXIAL),))
    assert requests.is_current(nodes, request)
    change(desk)
    assert not requests.is_current(nodes, request)


def test_a_transform_that_is_changed_while_it_is_in_use_counts_as_a_change(requests, nodes, desk):
    node = parent_transform(desk.scene, desk.volume_node, np.eye(4))
    before = requests.volume(nodes)
    node.SetMatrixTransformToParent(to_vtk(pose(np.eye(4)[:3, :3], origin=(0, 0, 1))))
    assert requests.volume(nodes) is not before


def test_without_nodes_there_is_no_request():
    requests = EditorRequests(lambda: None, lambda: read_settings(lambda name: ""))
    with pytest.raises(InvalidPromptError, match="Choose a source volume"):
        requests.plane_of(AXIAL)


def test_voxels_that_somebody_looks_at_stay_in_memory_whatever_becomes_of_the_node(scene, desk):
    expected = np.array(desk.volume.voxels_kji)
    voxels = volume_from_node(desk.volume_node).voxels_kji
    # What filters, slicer.util.updateVolumeFromArray and readers do to an image that gets another size.
    image = desk.volume_node.GetImageData()
    image.SetDimensions(200, 200, 100)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    np.testing.assert_array_equal(voxels, expected)
    desk.volume_node.SetAndObserveImageData(vtk.vtkImageData())
    desk.scene.RemoveNode(desk.volume_node)
    del image
    np.testing.assert_array_equal(voxels, expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["ask", "window", *CHANGES]), min_size=2, max_size=8))
def test_no_answer_comes_from_a_slice_encoded_before_a_change(actions):
    with headless_scene() as scene:
        desk = _desk(scene.mrml)
        nodes = EditorNodes(desk.segmentation, "Target", desk.volume_node)
        window = {"level": 50}
        requests = EditorRequests(
            lambda: nodes, lambda: read_settings(lambda name: f"{window['level']},100" if name == "Window" else "")
        )
        segmenter = Segmenter(ThresholdModel())
        for action in actions:
            if action == "window":
                window["level"] += 7
            elif action != "ask":
                CHANGES[action](desk)
            plane = requests.plane_of(AXIAL)
            box = OrientedBox(pose(np.eye(3), origin=plane.center_ras), np.array([7.0, 6.0, 2.0]))
            request = requests.request(nodes, requests.settings(), box, (plane,))
            (remembered,) = answer_prompts(segmenter, [request])
            (fresh,) = answer_prompts(Segmenter(ThresholdModel()), [request])
            for one, other in zip(remembered.slices, fresh.slices, strict=True):
                np.testing.assert_array_equal(one.image.pixels_u8, other.image.pixels_u8)
                np.testing.assert_array_equal(one.mask.mask_hw, other.mask.mask_hw)


def _desk(mrml):
    voxels = np.random.default_rng(0).integers(0, 100, (8, 10, 12)).astype(np.int16)
    volume = Volume(voxels, VolumeGeometry(voxels.shape, np.diag([1.0, 1.0, 2.0, 1.0])))
    segmentation = mrml.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.GetSegmentation().AddEmptySegment("Target", "Target")
    return SimpleNamespace(scene=mrml, volume_node=add_volume_node(mrml, volume, "CT"), segmentation=segmentation)
