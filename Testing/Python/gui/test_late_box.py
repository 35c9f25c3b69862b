"""The markup of a drawn box comes into the scene behind the request, one step in each turn of the event loop."""

import numpy as np
import slicer

from MedSAMSegmentSlicer.roi_selection import DRAWN_BOX


def boxes():
    nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
    return [node for node in nodes if node.GetAttribute(DRAWN_BOX)]


def test_the_request_goes_first_then_the_markup_is_added_then_it_is_placed_and_shown(workplace):
    workplace.draw((25, 15), (65, 45))
    assert workplace.effect.controller.is_busy
    states = ["requested"]
    assert boxes() == []

    def note():
        (box,) = boxes() or [None]
        if box is None:
            return False
        placed = np.allclose(list(box.GetSize())[:2], (40.0, 30.0), atol=1.0)
        shown = bool(box.GetDisplayNode().GetVisibility())
        state = "added" if not placed and not shown else "shown" if placed and shown else "half"
        if state != states[-1]:
            states.append(state)
        return shown

    workplace.wait(note)
    assert states == ["requested", "added", "shown"]


def test_leaving_the_effect_right_after_the_release_adds_no_markup(workplace):
    workplace.draw((25, 15), (65, 45))
    workplace.editor.setActiveEffect(None)
    workplace.run_events(0.1)
    assert boxes() == []


def test_closing_the_scene_right_after_the_release_adds_no_markup(workplace):
    workplace.draw((25, 15), (65, 45))
    slicer.mrmlScene.Clear(False)
    workplace.run_events(0.1)
    assert boxes() == []


def test_of_two_boxes_at_once_the_second_is_shown_and_can_be_picked_up(workplace):
    workplace.draw((25, 15), (44.5, 45))
    workplace.draw((45, 15), (65, 45))
    box = workplace.drawn_box()
    workplace.wait()
    assert len(boxes()) == 1
    np.testing.assert_allclose(list(box.GetSize())[:1], 20.0, atol=1.0)
    before = workplace.voxels()
    assert before.any()
    box.InvokeEvent(box.PointStartInteractionEvent)
    box.SetCenter([*workplace.ras(10, 0, 0)[:1], *list(box.GetCenter())[1:]])  # away from what is bright
    box.InvokeEvent(box.PointEndInteractionEvent)
    workplace.wait()
    assert workplace.voxels().sum() < before.sum()


def test_a_box_whose_markup_was_deleted_gets_a_new_one_with_the_next_box(workplace):
    workplace.draw((25, 15), (65, 45))
    slicer.mrmlScene.RemoveNode(workplace.drawn_box())
    workplace.draw((30, 15), (50, 45))
    workplace.drawn_box()
    workplace.wait()
    assert len(boxes()) == 1
