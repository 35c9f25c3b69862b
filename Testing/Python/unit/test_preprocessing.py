"""What each published preprocessing does to slices, prompts and logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MedSAMSegmentLib.models.preprocessing import (
    LiteMedSamPreprocessing,
    MedSamPreprocessing,
    ModelPreprocessing,
    SamPreprocessing,
)
from support.reference_outputs import CASES, lite_medsam_reference, medsam_vit_b_preprocessing_reference

ALL = (LiteMedSamPreprocessing(), MedSamPreprocessing(), SamPreprocessing())
random = np.random.default_rng(0)


@pytest.mark.parametrize("case", CASES)
def test_lite_medsam_sees_what_its_published_code_gives_it(case: str) -> None:
    reference = lite_medsam_reference(case)
    slice_u8 = reference["image_u8"]
    preprocessing = LiteMedSamPreprocessing()
    model_input = preprocessing.to_input(slice_u8).numpy()
    assert model_input.shape == (3, 256, 256)
    assert np.abs(model_input - reference["input_256"]).max() <= 2 / 255
    boxes = preprocessing.boxes_to_input(reference["boxes_xyxy"], slice_u8.shape)
    np.testing.assert_array_equal(boxes, reference["boxes_256"])
    masks = preprocessing.logits_on_slice(reference["low_res_logits"], slice_u8.shape) > 0
    np.testing.assert_array_equal(masks, reference["masks"])


@pytest.mark.parametrize("case", CASES)
def test_medsam_sees_what_its_published_code_gives_it(case: str) -> None:
    reference = medsam_vit_b_preprocessing_reference(case)
    slice_u8 = reference["image_u8"]
    preprocessing = MedSamPreprocessing()
    model_input = preprocessing.to_input(slice_u8).numpy()
    assert model_input.shape == (3, 1024, 1024)
    differences = np.abs(model_input[:, ::4, ::4] - reference["input_every_4th"])
    assert (differences <= 2 / 255).mean() >= 0.99
    np.testing.assert_allclose((model_input.mean(), model_input.std()), reference["input_mean_std"], atol=1e-4)
    boxes = preprocessing.boxes_to_input(reference["boxes_xyxy"], slice_u8.shape)
    np.testing.assert_allclose(boxes, reference["boxes_1024"], atol=1e-3)


def test_medsams_mask_is_where_the_interpolated_probability_exceeds_one_half() -> None:
    logits = random.normal(scale=8, size=(1, 1, 256, 256)).astype(np.float32)
    probabilities = torch.nn.functional.interpolate(
        torch.sigmoid(torch.from_numpy(logits)), size=(180, 300), mode="bilinear", align_corners=False
    ).numpy()
    ours = MedSamPreprocessing().logits_on_slice(logits, (180, 300))
    certain = np.abs(probabilities - 0.5) > 1e-5
    np.testing.assert_array_equal((ours > 0)[certain], (probabilities > 0.5)[certain])
    assert np.isfinite(ours).all()


def test_sam_resizes_the_longest_side_and_pads_with_zeros_behind_the_normalisation() -> None:
    slice_u8 = np.full((100, 200), 100, dtype=np.uint8)
    model_input = SamPreprocessing().to_input(slice_u8).numpy()
    # segment_anything/modeling/sam.py: pixel_mean 123.675, 116.28, 103.53; pixel_std 58.395, 57.12, 57.375.
    expected = [(100 - 123.675) / 58.395, (100 - 116.28) / 57.12, (100 - 103.53) / 57.375]
    np.testing.assert_allclose(model_input[:, :512].reshape(3, -1).T, np.tile(expected, (512 * 1024, 1)), atol=1e-5)
    assert not model_input[:, 512:].any()


def test_sam_scales_prompts_by_the_resized_shape() -> None:
    # 133 × 200 becomes 681 × 1024 (int(133 · 5.12 + 0.5)), so rows scale by 681 / 133.
    preprocessing = SamPreprocessing()
    np.testing.assert_allclose(preprocessing.points_to_input([[100, 133]], (133, 200)), [[512, 681]])
    np.testing.assert_allclose(preprocessing.boxes_to_input([[0, 0, 100, 133]], (133, 200)), [[0, 0, 512, 681]])


def test_sam_upscales_logits_as_its_published_code_does() -> None:
    logits = torch.from_numpy(random.normal(size=(2, 3, 256, 256)).astype(np.float32))
    interpolate = torch.nn.functional.interpolate
    large = interpolate(logits, (1024, 1024), mode="bilinear", align_corners=False)[..., :681, :1024]
    published = interpolate(large, (133, 200), mode="bilinear", align_corners=False)
    ours = SamPreprocessing().logits_on_slice(logits.numpy(), (133, 200))
    np.testing.assert_allclose(ours, published.numpy(), atol=1e-4)


@pytest.mark.parametrize("preprocessing", ALL, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("shape_hw", [(120, 90), (300, 512), (1, 40)])
def test_a_region_of_upscaled_logits_is_that_part_of_the_whole(
    preprocessing: ModelPreprocessing, shape_hw: tuple[int, int]
) -> None:
    logits = random.normal(scale=5, size=(2, 256, 256)).astype(np.float32)
    rows, columns = shape_hw
    region = (slice(rows // 3, max(rows // 2, 1)), slice(columns // 4, columns))
    whole = preprocessing.logits_on_slice(logits, shape_hw)
    assert whole.shape == (2, *shape_hw)
    np.testing.assert_array_equal(
        preprocessing.logits_on_slice(logits, shape_hw, region), whole[:, region[0], region[1]]
    )


@pytest.mark.parametrize("preprocessing", ALL, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (37, 1), (30, 50, 3)])
def test_thin_and_constant_slices_give_finite_inputs(preprocessing: ModelPreprocessing, shape: tuple[int, ...]) -> None:
    model_input = preprocessing.to_input(np.full(shape, 200, dtype=np.uint8)).numpy()
    assert model_input.shape == (3, preprocessing.size, preprocessing.size)
    assert np.isfinite(model_input).all()


def test_grey_and_equal_colours_are_the_same_to_every_model() -> None:
    grey = random.integers(0, 256, (60, 80), dtype=np.uint8)
    for preprocessing in ALL:
        colour = preprocessing.to_input(np.repeat(grey[..., None], 3, axis=2)).numpy()
        np.testing.assert_allclose(preprocessing.to_input(grey).numpy(), colour, atol=1.01 / 255)
