"""Which ROIs are meant."""

import numpy as np
import pytest

from MedSAMSegmentSlicer.matrices import to_numpy
from MedSAMSegmentSlicer.roi_selection import (
    DRAWN_BOX,
    choose_rois,
    chosen_rois,
    pointer_is_on_a_handle,
    remembered_pose,
    restore_pose,
    roi_sources_of_scene,
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


def _line(scene, name, ends=((0.0, 0.0, 0.0), (10.0, 0.0, 0.0))):
    import vtk

    node = scene.mrml.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
    node.CreateDefaultDisplayNodes()
    for end in ends:
        node.AddControlPoint(vtk.vtkVector3d(*end))
    return node


def test_lines_planes_and_closed_curves_can_be_chosen_as_rois_and_points_cannot(scene, owner):
    roi, line = _roi(scene, "roi"), _line(scene, "line")
    plane, curve, points = (
        scene.mrml.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", kind) for kind in ("Plane", "ClosedCurve", "Fiducial")
    )
    choose_rois(owner, "ROIs", [line, points, roi, curve, plane])
    assert chosen_rois(owner, "ROIs") == [line, roi, curve, plane]


def test_lines_are_offered_as_rois_but_are_not_among_all_rois_of_the_scene(scene):
    roi, line = _roi(scene, "roi"), _line(scene, "line")
    _roi(scene, "box").SetAttribute(DRAWN_BOX, "1")
    assert rois_of_scene(scene.mrml) == [roi]
    assert set(roi_sources_of_scene(scene.mrml)) == {roi, line}


def test_the_pointer_is_on_a_handle_of_a_line_too(scene):
    display = _line(scene, "a").GetDisplayNode()
    assert not pointer_is_on_a_handle(scene.mrml)
    display.SetActiveComponent(display.ComponentControlPoint, 0)
    assert pointer_is_on_a_handle(scene.mrml)


def test_a_line_is_put_back_to_where_it_was(scene):
    line = _line(scene, "a")
    pose = remembered_pose(line)
    line.SetNthControlPointPosition(1, 50.0, 50.0, 50.0)
    restore_pose(line, pose)
    assert line.GetNumberOfControlPoints() == 2
    assert line.GetNthControlPointPosition(1) == (10.0, 0.0, 0.0)


def test_the_pointer_is_on_a_handle_when_a_visible_roi_says_so(scene):
    roi = _roi(scene, "a")
    display = roi.GetDisplayNode()
    assert not pointer_is_on_a_handle(scene.mrml)
    display.SetActiveComponent(display.ComponentScaleHandle, 0)
    assert pointer_is_on_a_handle(scene.mrml)
    display.SetVisibility(False)
    assert not pointer_is_on_a_handle(scene.mrml)


def test_the_outline_of_an_roi_is_no_handle_and_its_middle_is_one(scene):
    display = _roi(scene, "a").GetDisplayNode()
    for component in (display.ComponentROI, display.ComponentLine, display.ComponentPlane):
        display.SetActiveComponent(component, 0)
        assert not pointer_is_on_a_handle(scene.mrml)
    for component in (display.ComponentTranslationHandle, display.ComponentControlPoint):
        display.SetActiveComponent(component, 0)
        assert pointer_is_on_a_handle(scene.mrml)


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
    np.testing.assert_allclose(to_numpy(roi.GetObjectToNodeMatrix()), to_numpy(turn.GetMatrix()))
    np.testing.assert_allclose(roi.GetSize(), [10.0, 20.0, 30.0])
    np.testing.assert_allclose(roi.GetCenter(), [1.0, 2.0, 3.0])
