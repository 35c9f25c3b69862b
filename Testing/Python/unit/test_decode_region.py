"""Only what is looked at is decoded and upscaled, and that is what the whole would have been."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentLib.models.mask_decoder import UPSCALING, MaskDecoder
from MedSAMSegmentLib.models.preprocessing import MedSamPreprocessing, ModelPreprocessing, SamPreprocessing
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.models.resampling import upscale_bilinear
from MedSAMSegmentLib.models.sam_vit import SamVit
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.field_of_view import FieldOfView
from support.tiny_sam import IDENTITY, SIZE, tiny_sam_model

SLICE = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
PROMPTS = [Prompt(BoxPrompt(10, 5, 60, 40)), Prompt(BoxPrompt(30.5, 20, 80, 55))]


@pytest.mark.parametrize("preprocessing", [SamPreprocessing(SIZE), MedSamPreprocessing(SIZE)])
@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 60), slice(0, 90)),
        (slice(20, 21), slice(33, 34)),
        (slice(0, 7), slice(80, 90)),
        (slice(41, 60), slice(0, 25)),
    ],
)
def test_logits_of_a_region_are_those_of_the_whole(
    preprocessing: ModelPreprocessing, region: tuple[slice, slice]
) -> None:
    model = SamVit(tiny_sam_model(), preprocessing, IDENTITY, "cpu", "float32")
    (embedding,) = model.encode([SLICE])
    whole = model.logits_on_slice(model.decode(embedding, PROMPTS).logits, SLICE.shape)
    decoded = model.decode(embedding, PROMPTS, region=region)
    part = model.logits_on_slice(decoded.logits, SLICE.shape, region)
    # A product of fewer rows may be summed in another order.
    np.testing.assert_allclose(part, whole[..., region[0], region[1]], atol=1e-5, rtol=1e-5)


def test_what_was_not_asked_for_is_no_number() -> None:
    model = SamVit(tiny_sam_model(), SamPreprocessing(SIZE), IDENTITY, "cpu", "float32")
    (embedding,) = model.encode([SLICE])
    logits = model.decode(embedding, PROMPTS, region=(slice(0, 10), slice(0, 10))).logits
    whole = model.decode(embedding, PROMPTS).logits
    assert logits.shape == whole.shape
    assert np.isfinite(logits[..., 0, 0]).all()
    assert np.isnan(logits[..., -1, -1]).all()
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("candidates", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_decoder_answers_as_the_published_one(count: int, candidates: bool) -> None:
    sam = tiny_sam_model()
    torch.manual_seed(1)
    with torch.inference_mode():
        for name, parameter in sam.mask_decoder.named_parameters():
            # Large enough for every projection and bias to show.
            parameter.normal_(mean=float("norm" in name and "weight" in name), std=0.3)
        image, positions = torch.randn(1, 32, 8, 8), torch.randn(1, 32, 8, 8)
        tokens = torch.randn(1, count, 2, 32)
        expected, expected_iou = sam.mask_decoder(image, positions, tokens, torch.zeros(1), candidates)
        decoder = MaskDecoder(sam.mask_decoder)
        logits, iou = decoder(image[0], positions[0], tokens[0], candidates=candidates)
        part, _ = decoder(image[0], positions[0], tokens[0], candidates=candidates, region=(slice(1, 4), slice(2, 8)))
    assert logits.abs().max() > 1
    torch.testing.assert_close(logits, expected[0], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(iou, expected_iou[0], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(part, logits[:, :, UPSCALING : 4 * UPSCALING, 2 * UPSCALING :], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.4)])
def test_a_field_of_view_needs_no_more_than_its_region_says(spacing: tuple[float, float]) -> None:
    geometry = VolumeGeometry((3, 80, 120), np.diag([spacing[0], spacing[1], 3.0, 1.0]))
    plane = SliceStack.of(geometry, "axial").plane(1)
    field = FieldOfView.around(BoxPrompt(30, 20, 60, 50), 2.0, plane)
    rows, columns = np.arange(25, 45), np.arange(33, 58)
    values = np.random.default_rng(0).normal(size=(2, *field.crop_hw)).astype(np.float32)
    shown = upscale_bilinear(values, field.shown_hw)
    needed = field.region(rows, columns)
    everything = np.arange(field.crop_hw[0]) + field.first_row, np.arange(field.crop_hw[1]) + field.first_column
    of_all = field.region(*everything)
    whole = field.on_slice(shown[..., of_all[0], of_all[1]], *everything)
    part = field.on_slice(shown[..., needed[0], needed[1]], rows, columns)
    in_crop = np.ix_(range(2), rows - field.first_row, columns - field.first_column)
    np.testing.assert_array_equal(part, whole[in_crop])
    assert needed[0].stop - needed[0].start < of_all[0].stop - of_all[0].start


def test_more_prompts_than_a_cpu_takes_at_once_are_answered_as_one_by_one() -> None:
    model = SamVit(tiny_sam_model(), SamPreprocessing(SIZE), IDENTITY, "cpu", "float32")
    (embedding,) = model.encode([SLICE])
    prompts = [Prompt(BoxPrompt(5 + 3 * n, 4, 40 + 3 * n, 50)) for n in range(9)]
    together = model.decode(embedding, prompts)
    for n, prompt in enumerate(prompts):
        alone = model.decode(embedding, [prompt])
        np.testing.assert_allclose(together.logits[n], alone.logits[0], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(together.predicted_iou[n], alone.predicted_iou[0], atol=1e-5)
