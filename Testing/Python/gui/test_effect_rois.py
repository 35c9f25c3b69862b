"""ROI markups with the effect: preview, apply, revert, correction of the drawn box."""

import time

import numpy as np
import pytest
import qt
import slicer
import vtk

from MedSAMSegmentSlicer.roi_selection import choose_rois
from MedSAMSegmentWidgets.effect_parameters import ROI_ROLE


@pytest.fixture
def roi(workplace):
    """Around the left half of the brick, all layers."""
    made = workplace.add_roi("Half", workplace.ras(37, 30, 3.5), (15.0, 30.0, 16.0))
    workplace.scripted_effect.setNodeReference("ROI", made)
    return made


def _half(workplace, *layers):
    expected = workplace.bright(*layers)
    expected[:, :, 45:] = False
    return expected


def test_apply_segments_the_roi_on_the_current_slice(workplace, roi):
    workplace.effect.panel.apply.click()
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), _half(workplace, 3))


@pytest.mark.parametrize("scope", ["slices", "structure"])
def test_apply_segments_all_slices_that_the_roi_crosses_in_one_undo_state(workplace, roi, scope):
    workplace.scripted_effect.setParameter("Scope", scope)
    workplace.scripted_effect.setParameter("Level", "fast")
    workplace.effect.panel.apply.click()
    workplace.wait()
    found = workplace.voxels()
    if scope == "slices":
        np.testing.assert_array_equal(found, _half(workplace, 2, 3, 4, 5))
    else:
        assert found[2:6].any()
        assert not found[:, :, 45:].any()
    workplace.editor.undo()
    assert not workplace.voxels().any()


def test_a_rotated_roi_has_its_cross_section_boxed(workplace, roi):
    import vtk

    turn = vtk.vtkTransform()
    turn.Translate(*workplace.ras(45, 30, 3.5))
    turn.RotateZ(90.0)
    roi.SetAndObserveObjectToNodeMatrix(turn.GetMatrix())
    roi.SetSize([10.0, 60.0, 16.0])
    workplace.effect.panel.apply.click()
    workplace.wait()
    # Turned by 90° it is 60 mm wide and 10 mm high.
    expected = workplace.bright(3)
    expected[:, :25] = False
    expected[:, 36:] = False
    np.testing.assert_array_equal(workplace.voxels(), expected)


def test_several_rois_become_one_segment_each_named_and_coloured_after_them(workplace, roi):
    other = workplace.add_roi("Rest", workplace.ras(52, 30, 3.5), (14.0, 30.0, 16.0))
    other.GetDisplayNode().SetSelectedColor(0.25, 0.5, 0.75)
    choose_rois(workplace.editor.mrmlSegmentEditorNode(), ROI_ROLE, [roi, other])
    workplace.effect.panel.apply.click()
    workplace.wait()
    segmentation = workplace.segmentation.GetSegmentation()
    half, rest = (segmentation.GetSegmentIdBySegmentName(name) for name in ("Half", "Rest"))
    np.testing.assert_array_equal(workplace.voxels(half), _half(workplace, 3))
    np.testing.assert_array_equal(workplace.voxels(rest), workplace.bright(3) & ~_half(workplace, 3))
    # Slicer's Qt layer keeps 16 bits of a colour.
    np.testing.assert_allclose(segmentation.GetSegment(rest).GetColor(), (0.25, 0.5, 0.75), atol=1 / 65535)
    assert not workplace.voxels().any()


def test_undo_takes_back_the_segments_that_several_rois_have_added(workplace, roi):
    other = workplace.add_roi("Rest", workplace.ras(52, 30, 3.5), (14.0, 30.0, 16.0))
    choose_rois(workplace.editor.mrmlSegmentEditorNode(), ROI_ROLE, [roi, other])
    workplace.effect.panel.apply.click()
    workplace.wait()
    segmentation = workplace.segmentation.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 3
    workplace.editor.undo()
    assert segmentation.GetNumberOfSegments() == 1
    workplace.editor.redo()
    np.testing.assert_array_equal(workplace.voxels(segmentation.GetSegmentIdBySegmentName("Half")), _half(workplace, 3))


def test_a_whole_structure_does_not_depend_on_what_the_view_shows(workplace, roi):
    workplace.scripted_effect.setParameter("Scope", "structure")
    workplace.scripted_effect.setParameter("Level", "fast")
    workplace.view.mrmlSliceNode().JumpSliceByCentering(0.0, 0.0, 300.0)  # beside the image
    workplace.effect.panel.apply.click()
    workplace.wait()
    assert workplace.voxels()[2:6].any()


