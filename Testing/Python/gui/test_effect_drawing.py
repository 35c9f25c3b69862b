"""Drawing boxes with the effect."""

import numpy as np
import pytest
import slicer


def test_what_is_in_a_drawn_box_goes_into_the_selected_segment(workplace):
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_the_segment_gets_only_what_is_in_the_box(workplace):
    workplace.draw((25, 15), (44.5, 45))
    workplace.wait()
    expected = workplace.bright(3)
    expected[:, :, 45:] = False
    np.testing.assert_array_equal(workplace.voxels(), expected)


def test_a_box_drawn_from_any_corner_is_the_same(workplace):
    workplace.draw((65, 45), (25, 15))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_a_click_without_a_drag_does_nothing(workplace):
    workplace.draw((40, 30), (40, 30))
    assert not workplace.effect.controller.is_busy
    assert not workplace.voxels().any()
    assert workplace.scripted_effect.nodeReference("DrawnBox") is None


def test_a_drag_is_consumed_and_a_move_without_one_is_not(workplace):
    assert workplace.event("MouseMoveEvent", workplace.xy(10, 10)) is False
    assert workplace.event("LeftButtonPressEvent", workplace.xy(10, 10)) is True
    assert workplace.event("MouseMoveEvent", workplace.xy(30, 30)) is True
    assert workplace.event("LeftButtonReleaseEvent", workplace.xy(30, 30)) is True


def test_a_press_with_a_modifier_key_is_left_to_slicer(workplace):
    assert workplace.event("LeftButtonPressEvent", workplace.xy(10, 10), modifier=True) is False


def test_escape_cancels_the_drag_and_its_release_does_nothing(workplace):
    workplace.event("LeftButtonPressEvent", workplace.xy(25, 15))
    workplace.event("MouseMoveEvent", workplace.xy(65, 45))
    assert workplace.event("KeyPressEvent", workplace.xy(65, 45), key="Escape") is True
    workplace.event("LeftButtonReleaseEvent", workplace.xy(65, 45))
    workplace.run_events(0.1)
    assert not workplace.voxels().any()
    assert workplace.editor.activeEffect() is not None


def test_one_box_is_one_undo_state(workplace):
    workplace.draw((25, 15), (44.5, 45))
    workplace.wait()
    first = workplace.voxels()
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    second = workplace.voxels()
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(), first)
    workplace.editor.undo()
    assert not workplace.voxels().any()
    workplace.editor.redo()
    workplace.editor.redo()
    np.testing.assert_array_equal(workplace.voxels(), second)


def test_a_box_that_changes_nothing_is_no_undo_state_and_says_why(workplace):
    node = workplace.editor.mrmlSegmentEditorNode()
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    said = []

    def draw_in_vain(first=(25, 15), second=(65, 45)):
        workplace.draw(first, second)
        workplace.wait()
        said.append(workplace.effect.panel.status.text)

    draw_in_vain()
    draw_in_vain((5, 45), (20, 55))  # beside the brick
    workplace.scripted_effect.setParameter("Mode", "subtract")
    node.SetSourceVolumeIntensityMask(True)
    node.SetSourceVolumeIntensityMaskRange(500, 900)
    draw_in_vain()
    node.SetSourceVolumeIntensityMask(False)
    workplace.segmentation.GetSegmentation().AddEmptySegment("Empty", "Empty")
    node.SetMaskSegmentID("Empty")
    node.SetMaskMode(workplace.segmentation.EditAllowedInsideSingleSegment)
    workplace.scripted_effect.setParameter("Mode", "add")
    workplace.show_slice(4)
    draw_in_vain()
    for words, text in zip(("already", "found nothing", "intensity range", "editable area"), said, strict=True):
        assert words in text
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    workplace.editor.undo()
    assert not workplace.voxels().any()


def test_the_mask_goes_to_the_slice_where_the_box_was_drawn_even_if_the_view_is_scrolled_meanwhile(workplace):
    workplace.draw((25, 15), (65, 45))
    workplace.show_slice(5)
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_removing_the_segmentation_while_the_model_works_is_survived(workplace):
    workplace.draw((25, 15), (65, 45))
    slicer.mrmlScene.RemoveNode(workplace.segmentation)
    workplace.run_events(0.3)


def test_removing_the_volume_while_the_model_works_writes_nothing(workplace):
    workplace.draw((25, 15), (65, 45))
    slicer.mrmlScene.RemoveNode(workplace.volume)
    workplace.run_events(0.3)
    assert workplace.segmentation.GetSegmentation().GetSegment("Target") is not None


def test_closing_the_scene_while_the_model_works_is_survived(workplace):
    workplace.draw((25, 15), (65, 45))
    slicer.mrmlScene.Clear(False)
    workplace.run_events(0.3)


