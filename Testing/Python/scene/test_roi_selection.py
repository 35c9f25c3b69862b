"""Which ROIs are meant."""

import numpy as np
import pytest

from MedSAMSegmentSlicer.roi_selection import (
    DRAWN_BOX,
    choose_rois,
    chosen_rois,
    pointer_is_on_a_handle,
    remembered_pose,
    restore_pose,
    rois_of_scene,
)

CLASS = "vtkMRMLMarkupsROINode"


@pytest.fixture
def owner(scene):
    return scene.mrml.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


def _roi(scene, name, center=(0.0, 0.0, 0.0)):
    node = scene.mrml.AddNewNodeByClass(CLASS, name)
    node.CreateDefaultDisplayNodes()
    node.SetCenter(list(center))
    node.SetSize([10.0, 20.0, 30.0])
    return node


def test_chosen_rois_are_node_references_in_order(scene, owner):
    rois = [_roi(scene, name) for name in "abc"]
    choose_rois(owner, "ROIs", [rois[2], rois[0]])
    assert chosen_rois(owner, "ROIs") == [rois[2], rois[0]]
    choose_rois(owner, "ROIs", [rois[1]])
    assert chosen_rois(owner, "ROIs") == [rois[1]]


def test_a_removed_roi_is_not_chosen_any_more(scene, owner):
    rois = [_roi(scene, name) for name in "ab"]
    choose_rois(owner, "ROIs", rois)
    scene.mrml.RemoveNode(rois[0])
    assert chosen_rois(owner, "ROIs") == [rois[1]]


def test_the_drawn_box_and_rois_that_are_not_placed_are_not_among_the_scenes_rois(scene):
    placed = _roi(scene, "placed")
    _roi(scene, "box").SetAttribute(DRAWN_BOX, "1")
    scene.mrml.AddNewNodeByClass(CLASS, "not placed")
    assert rois_of_scene(scene.mrml) == [placed]


def test_the_pointer_is_on_a_handle_when_a_visible_roi_says_so(scene):
    roi = _roi(scene, "a")
    display = roi.GetDisplayNode()
    assert not pointer_is_on_a_handle(scene.mrml)
    display.SetActiveComponent(display.ComponentScaleHandle, 0)
    assert pointer_is_on_a_handle(scene.mrml)
    display.SetVisibility(False)
    assert not pointer_is_on_a_handle(scene.mrml)


def test_an_roi_is_put_back_to_where_it_was(scene):
    import vtk

    roi = _roi(scene, "a", (1.0, 2.0, 3.0))
    turn = vtk.vtkTransform()
    turn.Translate(1.0, 2.0, 3.0)
    turn.RotateZ(30.0)
    roi.SetAndObserveObjectToNodeMatrix(turn.GetMatrix())
    pose = remembered_pose(roi)
    roi.SetCenter([9.0, 9.0, 9.0])
    roi.SetSize([1.0, 1.0, 1.0])
    restore_pose(roi, pose)
    np.testing.assert_allclose(remembered_pose(roi)[0], pose[0])
    np.testing.assert_allclose(roi.GetSize(), [10.0, 20.0, 30.0])
    np.testing.assert_allclose(roi.GetCenter(), [1.0, 2.0, 3.0])