def test_apply_without_an_roi_says_what_to_do(workplace):
    workplace.effect.panel.apply.click()
    assert "No ROI is chosen" in workplace.effect.panel.status.text
    assert not workplace.effect.controller.is_busy


def test_dragging_a_handle_shows_the_mask_and_writes_nothing(workplace, roi):
    roi.InvokeEvent(roi.PointStartInteractionEvent)
    roi.SetCenter(list(workplace.ras(40, 30, 3.5)))
    roi.InvokeEvent(roi.PointModifiedEvent)
    workplace.wait(lambda: workplace.effect.panel.confidence.text == "0.90")
    roi.InvokeEvent(roi.PointEndInteractionEvent)
    workplace.run_events(0.1)
    assert not workplace.voxels().any()


def test_while_a_handle_is_dragged_the_newest_position_wins_and_there_is_no_queue(workplace, roi, model, monkeypatch):
    workplace.run_events(0.5)  # what is prepared when the view settles is done
    decode = model.decode

    def slow_decode(*arguments, **options):
        time.sleep(0.2)
        return decode(*arguments, **options)

    monkeypatch.setattr(model, "decode", slow_decode)
    previewed = []
    status = workplace.effect.controller._status
    show = status.answer

    def look(answer):
        previewed.append(answer)
        show(answer)

    monkeypatch.setattr(status, "answer", look)
    roi.InvokeEvent(roi.PointStartInteractionEvent)
    before = len(model.decoded)
    for step in range(40):
        roi.SetCenter(list(workplace.ras(37 + step / 8, 30, 3.5)))
    workplace.wait(lambda: len(previewed) >= 2)
    workplace.run_events(0.5)
    # The first position, at which the model was when the others came, and the last: not one after the other.
    assert len(model.decoded) - before == len(previewed) == 2
    last_center = previewed[-1].slices[0].box.x_min + 7.5
    assert abs(last_center - (37 + 39 / 8)) < 0.6
    roi.InvokeEvent(roi.PointEndInteractionEvent)


def test_while_a_handle_is_dragged_the_slice_is_encoded_once(workplace, roi, model, engine):
    workplace.scripted_effect.setParameter("Window", "roi")
    workplace.wait(lambda: not engine.is_busy)
    before = len(model.encoded)
    roi.InvokeEvent(roi.PointStartInteractionEvent)
    for step in range(5):
        roi.SetCenter(list(workplace.ras(31 + 3 * step, 30, 3.5)))
        workplace.run_events(0.1)
    assert len(model.encoded) - before <= 1
    roi.InvokeEvent(roi.PointEndInteractionEvent)


def test_while_a_handle_is_dragged_the_window_is_that_of_the_rule_that_is_chosen_now(workplace, roi, engine):
    previewed = []
    workplace.effect.controller._session.previews._previewed = previewed.append

    def drag(by):
        before = len(previewed)
        roi.InvokeEvent(roi.PointStartInteractionEvent)
        roi.SetCenter(list(workplace.ras(37 + by, 30, 3.5)))
        workplace.wait(lambda: len(previewed) > before and not engine.is_busy)
        during = previewed[-1].window
        roi.InvokeEvent(roi.PointEndInteractionEvent)
        workplace.wait(lambda: not engine.is_busy)
        return during

    workplace.scripted_effect.setParameter("Window", "50,100")
    assert drag(0.1).width == 100
    workplace.scripted_effect.setParameter("Window", "auto")
    assert drag(0.2).rule == "auto: roi"
    workplace.scripted_effect.setParameter("Window", "roi")
    assert drag(0.3).rule == "roi"


def test_revert_puts_the_roi_back_to_where_it_was_before_the_drag(workplace, roi):
    center, size = list(roi.GetCenter()), list(roi.GetSize())
    roi.InvokeEvent(roi.PointStartInteractionEvent)
    roi.SetCenter(list(workplace.ras(50, 35, 3.5)))
    roi.SetSize([5.0, 5.0, 5.0])
    roi.InvokeEvent(roi.PointEndInteractionEvent)
    workplace.effect.panel.revert.click()
    np.testing.assert_allclose(roi.GetCenter(), center)
    np.testing.assert_allclose(roi.GetSize(), size)


def test_the_drawn_box_stays_in_the_scene_but_not_in_node_selectors(workplace):
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    box = workplace.drawn_box()
    assert box.GetScene() is slicer.mrmlScene
    assert box.GetHideFromEditors()
    first = box.GetID()
    workplace.draw((30, 15), (65, 45))
    workplace.wait()
    assert workplace.drawn_box().GetID() == first


