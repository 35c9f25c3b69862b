"""The handles of a box correct it, and are not in the way of the next box."""

import numpy as np
import pytest
import qt
import slicer


@pytest.fixture
def box(workplace):
    """The markup of a box around the brick, which is segmented on layer 3."""
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    return workplace.drawn_box()


def hover(workplace, node, column, row, component="ComponentScaleHandle"):
    """Move the pointer to a voxel, where Slicer finds a part of a markup."""
    display = node.GetDisplayNode()
    display.SetActiveComponent(getattr(display, component), 0)
    workplace.event("MouseMoveEvent", workplace.xy(column, row))


def rest(workplace):
    workplace.run_events(0.3)


def press_drag_release(workplace, first, second):
    """What of the three the effect uses up."""
    return [
        workplace.event("LeftButtonPressEvent", workplace.xy(*first)),
        workplace.event("MouseMoveEvent", workplace.xy(*second)),
        workplace.event("LeftButtonReleaseEvent", workplace.xy(*second)),
    ]


def drag_handle(workplace, box, size):
    """Let a handle go where the box has this size (mm, on its slice)."""
    box.InvokeEvent(box.PointStartInteractionEvent)
    box.SetSize([*size, box.GetSize()[2]])
    box.InvokeEvent(box.PointModifiedEvent)
    box.InvokeEvent(box.PointEndInteractionEvent)
    workplace.wait()


def status(workplace):
    return workplace.effect.panel.status.text


def test_a_handle_on_which_the_pointer_rests_is_left_to_the_markup(workplace, box):
    hover(workplace, box, 25, 15)
    rest(workplace)
    assert press_drag_release(workplace, (25, 15), (35, 25)) == [False, False, False]
    assert not workplace.effect.controller.is_busy


def test_a_press_on_the_way_across_a_handle_begins_a_new_box(workplace, box):
    hover(workplace, box, 25, 15)
    assert press_drag_release(workplace, (25, 15), (45, 45)) == [True, True, True]
    workplace.wait()
    assert np.prod(box.GetSize()[:2]) == pytest.approx(20 * 30, rel=0.1)


def test_a_press_on_the_outline_begins_a_new_box_however_long_the_pointer_rests(workplace, box):
    hover(workplace, box, 25, 30, "ComponentROI")
    rest(workplace)
    assert press_drag_release(workplace, (25, 30), (45, 45)) == [True, True, True]


def test_a_pointer_that_has_left_the_handle_begins_a_new_box(workplace, box):
    hover(workplace, box, 25, 15)
    rest(workplace)
    hover(workplace, box, 30, 50, "ComponentNone")
    assert press_drag_release(workplace, (30, 50), (60, 10)) == [True, True, True]


def test_the_pointer_says_by_its_shape_that_it_holds_a_handle(workplace, box):
    shapes = []
    hover(workplace, box, 25, 15)
    shapes.append(workplace.cursor_shape())
    rest(workplace)
    shapes.append(workplace.cursor_shape())
    hover(workplace, box, 30, 50, "ComponentNone")
    rest(workplace)
    shapes.append(workplace.cursor_shape())
    assert shapes[0] != qt.Qt.SizeAllCursor
    assert shapes[1:] == [qt.Qt.SizeAllCursor, qt.Qt.CrossCursor]


@pytest.mark.parametrize("size", [(0.0, 0.0), (0.0, 20.0), (1e-14, 12.0), (0.5, 0.5)])
def test_a_box_that_is_dragged_to_nothing_goes_back_and_what_it_did_stays(workplace, box, size):
    before, center = list(box.GetSize()), list(box.GetCenter())
    box.InvokeEvent(box.PointStartInteractionEvent)
    box.SetCenter([center[0] + 20.0, center[1] + 15.0, center[2]])
    drag_handle(workplace, box, size)
    np.testing.assert_allclose(box.GetSize(), before)
    np.testing.assert_allclose(box.GetCenter(), center)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    assert "too small for a box" in status(workplace)
    assert "MedSAM box" not in status(workplace)
    workplace.editor.undo()  # the drag was none of its steps
    assert not workplace.voxels().any()


def test_after_a_drag_to_nothing_the_box_can_be_corrected(workplace, box):
    drag_handle(workplace, box, (0.0, 0.0))
    drag_handle(workplace, box, (12.0, 30.0))
    found = workplace.voxels()
    assert found.any()
    assert found.sum() < workplace.bright(3).sum()


@pytest.mark.parametrize("pixels", [(6, 0), (0, 6), (3, 3), (40, 2)])
def test_a_drag_of_a_few_pixels_is_no_box_and_says_so(workplace, box, pixels):
    workplace.scripted_effect.setParameter("Mode", "subtract")
    x, y = workplace.xy(40, 30)
    workplace.event("LeftButtonPressEvent", (x, y))
    workplace.event("MouseMoveEvent", (x + pixels[0], y + pixels[1]))
    workplace.event("LeftButtonReleaseEvent", (x + pixels[0], y + pixels[1]))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    assert "Too small for a box" in status(workplace)


def test_a_click_says_nothing(workplace, box):
    before = status(workplace)
    press_drag_release(workplace, (40, 30), (40, 30))
    assert status(workplace) == before
    assert slicer.mrmlScene.GetNodesByClass("vtkMRMLMarkupsROINode").GetNumberOfItems() == 1
