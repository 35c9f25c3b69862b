"""ROI markups as boxes in the world, from the scene and from files."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentSlicer.matrices import to_vtk
from MedSAMSegmentSlicer.roi_files import read_rois
from MedSAMSegmentSlicer.roi_nodes import Roi, add_roi_node, roi_from_node
from support.files import SPHERE_CENTER_LPS, markup, roi_markup, write_rois
from support.mrml import parent_transform
from support.rotations import pose, rotation


@pytest.fixture
def roi_node(scene):
    node = scene.mrml.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Tumour")
    node.CreateDefaultDisplayNodes()
    node.SetSize(10.0, 20.0, 30.0)
    node.SetCenter(1.0, 2.0, 3.0)
    return node


def test_an_roi_has_its_size_centre_name_and_colour(roi_node):
    roi_node.GetDisplayNode().SetSelectedColor(0.1, 0.5, 0.9)
    roi = roi_from_node(roi_node)
    assert roi.name == "Tumour"
    assert roi.color == pytest.approx((0.1, 0.5, 0.9))
    np.testing.assert_allclose(roi.box.center_ras, (1, 2, 3))
    np.testing.assert_allclose(np.ptp(roi.box.corners_ras, axis=0), (10, 20, 30))


def test_a_turned_roi_keeps_its_own_edges(roi_node):
    turn = np.eye(4)
    turn[:3, :3] = rotation(20, 30, 40)
    turn[:3, 3] = (1, 2, 3)
    roi_node.SetAndObserveObjectToNodeMatrix(to_vtk(turn))
    box = roi_from_node(roi_node).box
    own = (box.corners_ras - box.center_ras) @ turn[:3, :3]
    np.testing.assert_allclose(np.abs(own), np.tile((5, 10, 15), (8, 1)), atol=1e-6)


def test_a_parent_transform_moves_turns_and_scales_the_roi(scene, roi_node):
    parent = np.eye(4)
    parent[:3, :3] = rotation(0, 0, 30) * 2.0
    parent[:3, 3] = (100, 0, 0)
    parent_transform(scene.mrml, roi_node, parent)
    box = roi_from_node(roi_node).box
    expected = {tuple(np.round((parent @ [x, y, z, 1])[:3], 4)) for x in (-4, 6) for y in (-8, 12) for z in (-12, 18)}
    assert {tuple(corner) for corner in np.round(box.corners_ras, 4)} == expected


def test_an_roi_that_was_not_placed_is_refused(scene):
    node = scene.mrml.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Later")
    with pytest.raises(InvalidPromptError, match=r"Later.*not been placed"):
        roi_from_node(node)


def test_an_roi_without_extent_is_refused(roi_node):
    roi_node.SetSize(10.0, 0.0, 30.0)
    with pytest.raises(InvalidPromptError, match=r"Tumour.*size"):
        roi_from_node(roi_node)


def test_an_roi_under_a_warp_is_refused(scene, roi_node):
    import vtk

    warp = vtk.vtkThinPlateSplineTransform()
    node = scene.mrml.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    node.SetAndObserveTransformToParent(warp)
    roi_node.SetAndObserveTransformNodeID(node.GetID())
    with pytest.raises(InvalidImageError, match="not linear"):
        roi_from_node(roi_node)


def test_a_file_in_lps_is_read_in_ras(tmp_path):
    (roi,) = read_rois(write_rois(tmp_path / "Left kidney.mrk.json"))
    left, posterior, superior = SPHERE_CENTER_LPS
    np.testing.assert_allclose(roi.box.center_ras, (-left, -posterior, superior), atol=1e-6)
    assert roi.name == "Left kidney"


def test_a_file_that_slicer_wrote_is_read_back(roi_node, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = rotation(20, 30, 40)
    turn[:3, 3] = (1, 2, 3)
    roi_node.SetAndObserveObjectToNodeMatrix(to_vtk(turn))
    roi_node.AddDefaultStorageNode()
    path = tmp_path / "Tumour.mrk.json"
    assert roi_node.GetStorageNode() is not None
    roi_node.GetStorageNode().SetFileName(str(path))
    assert roi_node.GetStorageNode().WriteData(roi_node)
    (roi,) = read_rois(path)
    np.testing.assert_allclose(
        np.sort(roi.box.corners_ras, axis=0), np.sort(roi_from_node(roi_node).box.corners_ras, axis=0), atol=1e-4
    )


def test_every_roi_of_a_file_counts_and_so_does_what_can_stand_for_one(tmp_path):
    # A line from (10, 0, 0) to (16, 8, 0) LPS is the longest diameter, 10 mm, of what lies about (-13, -4, 0) RAS.
    path = write_rois(
        tmp_path / "R.mrk.json",
        roi_markup(),
        markup("Line", (10, 0, 0), (16, 8, 0)),
        markup("Fiducial", (1, 2, 3)),
        markup("Curve", (0, 0, 0), (9, 0, 0), (0, 9, 0)),
        roi_markup(size=(1, 2, 3)),
    )
    rois = read_rois(path)
    assert [roi.name for roi in rois] == ["R", "R_1", "R_2"]
    np.testing.assert_allclose(rois[1].box.size_mm, (10, 10, 10))
    np.testing.assert_allclose(rois[1].box.center_ras, (-13, -4, 0), atol=1e-6)
    np.testing.assert_allclose(rois[2].box.size_mm, (1, 2, 3))


def test_a_thickness_applies_to_the_outlines_of_a_file(tmp_path):
    outline = markup("ClosedCurve", (0, 0, 5), (20, 0, 5), (20, 30, 5), (0, 30, 5))
    path = write_rois(tmp_path / "R.mrk.json", outline, roi_markup(size=(1, 2, 3)))
    outlined, drawn = read_rois(path, thickness_mm=7.0)
    assert outlined.box.size_mm[2] == pytest.approx(7.0)
    np.testing.assert_allclose(drawn.box.size_mm, (1, 2, 3))


def test_a_file_with_only_points_holds_no_roi(tmp_path):
    with pytest.raises(InvalidPromptError, match="no ROI"):
        read_rois(write_rois(tmp_path / "points.mrk.json", markup("Fiducial", (1, 2, 3))))


def test_a_line_of_one_point_in_a_file_is_refused_rather_than_passed_over(tmp_path):
    with pytest.raises(InvalidPromptError, match="not been placed"):
        read_rois(write_rois(tmp_path / "half.mrk.json", roi_markup(), markup("Line", (1, 2, 3))))


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, 30, 40)])
def test_a_box_becomes_a_markup_that_is_the_same_box(scene, angles):
    box = OrientedBox(pose(rotation(*angles), origin=(1, 2, 3)), np.array([10.0, 20.0, 30.0]))
    node = add_roi_node(scene.mrml, Roi("Lesion", box, (0.1, 0.5, 0.9)))
    back = roi_from_node(node)
    assert (back.name, back.color) == ("Lesion", pytest.approx((0.1, 0.5, 0.9)))
    np.testing.assert_allclose(back.box.corners_ras, box.corners_ras, atol=1e-9)
    assert node.GetNumberOfDefinedControlPoints() == 1


def test_a_mirrored_and_scaled_box_becomes_a_markup_in_the_same_place(scene):
    box = OrientedBox(pose(rotation(0, 0, 30), (0.5, -2.0, 3.0), (1, 2, 3)), np.array([10.0, 20.0, 30.0]))
    back = roi_from_node(add_roi_node(scene.mrml, Roi("Lesion", box, (1, 0, 0)))).box
    np.testing.assert_allclose(back.size_mm, (5, 40, 90))
    there = {tuple(corner) for corner in np.round(back.corners_ras, 6)}
    assert there == {tuple(corner) for corner in np.round(box.corners_ras, 6)}


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not a markups file"), ("[1]", "no markups"), ('{"markups": []}', "no ROI"), ("", "not a markups file")],
)
def test_a_file_without_an_roi_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "bad.mrk.json"
    path.write_text(content)
    with pytest.raises(InvalidPromptError, match=words) as refused:
        read_rois(path)
    assert "bad.mrk.json" in str(refused.value)


@pytest.mark.parametrize("size", [(10, 0, 10), (10, -5, 10)])
def test_a_size_that_is_zero_or_negative_is_refused(tmp_path, size):
    with pytest.raises(InvalidPromptError, match="longer than zero"):
        read_rois(write_rois(tmp_path / "flat.mrk.json", roi_markup(size=size)))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidPromptError, match="no file"):
        read_rois(tmp_path / "gone.mrk.json")


@pytest.mark.parametrize(
    "wrong",
    [{"size": 5}, {"type": 5}, {"name": None}, {"roiType": 3}, {"coordinateSystem": 1}, {"coordinateSystem": "XYZ"}],
)
def test_a_value_that_would_end_or_mislead_slicers_reader_is_refused_by_its_name(tmp_path, wrong):
    write_rois(tmp_path / "wrong.mrk.json", roi_markup() | wrong)
    with pytest.raises(InvalidPromptError, match=f"{next(iter(wrong))} ") as refused:
        read_rois(tmp_path / "wrong.mrk.json")
    assert "wrong.mrk.json" in str(refused.value)


@pytest.mark.parametrize("content", ['{"markups": [{}]}', '{"markups": [1]}'])
def test_what_is_no_markup_is_refused(tmp_path, content):
    (tmp_path / "odd.mrk.json").write_text(content)
    with pytest.raises(InvalidPromptError, match="no markup"):
        read_rois(tmp_path / "odd.mrk.json")


def test_a_file_in_ras_is_taken_as_it_is(tmp_path):
    write_rois(tmp_path / "ras.mrk.json", roi_markup((7.0, 8.0, 9.0)) | {"coordinateSystem": "RAS"})
    (roi,) = read_rois(tmp_path / "ras.mrk.json")
    np.testing.assert_allclose(roi.box.center_ras, (7, 8, 9))


def test_a_name_in_a_file_is_the_rois(tmp_path):
    write_rois(tmp_path / "two.mrk.json", roi_markup() | {"name": "Tumour"}, roi_markup())
    assert [roi.name for roi in read_rois(tmp_path / "two.mrk.json")] == ["Tumour", "two_1"]