def test_nothing_is_written_when_the_user_does_not_want_to_edit_a_hidden_segment(workplace):
    if not hasattr(workplace.editor, "answer_confirmation_with"):
        pytest.skip("In Slicer a dialog would ask.")
    workplace.editor.answer_confirmation_with(workplace.scripted_effect.NotConfirmed)
    workplace.draw((25, 15), (65, 45))
    workplace.run_events(0.1)
    assert not workplace.voxels().any()


@pytest.mark.parametrize(("mode", "expected_layers"), [("add", (2, 3)), ("replace", (2, 3)), ("subtract", (2,))])
def test_results_are_added_replace_the_slice_or_are_subtracted(workplace, mode, expected_layers):
    for k in (2, 3):
        workplace.show_slice(k)
        workplace.draw((25, 15), (65, 45))
        workplace.wait()
    workplace.scripted_effect.setParameter("Mode", mode)
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(*expected_layers))


def test_replace_in_slice_takes_away_what_was_outside_the_box_on_that_slice_alone(workplace):
    for k in (2, 3):
        workplace.show_slice(k)
        workplace.draw((25, 15), (65, 45))
        workplace.wait()
    workplace.scripted_effect.setParameter("Mode", "replace")
    workplace.draw((25, 15), (44.5, 45))
    workplace.wait()
    expected = workplace.bright(2, 3)
    expected[3, :, 45:] = False
    np.testing.assert_array_equal(workplace.voxels(), expected)


def test_the_intensity_range_of_the_editor_is_honoured(workplace):
    parameters = workplace.editor.mrmlSegmentEditorNode()
    parameters.SetSourceVolumeIntensityMask(True)
    parameters.SetSourceVolumeIntensityMaskRange(200.0, 300.0)
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert not workplace.voxels().any()
    assert "intensity range" in workplace.effect.panel.status.text


def test_a_box_beside_the_structure_is_answered_with_a_sentence(workplace):
    workplace.draw((2, 2), (12, 12))
    workplace.wait()
    assert not workplace.voxels().any()
    assert "found nothing" in workplace.effect.panel.status.text


def test_a_view_beside_the_volume_is_answered_with_a_sentence(workplace):
    workplace.view.mrmlSliceNode().JumpSliceByCentering(0.0, 0.0, 500.0)
    workplace.draw((25, 15), (65, 45))
    assert not workplace.effect.controller.is_busy
    assert "The image does not reach this slice." in workplace.effect.panel.status.text


def test_confidence_and_what_the_model_saw_are_shown(workplace):
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert workplace.effect.panel.confidence.text == "0.90"
    assert workplace.effect.panel.advanced.thumbnail.pixmap is not None


def test_a_segmentation_under_a_transform_of_its_own_gets_the_voxels_in_the_right_place(workplace):
    import vtk

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 4.0)
    transform.SetMatrixTransformToParent(matrix)
    workplace.segmentation.SetAndObserveTransformNodeID(transform.GetID())
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    # The segmentation is moved by 4 mm to R+, that is 4 voxels to lower i: its own voxels lie 4 higher.
    expected = np.roll(workplace.bright(3), 4, axis=2)
    np.testing.assert_array_equal(workplace.voxels_without_transforms(), expected)


def test_a_segmentation_made_from_surfaces_can_be_edited(workplace):
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(5.0)
    sphere.SetCenter(*workplace.ras(20, 30, 3))
    sphere.Update()
    surfaces = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    surfaces.CreateDefaultDisplayNodes()
    segment_id = surfaces.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "Ball")
    workplace.editor.setSegmentationNode(surfaces)
    workplace.editor.setSourceVolumeNode(workplace.volume)
    workplace.editor.setCurrentSegmentID(segment_id)
    workplace.editor.setActiveEffectByName("MedSAM")
    workplace.segmentation = surfaces
    before = workplace.voxels(segment_id)
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    after = workplace.voxels(segment_id)
    np.testing.assert_array_equal(after[3][workplace.bright(3)[3]], True)
    assert (after | workplace.bright(3)).sum() - after.sum() == 0
    assert after.sum() >= before.sum()


def test_a_segmentation_with_another_grid_than_the_volume_gets_the_same_place(workplace):
    finer = slicer.vtkOrientedImageData()
    finer.SetDimensions(160, 120, 16)
    finer.SetSpacing(0.5, 0.5, 1.0)
    finer.SetDirections(((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
    r, a, s = workplace.ras(0, 0, 0)
    finer.SetOrigin(r + 0.25, a + 0.25, s - 0.5)
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(finer)
    workplace.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
    workplace.editor.setSourceVolumeNode(workplace.volume)
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    # Each voxel of the volume is 2 × 2 × 2 of the segmentation; sampled back it is the same.
    expected = workplace.bright(3)
    found = workplace.voxels()
    assert (found & expected).sum() >= 0.95 * expected.sum()
    assert not found[:3].any()
    assert not found[4:].any()
