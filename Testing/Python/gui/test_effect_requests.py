"""What the user asks for is done, for the segment and the slice it was asked for, in order; or it is said why not."""

import re
import threading
import time

import numpy as np
import pytest
import slicer

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentLib.models.description import ModelIdentity
from support.threshold_model import ThresholdModel

LEFT, RIGHT = ((25, 15), (44.5, 45)), ((44.5, 15), (65, 45))
"""Boxes around the two halves of the bright brick, left and right of column 44.5."""


class SlowModel(ThresholdModel):
    """Answers while it is allowed to."""

    identity = ModelIdentity("slow", "test", "0" * 64, "sam")

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def encode(self, slices_u8, *, cancelled=None):
        while not self.go.is_set():
            if cancelled is not None and cancelled():
                raise CancelledError("Cancelled.")
            time.sleep(0.001)
        return super().encode(slices_u8)


@pytest.fixture
def model():
    made = SlowModel()
    yield made
    made.go.set()  # or the engine's thread would not come to its end


def status(workplace):
    return workplace.effect.panel.status.text


def add_segment(workplace, segment_id):
    workplace.segmentation.GetSegmentation().AddEmptySegment(segment_id, segment_id)


def finish(workplace, model):
    model.go.set()
    workplace.wait()


def half(workplace, k, *, left):
    expected = workplace.bright(k)
    expected[:, :, slice(45, None) if left else slice(0, 45)] = False
    return expected


def test_a_scenes_first_box_goes_into_a_segment_that_was_added_while_the_effect_was_active(workplace, model):
    add_segment(workplace, "Later")
    workplace.editor.setCurrentSegmentID("Later")
    workplace.draw((25, 15), (65, 45))
    workplace.drawn_box()
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels("Later"), workplace.bright(3))
    assert "Done" in status(workplace)


def test_the_effect_notices_another_segment_at_once(workplace):
    add_segment(workplace, "Other")
    workplace.effect.controller._status.say("Of the old segment.")
    workplace.editor.setCurrentSegmentID("Other")
    workplace.run_events(0.02)
    assert "Of the old segment" not in status(workplace)


def test_two_quick_boxes_are_both_carried_out_and_each_is_an_undo_step_of_its_own(workplace, model):
    workplace.draw(*LEFT)
    workplace.draw(*RIGHT)
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(), half(workplace, 3, left=True))
    workplace.editor.undo()
    assert not workplace.voxels().any()


def test_quick_boxes_on_several_slices_go_to_the_slices_they_were_drawn_on(workplace, model):
    for k in (2, 3, 4):
        workplace.show_slice(k)
        workplace.draw((25, 15), (65, 45))
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(2, 3, 4))


def test_the_status_says_how_many_boxes_wait(workplace, model):
    for box in (LEFT, RIGHT, LEFT):
        workplace.draw(*box)
    assert "2 more wait" in status(workplace)
    finish(workplace, model)
    assert "wait" not in status(workplace)


def test_a_box_goes_into_the_segment_it_was_drawn_for_when_another_one_is_selected_meanwhile(workplace, model):
    add_segment(workplace, "Other")
    workplace.draw(*LEFT)
    workplace.editor.setCurrentSegmentID("Other")
    workplace.draw(*RIGHT)
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels("Target"), half(workplace, 3, left=True))
    np.testing.assert_array_equal(workplace.voxels("Other"), half(workplace, 3, left=False))
    assert workplace.editor.mrmlSegmentEditorNode().GetSelectedSegmentID() == "Other"


def test_the_editable_area_is_that_of_the_segment_the_box_was_drawn_for(workplace, model):
    """Outside of all segments, which does not mean the one that is edited."""
    parameters = workplace.editor.mrmlSegmentEditorNode()
    workplace.draw(*LEFT)
    finish(workplace, model)
    add_segment(workplace, "Other")
    parameters.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
    workplace.scripted_effect.setParameter("Mode", "subtract")
    model.go.clear()
    workplace.show_slice(2)
    workplace.show_slice(3)
    workplace.draw(*LEFT)
    workplace.editor.setCurrentSegmentID("Other")
    finish(workplace, model)
    assert not workplace.voxels("Target").any()


