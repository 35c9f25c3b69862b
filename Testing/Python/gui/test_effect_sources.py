"""Other ways in than boxes and ROIs: lines, planes, closed curves, and the selected segment itself."""

import numpy as np
import pytest
import slicer
import vtk

from MedSAMSegmentSlicer.roi_selection import SOURCE_CLASSES, choose_rois
from MedSAMSegmentWidgets.effect_parameters import ROI_ROLE


def _points(node, *points):
    node.CreateDefaultDisplayNodes()
    for point in points:
        node.AddControlPoint(vtk.vtkVector3d(*point))
    return node


@pytest.fixture
def line(workplace):
    """Along the brick's longer side: 30 voxels at 1 mm, so that the box is 30 mm wide and high."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Lesion")
    return _points(node, workplace.ras(29.5, 29.5, 3), workplace.ras(59.5, 29.5, 3))


@pytest.fixture
def curve(workplace):
    """Around the left half of the brick on its layer 3."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "Half")
    node.SetCurveTypeToLinear()
    return _points(node, *(workplace.ras(i, j, 3) for i, j in ((25, 15), (44.5, 15), (44.5, 45), (25, 45))))


@pytest.fixture
def plane(workplace):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "Rectangle")
    node.CreateDefaultDisplayNodes()
    node.SetAxes([1, 0, 0], [0, 1, 0], [0, 0, 1])
    node.SetOrigin(*workplace.ras(34.5, 29.5, 3))
    node.SetSizeMode(node.SizeModeAbsolute)
    node.SetSize(20.0, 40.0)
    return node


def _choose(workplace, node):
    workplace.effect.panel.roi.setCurrentNode(node)
    assert workplace.scripted_effect.nodeReference("ROI") is node


def _apply(workplace, scope="slice"):
    workplace.scripted_effect.setParameter("Scope", scope)
    workplace.effect.panel.apply.click()
    workplace.wait()


def _left_half(workplace, *layers):
    expected = workplace.bright(*layers)
    expected[:, :, 45:] = False
    return expected


def test_a_line_along_the_longest_diameter_is_segmented_on_the_slice_in_view(workplace, line):
    _choose(workplace, line)
    _apply(workplace)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_a_line_is_segmented_on_all_slices_of_its_cube(workplace, line):
    _choose(workplace, line)
    _apply(workplace, "slices")
    # The cube is 30 mm high: all four bright layers of 2 mm.
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(2, 3, 4, 5))


def test_a_closed_curve_is_segmented_on_its_slice(workplace, curve):
    _choose(workplace, curve)
    _apply(workplace)
    np.testing.assert_array_equal(workplace.voxels(), _left_half(workplace, 3))


def test_a_plane_is_segmented_on_its_slice(workplace, plane):
    _choose(workplace, plane)
    _apply(workplace)
    np.testing.assert_array_equal(workplace.voxels(), _left_half(workplace, 3))


def test_an_end_of_a_line_can_be_dragged_with_a_preview_and_put_back(workplace, line):
    _choose(workplace, line)
    workplace.run_events(0.5)  # what is prepared when the view settles is done
    panel = workplace.effect.panel
    panel.confidence.text = ""
    line.InvokeEvent(line.PointStartInteractionEvent)
    line.SetNthControlPointPosition(1, *workplace.ras(50, 29.5, 3))
    workplace.wait(lambda: panel.confidence.text == "0.90")
    line.InvokeEvent(line.PointEndInteractionEvent)
    workplace.run_events(0.1)
    assert not workplace.voxels().any()
    panel.revert.click()
    np.testing.assert_allclose(line.GetNthControlPointPosition(1), workplace.ras(59.5, 29.5, 3))


def test_a_line_and_a_curve_become_a_segment_each(workplace, line, curve):
    choose_rois(workplace.editor.mrmlSegmentEditorNode(), ROI_ROLE, [line, curve])
    _apply(workplace)
    segmentation = workplace.segmentation.GetSegmentation()
    lesion, half = (segmentation.GetSegmentIdBySegmentName(name) for name in ("Lesion", "Half"))
    np.testing.assert_array_equal(workplace.voxels(half), _left_half(workplace, 3))
    # The second overwrites the first, as everything does while the Segment Editor says so.
    np.testing.assert_array_equal(workplace.voxels(lesion), workplace.bright(3) & ~_left_half(workplace, 3))


def test_a_line_with_one_end_says_what_to_do(workplace):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Begun")
    _points(node, workplace.ras(29.5, 29.5, 3))
    _choose(workplace, node)
    workplace.effect.panel.apply.click()
    assert "'Begun'" in workplace.effect.panel.status.text
    assert "Place both ends" in workplace.effect.panel.status.text
    assert not workplace.effect.controller.is_busy


def test_points_are_not_offered_as_rois(workplace, line):
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    workplace.effect.panel.roi.setCurrentNode(points)
    assert workplace.scripted_effect.nodeReference("ROI") is not points


