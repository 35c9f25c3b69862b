"""Resizing, against Pillow and what the definitions say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from MedSAMSegmentLib.models.resizing import resize_area, resize_spline, resize_triangle

random = np.random.default_rng(0)


def resized(
    method: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor], image: np.ndarray, shape_hw: tuple[int, int]
) -> np.ndarray:
    return method(torch.from_numpy(image), shape_hw).numpy()


@pytest.mark.parametrize(("shape", "target"), [((40, 60), (64, 96)), ((120, 77), (64, 41)), ((50, 64), (50, 96))])
def test_triangle_resizing_is_pillows_bilinear(shape: tuple[int, int], target: tuple[int, int]) -> None:
    image = random.integers(0, 256, shape, dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(image).resize(target[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
    np.testing.assert_array_equal(resized(resize_triangle, image, target), pillow)


def test_halving_by_area_averages_squares_and_rounds_ties_up() -> None:
    image = np.array([[0, 1, 4, 4], [0, 1, 4, 5]], dtype=np.uint8)
    np.testing.assert_array_equal(resized(resize_area, image, (1, 2)), [[1, 4]])


def test_shrinking_by_area_weighs_pixels_by_what_they_share() -> None:
    image = np.array([[0, 30, 90]], dtype=np.uint8).repeat(3, axis=0)
    # Each of two outputs covers one and a half pixels: (0 + 30 / 2) / 1.5 and (30 / 2 + 90) / 1.5.
    np.testing.assert_array_equal(resized(resize_area, image, (2, 2)), [[10, 70], [10, 70]])


def test_enlarging_by_area_at_a_whole_factor_repeats_pixels() -> None:
    image = random.integers(0, 256, (5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(resized(resize_area, image, (15, 21)), image.repeat(3, axis=0).repeat(3, axis=1))


def test_colours_are_resized_each_on_its_own() -> None:
    image = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for target in ((10, 15), (33, 49)):
        of_channels = [resized(resize_area, image[..., channel], target) for channel in range(3)]
        np.testing.assert_array_equal(resized(resize_area, image, target), np.stack(of_channels, axis=-1))
        of_channels = [resized(resize_spline, image[..., channel], target) for channel in range(3)]
        np.testing.assert_allclose(resized(resize_spline, image, target), np.stack(of_channels, axis=-1), atol=1e-3)


def test_a_spline_reproduces_its_samples_where_they_coincide() -> None:
    image = random.integers(0, 256, (9, 9), dtype=np.uint8)
    # At thrice as many samples, the middle one of three lies on the input's sample.
    np.testing.assert_allclose(resized(resize_spline, image, (27, 27))[1::3, 1::3], image, atol=1e-3)