def test_a_new_box_does_not_undo_the_one_before_it_that_was_still_being_computed(workplace, model):
    workplace.draw(*LEFT)
    workplace.draw(*RIGHT)
    box = workplace.drawn_box()
    finish(workplace, model)
    box.InvokeEvent(box.PointStartInteractionEvent)
    box.SetCenter([workplace.ras(70, 0, 0)[0], *list(box.GetCenter())[1:]])  # beside the brick
    box.InvokeEvent(box.PointEndInteractionEvent)
    workplace.wait()
    found = workplace.voxels()
    assert (found & half(workplace, 3, left=True)).sum() == half(workplace, 3, left=True).sum()


def test_the_other_volume_may_be_chosen_while_a_box_is_computed(workplace, model):
    other = slicer.mrmlScene.CopyNode(workplace.volume)
    workplace.draw((25, 15), (65, 45))
    workplace.editor.setSourceVolumeNode(other)
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_with_an_intensity_range_of_another_image_nothing_is_written_and_it_is_said(workplace, model):
    other = slicer.mrmlScene.CopyNode(workplace.volume)
    parameters = workplace.editor.mrmlSegmentEditorNode()
    parameters.SetSourceVolumeIntensityMask(True)
    parameters.SetSourceVolumeIntensityMaskRange(50.0, 300.0)
    workplace.draw((25, 15), (65, 45))
    workplace.editor.setSourceVolumeNode(other)
    finish(workplace, model)
    assert not workplace.voxels().any()
    assert "Masking" in status(workplace)
    assert "Target" in status(workplace)


def test_another_segmentation_may_be_chosen_while_a_box_is_computed(workplace, model):
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Another")
    other.CreateDefaultDisplayNodes()
    workplace.draw((25, 15), (65, 45))
    controller = workplace.effect.controller
    workplace.editor.setSegmentationNode(other)
    model.go.set()
    workplace.wait(lambda: not controller.is_busy)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    assert other.GetSegmentation().GetNumberOfSegments() == 0


def test_a_box_is_carried_out_when_the_effect_is_left_before_its_mask_is_there(workplace, model):
    workplace.draw(*LEFT)
    workplace.draw(*RIGHT)
    effect, controller = workplace.effect, workplace.effect.controller
    workplace.editor.setActiveEffect(None)
    assert effect.controller is None
    model.go.set()
    workplace.wait(lambda: not controller.is_busy)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(), half(workplace, 3, left=True))


def test_the_effect_can_be_left_and_entered_again_while_boxes_are_computed(workplace, model):
    workplace.draw(*LEFT)
    workplace.editor.setActiveEffect(None)
    workplace.editor.setActiveEffectByName("MedSAM")
    workplace.wait(lambda: workplace.effect.controller is not None)
    assert workplace.effect.panel.cancel.enabled
    workplace.draw(*RIGHT)
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_what_was_asked_for_before_the_effect_was_left_can_be_cancelled_when_it_is_entered_again(workplace, model):
    workplace.draw(*LEFT)
    workplace.editor.setActiveEffect(None)
    workplace.editor.setActiveEffectByName("MedSAM")
    workplace.wait(lambda: workplace.effect.controller is not None)
    workplace.effect.panel.cancel.click()
    model.go.set()
    workplace.run_events(0.2)
    assert not workplace.voxels().any()
    assert "Cancelled" in status(workplace)


def test_when_the_editor_is_closed_nothing_is_left_that_runs(workplace, model, engine):
    workplace.draw(*LEFT)
    workplace.effect.cleanup()  # as Slicer does when it deletes an editor
    model.go.set()
    workplace.wait(lambda: engine.on_busy == [])
    assert not workplace.voxels().any()


def test_cancel_forgets_all_boxes_that_wait(workplace, model):
    workplace.draw(*LEFT)
    workplace.draw(*RIGHT)
    workplace.effect.panel.cancel.click()
    model.go.set()
    workplace.run_events(0.2)
    assert not workplace.voxels().any()
    assert "Cancelled" in status(workplace)


def test_a_box_whose_segment_is_deleted_is_given_up_at_once_and_it_is_said_while_the_others_go_on(workplace, model):
    add_segment(workplace, "Other")
    workplace.draw(*LEFT)
    workplace.editor.setCurrentSegmentID("Other")
    workplace.draw(*RIGHT)
    workplace.segmentation.GetSegmentation().RemoveSegment("Target")
    workplace.run_events(0.05)
    assert "Target" in status(workplace)
    assert "was deleted" in status(workplace)
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels("Other"), half(workplace, 3, left=False))


