"""What becomes a box while a button is held down."""

import numpy as np
import pytest

from MedSAMSegmentSlicer.box_drag import BoxDrag, DragState

# Slicer's axial view: to the right is L, upwards is A.
AXIAL = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 7.0], [0, 0, 0, 1]])


def _drag_to(drag, end_xy, end_ras, start_xy=(10, 10), start_ras=(30.0, 20.0, 7.0)):
    assert drag.press("Red", start_xy, start_ras, AXIAL, handle=False)
    assert drag.move("Red", end_xy, end_ras)


def test_a_drag_gives_a_box_with_its_corners_where_the_pointer_was():
    drag = BoxDrag()
    _drag_to(drag, (60, 40), (-10.0, 45.0, 7.0))
    box, ours = drag.release()
    assert ours
    np.testing.assert_allclose(box.corners_ras, [[30, 20, 7], [-10, 20, 7], [-10, 45, 7], [30, 45, 7]])
    assert drag.state is DragState.IDLE


def test_a_click_that_trembles_is_no_drag():
    drag = BoxDrag()
    _drag_to(drag, (12, 9), (29.0, 20.5, 7.0))
    assert drag.box is None
    assert drag.release() == (None, True)


def test_a_drag_along_one_edge_has_no_area_and_gives_no_box():
    drag = BoxDrag()
    _drag_to(drag, (60, 10), (-10.0, 20.0, 7.0))
    assert drag.release() == (None, True)


@pytest.mark.parametrize("angle", [17.0, 31.0, 123.0])
def test_in_a_turned_view_a_drag_along_one_edge_has_no_area_either(angle):
    turn = np.radians(angle)
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [0, 0, 1.0], [np.sin(turn), np.cos(turn), 0]]
    pose[:3, 3] = (50.1, 6.3, 7.7)
    start = pose[:3, 3] + 3.7 * pose[:3, 0] - 4.1 * pose[:3, 1]
    drag = BoxDrag()
    drag.press("Red", (0, 0), start, pose, handle=False)
    drag.move("Red", (50, 0), pose[:3, 3] + 33.9 * pose[:3, 0] - 4.1 * pose[:3, 1])
    assert drag.release() == (None, True)


def test_coming_back_to_the_start_gives_up_the_box():
    drag = BoxDrag()
    _drag_to(drag, (60, 40), (-10.0, 45.0, 7.0))
    drag.move("Red", (11, 12), (29.0, 21.0, 7.0))
    assert drag.release() == (None, True)


@pytest.mark.parametrize(
    ("end_xy", "is_box"), [((15, 15), True), ((14, 60), False), ((60, 14), False), ((5, 60), True)]
)
def test_a_rectangle_with_a_side_of_less_than_five_pixels_is_no_box(end_xy, is_box):
    drag = BoxDrag()
    _drag_to(drag, end_xy, (-10.0, 45.0, 7.0))
    assert drag.has_moved
    assert (drag.release()[0] is not None) is is_box


def test_a_click_has_not_moved():
    drag = BoxDrag()
    drag.press("Red", (10, 10), (30.0, 20.0, 7.0), AXIAL, handle=False)
    assert not drag.has_moved


def test_a_press_on_a_handle_is_passed_on_until_the_button_is_up():
    drag = BoxDrag()
    assert drag.press("Red", (10, 10), (0.0, 0, 7), AXIAL, handle=True) is False
    assert drag.move("Red", (60, 60), (9.0, 9, 7)) is False
    assert drag.release() == (None, False)
    assert drag.move("Red", (60, 60), (9.0, 9, 7)) is False


def test_a_cancelled_drag_gives_nothing_and_its_release_is_not_ours():
    drag = BoxDrag()
    _drag_to(drag, (60, 40), (-10.0, 45.0, 7.0))
    assert drag.cancel()
    assert not drag.cancel()
    assert drag.release() == (None, False)


def test_moves_in_another_view_do_not_change_the_box():
    drag = BoxDrag()
    _drag_to(drag, (60, 40), (-10.0, 45.0, 7.0))
    drag.move("Green", (5, 5), (0.0, 0.0, 99.0))
    box, _ = drag.release()
    np.testing.assert_allclose(box.end_ras, (-10, 45, 7))


def test_the_box_stays_flat_when_the_view_is_scrolled_during_the_drag():
    drag = BoxDrag()
    _drag_to(drag, (60, 40), (-10.0, 45.0, 7.0))
    drag.move("Red", (61, 41), (-11.0, 46.0, 12.0))
    box, _ = drag.release()
    np.testing.assert_allclose(box.corners_ras[:, 2], 7.0)


@pytest.mark.parametrize("angle", [0.0, 30.0, 123.0])
def test_the_oriented_box_of_a_turned_view_has_the_rectangle_as_its_middle_section(angle):
    turn = np.radians(angle)
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [0, 0, 1.0], [np.sin(turn), np.cos(turn), 0]]
    pose[:3, 3] = (5.0, 6.0, 7.0)
    start = pose[:3, 3] + 3 * pose[:3, 0] - 4 * pose[:3, 1]
    end = pose[:3, 3] - 7 * pose[:3, 0] + 8 * pose[:3, 1]
    drag = BoxDrag()
    drag.press("Red", (0, 0), start, pose, handle=False)
    drag.move("Red", (50, 50), end)
    drawn, _ = drag.release()
    box = drawn.oriented_box(2.0)
    np.testing.assert_allclose(box.size_mm, (10, 12, 2))
    np.testing.assert_allclose(box.center_ras, (start + end) / 2)
    assert box.interval_along(pose[:3, 2])[1] - box.interval_along(pose[:3, 2])[0] == pytest.approx(2.0)
