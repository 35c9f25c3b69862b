"""Outlines and thumbnails."""

import io

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.inference.segmenter import SliceMask
from MedSAMSegmentLib.inference.slice_image import SliceImage
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentSlicer.mask_outline import outline_ras
from MedSAMSegmentSlicer.prompt_work import SliceAnswer
from MedSAMSegmentSlicer.thumbnail import thumbnail_ppm

PLANE = SlicePlane(np.array([10.0, 20.0, 5.0]), np.array([-1.0, 0, 0]), np.array([0, -1.0, 0]), (2.0, 3.0), (40, 60))


def test_the_outline_of_one_pixel_is_its_four_edges_in_the_patient():
    mask = np.zeros((40, 60), dtype=bool)
    mask[4, 7] = True
    lines = outline_ras(mask, PLANE)
    assert lines.shape == (4, 2, 3)
    # Column 7 has its centre at R 10 - 14, row 4 at A 20 - 12; half a pixel is 1 mm and 1.5 mm.
    corners = {tuple(np.round(point, 6)) for point in lines.reshape(-1, 3)}
    assert corners == {(-3.0, 9.5, 5.0), (-5.0, 9.5, 5.0), (-3.0, 6.5, 5.0), (-5.0, 6.5, 5.0)}


def test_the_outline_of_a_rectangle_has_its_circumference():
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:20, 30:45] = True
    lines = outline_ras(mask, PLANE)
    lengths = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    assert lengths.sum() == pytest.approx(2 * (10 * 3.0 + 15 * 2.0))


def test_an_empty_mask_has_no_outline():
    assert outline_ras(np.zeros((40, 60), dtype=bool), PLANE).shape == (0, 2, 3)


def _answer():
    pixels = np.full((40, 60), 100, dtype=np.uint8)
    box = BoxPrompt(20.5, 9.5, 40.5, 29.5)
    mask = np.zeros((40, 60), dtype=bool)
    mask[15:25, 25:35] = True
    return SliceAnswer(PLANE, box, 0.9, SliceMask(mask, PLANE, Prompt(box), 0.9), SliceImage(pixels, PLANE))


def test_the_thumbnail_is_a_picture_with_the_patients_proportions_the_box_and_the_outline():
    import PIL.Image

    picture = PIL.Image.open(io.BytesIO(thumbnail_ppm(_answer())))
    # 60 × 2 mm by 40 × 3 mm is a square.
    assert picture.size[0] == picture.size[1]
    pixels = np.asarray(picture)
    yellow = np.argwhere((pixels == (255, 206, 64)).all(axis=2))
    green = np.argwhere((pixels == (63, 191, 166)).all(axis=2))
    side = picture.size[0]
    np.testing.assert_allclose(yellow.min(axis=0), (10 / 40 * side, 21 / 60 * side), atol=1.5)
    np.testing.assert_allclose(yellow.max(axis=0), (30 / 40 * side, 41 / 60 * side), atol=1.5)
    np.testing.assert_allclose(green.min(axis=0), (15 / 40 * side, 25 / 60 * side), atol=1.5)


def test_a_box_that_reaches_beyond_the_slice_is_drawn_at_its_edge():
    answer = _answer()
    large = SliceAnswer(answer.plane, BoxPrompt(-5, -5, 100, 100), 0.9, answer.mask, answer.image)
    assert thumbnail_ppm(large).startswith(b"P6")