@pytest.mark.parametrize("class_name", SOURCE_CLASSES)
def test_every_kind_is_placed_with_the_mouse_while_the_effect_stays_active(workplace, class_name):
    workplace.effect.panel.new_roi.chosen(class_name)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    try:
        assert interaction.GetCurrentInteractionMode() == interaction.Place
        workplace.effect.interactionNodeModified(interaction)
        assert workplace.editor.activeEffect() is not None
        assert workplace.scripted_effect.nodeReference("ROI").IsA(class_name)
        # A click is for the markup, not for a box.
        assert workplace.event("LeftButtonPressEvent", workplace.xy(25, 15)) is False
    finally:
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def test_placing_a_point_list_deactivates_the_effect_as_it_does_any_other(workplace):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    interaction.SetCurrentInteractionMode(interaction.Place)
    try:
        if workplace.editor.activeEffect() is not None:
            workplace.effect.interactionNodeModified(interaction)
        assert workplace.editor.activeEffect() is None
    finally:
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)


# The selected segment


@pytest.fixture
def segmented(workplace):
    """The brick's layer 3 is in the segment."""
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    return workplace


def test_an_roi_is_put_around_the_segment_with_a_margin_and_chosen(segmented):
    options = segmented.effect.panel.segment
    options.margin.value = 4.0
    options.roi_around.click()
    roi = segmented.scripted_effect.nodeReference("ROI")
    assert roi.GetName().startswith("Target")
    # 30 × 20 voxels of 1 mm on one layer of 2 mm, and 4 mm on either side.
    np.testing.assert_allclose(sorted(roi.GetSize()), [10.0, 28.0, 38.0])
    np.testing.assert_allclose(roi.GetCenter(), segmented.ras(44.5, 29.5, 3), atol=1e-6)
    assert "Apply" in segmented.effect.panel.status.text


def test_an_roi_around_an_empty_segment_is_refused_with_a_sentence(workplace):
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode")
    workplace.effect.panel.segment.roi_around.click()
    assert "'Target' is empty" in workplace.effect.panel.status.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == before


def test_a_segment_grows_to_the_slices_beside_it_in_one_undo_state(segmented):
    options = segmented.effect.panel.segment
    options.below.value, options.above.value = 1, 2
    options.grow.click()
    segmented.wait()
    np.testing.assert_array_equal(segmented.voxels(), segmented.bright(2, 3, 4, 5))
    assert "3 slices" in segmented.effect.panel.status.text
    segmented.editor.undo()
    np.testing.assert_array_equal(segmented.voxels(), segmented.bright(3))
    segmented.editor.redo()
    np.testing.assert_array_equal(segmented.voxels(), segmented.bright(2, 3, 4, 5))


def test_growing_stops_where_the_structure_ends_and_says_so(segmented):
    options = segmented.effect.panel.segment
    options.below.value, options.above.value = 5, 5
    options.grow.click()
    segmented.wait()
    np.testing.assert_array_equal(segmented.voxels(), segmented.bright(2, 3, 4, 5))
    assert "ends there" in segmented.effect.panel.status.text
    options.grow.click()
    segmented.wait()
    assert "found nothing of it on the next slices" in segmented.effect.panel.status.text


def test_growing_an_empty_segment_says_what_to_do(workplace):
    workplace.effect.panel.segment.grow.click()
    assert "'Target' is empty" in workplace.effect.panel.status.text
    assert not workplace.effect.controller.is_busy


def test_growing_by_no_slice_says_what_to_do(segmented):
    options = segmented.effect.panel.segment
    options.below.value = options.above.value = 0
    options.grow.click()
    segmented.wait()
    assert "Ask for 1 or more" in segmented.effect.panel.status.text


def test_growing_can_be_cancelled_and_writes_nothing_then(segmented):
    segmented.effect.panel.segment.grow.click()
    segmented.effect.panel.cancel.click()
    segmented.run_events(0.3)
    np.testing.assert_array_equal(segmented.voxels(), segmented.bright(3))
    assert "Cancelled" in segmented.effect.panel.status.text


def test_margin_and_numbers_of_slices_are_kept_in_the_scene(workplace):
    options = workplace.effect.panel.segment
    options.margin.value, options.below.value, options.above.value = 7.5, 3, 0
    workplace.editor.setActiveEffect(None)
    workplace.editor.setActiveEffectByName("MedSAM")
    options = workplace.effect.panel.segment
    assert (options.margin.value, options.below.value, options.above.value) == (7.5, 3, 0)
    assert workplace.scripted_effect.parameter("MarginMm") == "7.5"


@pytest.mark.parametrize("button", ["apply", "grow"])
def test_a_hidden_segment_is_left_alone_when_the_user_says_so(segmented, line, button):
    if not hasattr(segmented.editor, "answer_confirmation_with"):
        pytest.skip("In Slicer a dialog would ask.")
    _choose(segmented, line)
    segmented.editor.answer_confirmation_with(segmented.scripted_effect.NotConfirmed)
    panel = segmented.effect.panel
    (panel.apply if button == "apply" else panel.segment.grow).click()
    assert not segmented.effect.controller.is_busy
    assert "the selected segment is hidden" in panel.status.text
    np.testing.assert_array_equal(segmented.voxels(), segmented.bright(3))
