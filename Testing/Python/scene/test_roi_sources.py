"""ROIs from lines, planes, closed curves and segments of a scene."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.roi_nodes import add_roi_node, roi_from_node
from MedSAMSegmentSlicer.roi_sources import roi_from_markup, roi_from_segment
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from support.mrml import block, parent_transform
from support.rotations import pose, rotation

ORANGE = (0.9, 0.5, 0.1)


def placed(scene, kind, *points, name="Mark"):
    node = scene.mrml.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", name)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSelectedColor(*ORANGE)
    for point in points:
        node.AddControlPoint(*point)
    return node


def extent(box):
    return np.array([box.corners_ras.min(axis=0), box.corners_ras.max(axis=0)])


def test_a_line_stands_for_a_lesion_of_that_diameter_with_its_name_and_colour(scene):
    roi = roi_from_markup(placed(scene, "Line", (10, 0, 5), (30, 0, 5), name="Target 1"))
    assert roi.name == "Target 1"
    assert roi.color == pytest.approx(ORANGE)
    np.testing.assert_allclose(extent(roi.box), [(10, -10, -5), (30, 10, 15)])


def test_a_line_is_taken_where_its_transform_puts_it(scene):
    node = placed(scene, "Line", (10, 0, 5), (30, 0, 5))
    parent_transform(scene.mrml, node, pose(np.eye(3), 2.0, (100, 0, 0)))
    np.testing.assert_allclose(extent(roi_from_markup(node).box), [(120, -20, -10), (160, 20, 30)])


def test_a_plane_stands_for_its_rectangle_with_a_thickness(scene):
    node = placed(scene, "Plane")
    node.SetSizeMode(node.SizeModeAbsolute)
    node.SetCenter(1.0, 2.0, 3.0)
    node.SetNormal(0.0, 0.0, 1.0)
    node.SetSize(20.0, 30.0)
    thin, thick = roi_from_markup(node, thickness_mm=6.0).box, roi_from_markup(node).box
    np.testing.assert_allclose(np.sort(np.ptp(thin.corners_ras, axis=0)[:2]), (20, 30), atol=1e-6)
    np.testing.assert_allclose(extent(thin)[:, 2], (0, 6), atol=1e-6)
    np.testing.assert_allclose(extent(thick)[:, 2], (-7, 13), atol=1e-6)
    np.testing.assert_allclose(thin.center_ras, (1, 2, 3), atol=1e-6)


def test_a_turned_and_transformed_plane_keeps_its_thickness_in_the_world(scene):
    node = placed(scene, "Plane")
    node.SetSizeMode(node.SizeModeAbsolute)
    node.SetCenter(0.0, 0.0, 0.0)
    turn = rotation(30, 20, 10)
    node.SetAxes(*(tuple(axis) for axis in turn.T))
    node.SetSize(20.0, 30.0)
    parent_transform(scene.mrml, node, pose(rotation(0, 45, 0), 2.0, (5, 6, 7)))
    box = roi_from_markup(node, thickness_mm=6.0).box
    np.testing.assert_allclose(box.center_ras, (5, 6, 7), atol=1e-6)
    for direction, half in zip((rotation(0, 45, 0) @ turn).T, (20, 30, 3), strict=True):
        np.testing.assert_allclose(box.interval_along(direction), direction @ (5, 6, 7) + np.array([-half, half]))


def test_a_closed_curve_stands_for_its_bounding_box_with_a_thickness(scene):
    corners = [(0, 0, 5), (20, 0, 5), (20, 30, 5), (0, 30, 5)]
    node = placed(scene, "ClosedCurve", *corners)
    node.SetCurveTypeToLinear()
    np.testing.assert_allclose(extent(roi_from_markup(node, 8.0).box), [(0, 0, 1), (20, 30, 9)], atol=1e-6)
    np.testing.assert_allclose(extent(roi_from_markup(node).box), [(0, 0, -5), (20, 30, 15)], atol=1e-6)


def test_a_smooth_closed_curve_is_taken_as_it_is_shown_not_only_its_points(scene):
    diamond = [(10, 0, 0), (0, 10, 0), (-10, 0, 0), (0, -10, 0)]
    parent = pose(rotation(0, 0, 45))
    node = placed(scene, "ClosedCurve", *diamond)
    parent_transform(scene.mrml, node, parent)
    # The points lie on the corners of a square with sides of 14.1 mm; the curve bulges out between them.
    size = np.ptp(roi_from_markup(node, 8.0).box.corners_ras, axis=0)
    assert (size[:2] > 10 * np.sqrt(2) + 1).all()
    assert (size[:2] < 20).all()


@pytest.mark.parametrize(("kind", "points"), [("Line", 1), ("Plane", 0), ("ClosedCurve", 2), ("ROI", 0)])
def test_a_markup_that_was_not_placed_is_refused_by_name(scene, kind, points):
    node = placed(scene, kind, *[(n, 0, 0) for n in range(points)], name="Later")
    with pytest.raises(InvalidPromptError, match=r"Later.*not been placed"):
        roi_from_markup(node)


@pytest.mark.parametrize("kind", ["Fiducial", "Angle", "Curve"])
def test_a_markup_that_surrounds_nothing_is_refused(scene, kind):
    with pytest.raises(InvalidPromptError, match=r"Mark.*line, a plane, a closed curve"):
        roi_from_markup(placed(scene, kind, (0, 0, 0), (1, 0, 0), (0, 1, 0)))


def test_a_plane_under_a_warp_is_refused(scene):
    import vtk

    node = placed(scene, "Plane")
    node.SetCenter(0.0, 0.0, 0.0)
    node.SetNormal(0.0, 0.0, 1.0)
    node.SetSize(10.0, 10.0)
    warp = scene.mrml.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    warp.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InvalidImageError, match="not linear"):
        roi_from_markup(node)


@pytest.fixture
def segmented(desk):
    """Voxels 4–8, 1–3 and 2–4 along I, J and K, of 1 × 1 × 2 mm."""
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        segment_id = writer.add_segment("Lesion", ORANGE)
        writer.write([SegmentEdit(segment_id, block(desk.volume.geometry, slice(2, 5), slice(1, 4), slice(4, 9)))])
    return segment_id


def test_a_segment_gives_the_box_of_its_voxels_with_a_margin(desk, segmented):
    roi = roi_from_segment(desk.segmentation, segmented)
    assert roi.name == "Lesion"
    assert roi.color == pytest.approx(ORANGE)
    np.testing.assert_allclose(extent(roi.box), [(3.5, 0.5, 3), (8.5, 3.5, 9)])
    wider = roi_from_segment(desk.segmentation, segmented, margin_mm=2.5)
    np.testing.assert_allclose(extent(wider.box), [(1, -2, 0.5), (11, 6, 11.5)])


def test_a_segments_box_moves_and_turns_with_its_segmentation(desk, segmented):
    parent = pose(rotation(20, -40, 70), origin=(11, -7, 3))
    parent_transform(desk.scene, desk.segmentation, parent)
    box = roi_from_segment(desk.segmentation, segmented).box
    expected = {tuple(np.round((parent @ (x, y, z, 1))[:3], 4)) for x in (3.5, 8.5) for y in (0.5, 3.5) for z in (3, 9)}
    assert {tuple(corner) for corner in np.round(box.corners_ras, 4)} == expected


def test_only_the_segment_that_was_asked_for_counts(desk, segmented):
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        other = writer.add_segment("Other", ORANGE)
        writer.write([SegmentEdit(other, block(desk.volume.geometry, slice(6, 8), slice(6, 8), slice(0, 2)))])
    boxes = [roi_from_segment(desk.segmentation, segment_id).box for segment_id in (segmented, other)]
    np.testing.assert_allclose(extent(boxes[0]), [(3.5, 0.5, 3), (8.5, 3.5, 9)])
    np.testing.assert_allclose(extent(boxes[1]), [(-0.5, 5.5, 11), (1.5, 7.5, 15)])


def test_a_segment_that_is_a_surface_is_converted_and_left_as_it_is(desk):
    import slicer
    import vtk

    ball = vtk.vtkSphereSource()
    ball.SetCenter(6, 5, 7)
    ball.SetRadius(3)
    ball.SetThetaResolution(40)
    ball.SetPhiResolution(40)
    ball.Update()
    desk.segmentation.GetSegmentation().SetSourceRepresentationName(
        slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    )
    segment_id = desk.segmentation.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "Ball", ORANGE)
    box = roi_from_segment(desk.segmentation, segment_id).box
    np.testing.assert_allclose(box.center_ras, (6, 5, 7), atol=1.0)
    np.testing.assert_allclose(np.ptp(box.corners_ras, axis=0), (6, 6, 6), atol=2.0)
    labelmap = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    assert not desk.segmentation.GetSegmentation().ContainsRepresentation(labelmap)


def test_an_empty_segment_and_an_absent_one_are_refused(desk):
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        empty = writer.add_segment("Nothing", ORANGE)
    with pytest.raises(InvalidPromptError, match=r"Nothing.*empty"):
        roi_from_segment(desk.segmentation, empty)
    with pytest.raises(InvalidPromptError, match="Segment_99"):
        roi_from_segment(desk.segmentation, "Segment_99")


def test_the_roi_of_a_segment_can_be_shown_as_a_markup(scene, desk, segmented):
    parent_transform(desk.scene, desk.segmentation, pose(rotation(20, -40, 70), origin=(11, -7, 3)))
    roi = roi_from_segment(desk.segmentation, segmented, margin_mm=1.0)
    shown = roi_from_node(add_roi_node(scene.mrml, roi)).box
    np.testing.assert_allclose(shown.corners_ras, roi.box.corners_ras, atol=1e-6)
