"""Resizing, against Pillow, torch and what the definitions say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from MedSAMSegmentLib.models.resampling import (
    resize_area,
    resize_spline,
    resize_triangle,
    upscale_bilinear,
)

random = np.random.default_rng(0)


@pytest.mark.parametrize(("shape", "target"), [((40, 60), (64, 96)), ((120, 77), (64, 41)), ((50, 64), (50, 96))])
def test_triangle_resizing_is_pillows_bilinear(shape: tuple[int, int], target: tuple[int, int]) -> None:
    image = random.integers(0, 256, shape, dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(image).resize(target[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
    np.testing.assert_array_equal(resize_triangle(image, target), pillow)


def test_halving_by_area_averages_squares_and_rounds_ties_up() -> None:
    image = np.array([[0, 1, 4, 4], [0, 1, 4, 5]], dtype=np.uint8)
    np.testing.assert_array_equal(resize_area(image, (1, 2)), [[1, 4]])


def test_shrinking_by_area_weighs_pixels_by_what_they_share() -> None:
    image = np.array([[0, 30, 90]], dtype=np.uint8).repeat(3, axis=0)
    # Each of two outputs covers one and a half pixels: (0 + 30 / 2) / 1.5 and (30 / 2 + 90) / 1.5.
    np.testing.assert_array_equal(resize_area(image, (2, 2)), [[10, 70], [10, 70]])


def test_enlarging_by_area_at_a_whole_factor_repeats_pixels() -> None:
    image = random.integers(0, 256, (5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(resize_area(image, (15, 21)), image.repeat(3, axis=0).repeat(3, axis=1))


def test_colours_are_resized_each_on_its_own() -> None:
    image = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for target in ((10, 15), (33, 49)):
        of_channels = [resize_area(image[..., channel], target) for channel in range(3)]
        np.testing.assert_array_equal(resize_area(image, target), np.stack(of_channels, axis=-1))
        of_channels = [resize_spline(image[..., channel], target) for channel in range(3)]
        np.testing.assert_allclose(resize_spline(image, target), np.stack(of_channels, axis=-1), atol=1e-3)


def test_a_spline_reproduces_its_samples_where_they_coincide() -> None:
    image = random.integers(0, 256, (9, 9), dtype=np.uint8)
    # At thrice as many samples, the middle one of three lies on the input's sample.
    np.testing.assert_allclose(resize_spline(image, (27, 27))[1::3, 1::3], image, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 2**31))
def test_upscaling_logits_is_torchs_bilinear(n_in: int, n_out: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(2, n_in, n_in)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None], size=(n_out, n_out), mode="bilinear", align_corners=False
    )[0].numpy()
    # Both are float32, and torch orders its products differently.
    np.testing.assert_allclose(upscale_bilinear(values, (n_out, n_out)), expected, atol=5e-5)
