"""What a model is shown and asked on the slices of an ROI."""

import math

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.field_of_view import FieldOfView
from MedSAMSegmentLib.propagation.inscribed_ellipsoid import InscribedEllipsoid


def plane(z: float = 0.0, spacing: tuple[float, float] = (1.0, 1.0)) -> SlicePlane:
    return SlicePlane(np.array([0.0, 0.0, z]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), spacing, (400, 300))


@pytest.mark.parametrize("height", [0.0, 3.0, -6.0, 8.0])
def test_the_ellipse_on_a_slice_is_that_of_the_analytic_ellipsoid(height):
    ellipsoid = InscribedEllipsoid(OrientedBox.from_bounds((40, 60, -10), (80, 84, 10)))
    share = math.sqrt(1 - (height / 10) ** 2)
    expected = (60 - 20 * share, 72 - 12 * share, 60 + 20 * share, 72 + 12 * share)
    assert ellipsoid.box_on(plane(height)).xyxy == pytest.approx(expected)


def test_a_slice_beyond_the_ellipsoid_has_no_ellipse():
    assert InscribedEllipsoid(OrientedBox.from_bounds((40, 60, -10), (80, 84, 10))).box_on(plane(10.5)) is None


def test_the_field_of_view_is_a_square_in_mm_about_the_box():
    field = FieldOfView.around(BoxPrompt(99.5, 199.5, 119.5, 209.5), 5.0, plane(spacing=(1.0, 1.0)))
    assert (field.first_row, field.first_column, field.crop_hw) == (155, 60, (100, 100))
    assert field.shown_hw == (256, 256)


def test_the_field_of_view_ends_with_the_slice():
    field = FieldOfView.around(BoxPrompt(-0.5, -0.5, 99.5, 99.5), 5.0, plane())
    assert (field.first_row, field.first_column, field.crop_hw) == (0, 0, (300, 300))
    assert FieldOfView.around(BoxPrompt(0, 0, 9, 9), math.inf, plane()).crop_hw == (400, 300)


def test_a_box_is_where_it_was_on_the_pixels_that_are_shown():
    field = FieldOfView.around(BoxPrompt(99.5, 199.5, 119.5, 209.5), 5.0, plane())
    # The crop's 100 pixels from column 60 and row 155 on are shown as 256.
    expected = [(value + 0.5) * 2.56 - 0.5 for value in (99.5 - 60, 199.5 - 155, 119.5 - 60, 209.5 - 155)]
    assert field.box(BoxPrompt(99.5, 199.5, 119.5, 209.5)).xyxy == pytest.approx(expected, abs=1e-3)
    assert field.box(BoxPrompt(0, 0, 10, 10)) is None


def test_pixels_of_thick_slices_are_shown_square():
    field = FieldOfView.around(BoxPrompt(99.5, 49.5, 149.5, 59.5), 5.0, plane(spacing=(1.0, 5.0)))
    rows, columns = field.crop_hw
    assert field.shown_hw[0] / field.shown_hw[1] == pytest.approx(rows * 5.0 / columns, rel=0.02)