def test_a_box_whose_volume_is_removed_is_given_up_at_once_and_it_is_said(workplace, model):
    workplace.draw(*LEFT)
    slicer.mrmlScene.RemoveNode(workplace.volume)
    workplace.run_events(0.05)
    assert not workplace.effect.controller.is_busy
    assert "Brick" in status(workplace)
    assert "was removed" in status(workplace)


def test_growing_continues_the_segment_it_was_asked_for(workplace, model):
    model.go.set()
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    add_segment(workplace, "Other")
    model.go.clear()
    workplace.scripted_effect.setParameter("Window", "40,120")  # of which nothing is encoded yet
    workplace.effect.panel.segment.grow.click()
    workplace.editor.setCurrentSegmentID("Other")
    finish(workplace, model)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(2, 3, 4))
    assert not workplace.voxels("Other").any()


def test_the_time_is_counted_from_the_release_of_the_mouse(workplace, model):
    workplace.draw(*LEFT)
    workplace.run_events(1.2)
    finish(workplace, model)
    seconds = float(status(workplace).split("Done in ")[1].split(" s")[0])
    assert 1.2 <= seconds < 5.0


def test_nothing_moves_by_itself_while_the_model_works(workplace, model):
    """Every frame of an animation composes the whole window: the work would take longer."""
    workplace.draw(*LEFT)
    workplace.run_events(0.8)
    progress = workplace.effect.panel.progress
    assert not progress.visible or progress.maximum > 0


def test_the_status_changes_at_most_twice_a_second_while_the_model_works(workplace, model):
    texts = []
    workplace.draw(*LEFT)
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        slicer.app.processEvents()
        if not texts or texts[-1] != status(workplace):
            texts.append(status(workplace))
        time.sleep(0.002)
    assert 2 <= len(texts) <= 6


def test_what_was_said_of_a_mask_goes_when_it_is_undone(workplace, model):
    workplace.draw(*LEFT)
    finish(workplace, model)
    assert "Done" in status(workplace)
    workplace.editor.undo()
    workplace.run_events(0.02)
    assert not workplace.voxels().any()
    assert "Done" not in status(workplace)
    assert workplace.effect.panel.confidence.text == "–"


def test_what_was_said_of_a_mask_goes_when_a_preview_is_shown(workplace, model, roi):
    workplace.draw(*LEFT)
    finish(workplace, model)
    workplace.effect.panel.roi.setCurrentNode(roi)
    roi.SetCenter(roi.GetCenter())
    workplace.run_events(0.3)
    roi.SetSize([34.0, 24.0, 16.0])
    workplace.run_events(0.3)
    assert "Done" not in status(workplace)


def test_what_was_said_goes_with_revert(workplace, model):
    workplace.draw(*LEFT)
    finish(workplace, model)
    workplace.effect.panel.revert.click()
    assert "Done" not in status(workplace)


def test_nothing_of_a_closed_scene_is_said_in_the_next_one(workplace, model):
    workplace.draw(*LEFT)
    panel = workplace.effect.panel
    slicer.mrmlScene.Clear(False)
    workplace.run_events(0.1)
    assert not any(word in panel.status.text for word in ("Target", "Brick", "background", "Done", "ncoding"))
    assert not panel.cancel.enabled


def test_cancel_is_there_only_while_there_is_something_to_cancel(workplace, model):
    panel = workplace.effect.panel
    assert panel.cancel.isHidden()
    workplace.draw(*LEFT)
    assert not panel.cancel.isHidden()
    finish(workplace, model)
    workplace.run_events(0.05)
    assert panel.cancel.isHidden()


def test_a_whole_structure_says_which_slice_of_how_many_is_being_computed(workplace, model, roi):
    workplace.scripted_effect.setParameter("EncodeAhead", 0)
    workplace.scripted_effect.setParameter("Window", "40,120")  # of which nothing is encoded yet
    workplace.scripted_effect.setParameter("Scope", "structure")
    workplace.effect.panel.roi.setCurrentNode(roi)
    texts = []
    model.go.set()
    decode = model.decode

    def slow(*arguments, **options):  # each slice is decoded, while those that look alike are encoded once
        time.sleep(0.5)
        return decode(*arguments, **options)

    model.decode = slow
    workplace.effect.panel.apply.click()

    def note():
        texts.append(status(workplace))
        return not workplace.effect.controller.is_busy

    workplace.wait(note, seconds=60.0)
    assert any(re.search(r"Slice \d of \d, .* left…", text) for text in texts), set(texts)
