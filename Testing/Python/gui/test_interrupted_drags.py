"""A box whose drag is interrupted is finished as it was drawn, or forgotten; it is never left half-open."""

import numpy as np
import pytest
import qt
import slicer

from gui_stand_in.install import in_real_slicer


def begin(workplace, first=(25, 15), second=(65, 45)):
    workplace.event("LeftButtonPressEvent", workplace.xy(*first))
    workplace.event("MouseMoveEvent", workplace.xy(*second))


def window_deactivated():
    if in_real_slicer():
        return qt.QEvent(qt.QEvent.WindowDeactivate)
    from PySide6.QtCore import QEvent

    return QEvent(QEvent.Type.WindowDeactivate)


def actors(workplace):
    return workplace.number_of_actors()


def nothing_is_left_of_the_drag(workplace, before):
    assert actors(workplace) == before
    assert not workplace.event("MouseMoveEvent", workplace.xy(50, 40))
    assert not workplace.event("LeftButtonReleaseEvent", workplace.xy(50, 40))
    workplace.run_events(0.1)
    assert not workplace.effect.controller.is_busy
    assert not workplace.voxels().any()


@pytest.mark.parametrize("button", ["RightButtonPressEvent", "MiddleButtonPressEvent"])
def test_another_button_gives_the_box_up(workplace, button):
    before = actors(workplace)
    begin(workplace)
    assert workplace.event(button, workplace.xy(60, 40)) is True
    nothing_is_left_of_the_drag(workplace, before)


@pytest.mark.parametrize("button", ["RightButtonPressEvent", "MiddleButtonPressEvent"])
def test_without_a_drag_another_button_is_slicers(workplace, button):
    assert workplace.event(button, workplace.xy(60, 40)) is False


def test_another_window_gives_the_box_up(workplace):
    before = actors(workplace)
    begin(workplace)
    slicer.app.sendEvent(workplace.effect.panel.apply, window_deactivated())
    nothing_is_left_of_the_drag(workplace, before)


def test_a_release_that_nobody_told_gives_the_box_up_when_the_pointer_is_back(workplace):
    before = actors(workplace)
    begin(workplace)
    point, none = qt.QPointF(5, 5), qt.Qt.NoButton
    event = qt.QMouseEvent(qt.QEvent.MouseMove, point, point, none, none, qt.Qt.NoModifier)
    slicer.app.sendEvent(workplace.effect.panel.apply, event)
    nothing_is_left_of_the_drag(workplace, before)


def test_a_second_press_after_a_lost_release_begins_anew(workplace):
    before = actors(workplace)
    begin(workplace, (5, 5), (10, 10))
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert actors(workplace) == before
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_a_drag_that_ends_outside_of_its_view_is_finished_there(workplace):
    begin(workplace)
    x, y = workplace.xy(65, 45)
    workplace.event("LeaveEvent", (x, y))
    workplace.event("MouseMoveEvent", (x + 2000, y - 1500))
    workplace.event("LeftButtonReleaseEvent", (x + 2000, y - 1500))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_a_view_that_is_resized_during_the_drag_keeps_the_box_where_it_was_begun(workplace):
    begin(workplace)
    node = workplace.view.mrmlSliceNode()
    width, height, depth = node.GetDimensions()
    fov = node.GetFieldOfView()
    node.SetDimensions(width // 2, height, depth)
    node.SetFieldOfView(fov[0] / 2, fov[1], fov[2])
    node.UpdateMatrices()
    workplace.effect.processViewNodeEvents(node, 0, workplace.view)
    workplace.event("MouseMoveEvent", workplace.xy(65, 45))
    workplace.event("LeftButtonReleaseEvent", workplace.xy(65, 45))
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
