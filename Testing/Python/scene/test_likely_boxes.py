"""The boxes that a slice may be asked about."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentSlicer.likely_boxes import likely_boxes, middle_of_view, moved_onto

GRID = VolumeGeometry((10, 40, 60), np.diag([1.0, 1.0, 3.0, 1.0]))
AXIAL = SliceStack.of(GRID, "axial")
CORONAL = SliceStack.of(GRID, "coronal")


def drawn(k: int, lower=(10, 10), upper=(30, 25)) -> OrientedBox:
    """A box as thick as the axial slice k, on it."""
    return OrientedBox.from_bounds((*lower, 3.0 * k - 1.5), (*upper, 3.0 * k + 1.5))


def bounds(box: OrientedBox) -> tuple:
    return tuple(np.round((*box.corners_ras.min(axis=0), *box.corners_ras.max(axis=0)), 6))


def test_a_box_that_was_drawn_on_another_slice_is_moved_along_the_slices():
    moved = moved_onto(drawn(2), AXIAL.plane(7))
    assert moved is not None
    assert bounds(moved) == bounds(drawn(7))


def test_an_roi_that_crosses_the_slice_stays_where_it_is():
    roi = OrientedBox.from_bounds((10, 10, 4), (30, 25, 20))
    assert moved_onto(roi, AXIAL.plane(4)) is roi


def test_a_box_from_another_view_is_no_guess():
    assert moved_onto(drawn(2), CORONAL.plane(35)) is None


def test_a_box_beside_the_image_is_no_guess():
    assert moved_onto(drawn(2, (80, 10), (90, 25)), AXIAL.plane(7)) is None


def test_the_last_box_comes_first_then_other_sizes_of_it_and_the_middle_of_the_view_last():
    middle = middle_of_view(np.diag([-1.0, 1.0, 1.0, 1.0]), (20.0, 16.0), 3.0)
    boxes = likely_boxes(AXIAL.plane(0), [drawn(2)], middle)
    widths = [round(float(box.size_mm[0]), 3) for box in boxes]
    assert widths == [20.0, 22.4, 17.6, 10.0]
    assert all(box.size_mm[2] == pytest.approx(3.0) for box in boxes)
    np.testing.assert_allclose(boxes[1].center_ras, boxes[0].center_ras)


def test_the_middle_of_a_view_is_half_as_wide_and_high_wherever_it_looks():
    pose = np.diag([-1.0, 1.0, 1.0, 1.0])
    pose[:3, 3] = (25, 15, 6)
    (only,) = likely_boxes(AXIAL.plane(2), [], middle_of_view(pose, (20.0, 16.0), 3.0))
    assert bounds(only) == (20, 11, 4.5, 30, 19, 7.5)


def test_a_view_that_looks_beside_the_image_gives_no_guess():
    pose = np.diag([-1.0, 1.0, 1.0, 1.0])
    pose[:3, 3] = (500, 15, 6)
    assert likely_boxes(AXIAL.plane(2), [], middle_of_view(pose, (20.0, 16.0), 3.0)) == ()