def test_new_roi_is_placed_with_the_mouse_while_the_effect_stays_active(workplace):
    workplace.effect.panel.new_roi.button.click()
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    workplace.effect.interactionNodeModified(interaction)
    assert workplace.editor.activeEffect() is not None
    assert workplace.event("LeftButtonPressEvent", workplace.xy(25, 15)) is False
    assert workplace.scripted_effect.nodeReference("ROI") is not None
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def press_escape(workplace):
    for kind in (qt.QEvent.ShortcutOverride, qt.QEvent.KeyPress):
        event = qt.QKeyEvent(kind, qt.Qt.Key_Escape, qt.Qt.NoModifier)
        slicer.app.sendEvent(workplace.effect.panel.apply, event)
    workplace.run_events(0.05)


def test_escape_gives_up_placing_an_roi_and_nothing_is_left_of_it(workplace):
    workplace.effect.panel.new_roi.button.click()
    assert "Escape gives it up" in workplace.effect.panel.status.text
    press_escape(workplace)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert workplace.editor.activeEffect() is not None
    assert workplace.scripted_effect.nodeReference("ROI") is None
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == []
    assert "Escape" not in workplace.effect.panel.status.text


def test_escape_after_the_first_corner_leaves_nothing_either(workplace):
    workplace.effect.panel.new_roi.button.click()
    roi = workplace.scripted_effect.nodeReference("ROI")
    roi.AddControlPoint(vtk.vtkVector3d(*workplace.ras(45, 30, 3.5)))
    press_escape(workplace)
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == []


def test_leaving_the_effect_after_placing_was_given_up_elsewhere_leaves_no_unplaced_roi(workplace):
    workplace.effect.panel.new_roi.button.click()
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    workplace.editor.setActiveEffect(None)
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == []


def test_an_roi_that_was_placed_stays_and_escape_is_slicers_own_again(workplace):
    workplace.effect.panel.new_roi.button.click()
    roi = workplace.scripted_effect.nodeReference("ROI")
    roi.SetCenter(list(workplace.ras(45, 30, 3.5)))
    roi.SetSize([40.0, 30.0, 10.0])
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    workplace.effect.interactionNodeModified(interaction)
    assert "in place" in workplace.effect.panel.status.text
    press_escape(workplace)
    assert roi.GetScene() is not None


def test_a_second_new_roi_leaves_no_unplaced_one_behind(workplace):
    for _ in range(2):
        workplace.effect.panel.new_roi.button.click()
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")) == 1
    press_escape(workplace)


def test_another_mouse_mode_deactivates_the_effect(workplace):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.AdjustWindowLevel)
    if workplace.editor.activeEffect() is not None:
        workplace.effect.interactionNodeModified(interaction)
    assert workplace.editor.activeEffect() is None
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def test_doubtful_slices_of_a_whole_structure_are_listed_and_a_click_jumps_there(workplace, roi, monkeypatch):
    from MedSAMSegmentLib.propagation.results import Structure

    # What is doubtful is the library's to say.
    monkeypatch.setattr(Structure, "doubtful_slices", property(lambda structure: structure.slices[:1]))
    workplace.scripted_effect.setParameter("Scope", "structure")
    workplace.scripted_effect.setParameter("Level", "fast")
    workplace.effect.panel.apply.click()
    workplace.wait()
    (doubtful,) = workplace.effect.panel.review._slices
    workplace.show_slice(7)
    workplace.effect.panel.review.jump(0, 0)
    shown = workplace.view.mrmlSliceNode().GetSliceToRAS().GetElement(2, 3)
    assert shown == pytest.approx(doubtful.center_ras[2], abs=1.1)


def test_several_rois_on_a_slice_are_answered_together(workplace, roi, model):
    other = workplace.add_roi("Rest", workplace.ras(52, 30, 3.5), (14.0, 30.0, 16.0))
    choose_rois(workplace.editor.mrmlSegmentEditorNode(), ROI_ROLE, [roi, other])
    before = len(model.decoded)
    workplace.effect.panel.apply.click()
    workplace.wait()
    assert model.decoded[before:] == [2]


def test_an_roi_that_is_not_on_the_slice_in_view_is_named(workplace, roi):
    away = workplace.add_roi("Elsewhere", workplace.ras(52, 30, 7), (14.0, 30.0, 2.0))
    choose_rois(workplace.editor.mrmlSegmentEditorNode(), ROI_ROLE, [roi, away])
    workplace.effect.panel.apply.click()
    assert "'Elsewhere' is not on the slice in view" in workplace.effect.panel.status.text
    assert not workplace.effect.controller.is_busy
    assert workplace.segmentation.GetSegmentation().GetNumberOfSegments() == 1
