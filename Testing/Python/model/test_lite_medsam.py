"""LiteMedSAM with its real weights, against what its published code answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MedSAMSegmentLib.errors import InvalidPromptError, WeightsError
from MedSAMSegmentLib.models.lite_medsam import LiteMedSam
from MedSAMSegmentLib.models.protocol import Embedding, Prompt
from MedSAMSegmentLib.models.tiny_vit import TinyViT
from MedSAMSegmentLib.prompts import BoxPrompt, PointPrompt
from support.lite_medsam_weights import IDENTITY, lite_medsam, lite_medsam_state_dict
from support.one_device import STAND_IN, encode_and_decode
from support.reference_outputs import CASES, lite_medsam_reference


def dice(mask: np.ndarray, reference: np.ndarray) -> float:
    return 2 * np.logical_and(mask, reference).sum() / (mask.sum() + reference.sum())


def prompts_of(reference: dict[str, np.ndarray]) -> list[Prompt]:
    return [Prompt(BoxPrompt(*box.tolist())) for box in reference["boxes_xyxy"]]


def masks_of(model: LiteMedSam, reference: dict[str, np.ndarray]) -> np.ndarray:
    slice_u8 = reference["image_u8"]
    decoded = model.decode(model.encode([slice_u8])[0], prompts_of(reference))
    return model.logits_on_slice(decoded.logits[:, 0], slice_u8.shape) > 0


@pytest.mark.parametrize("case", CASES)
def test_embedding_and_logits_of_the_reference_input_are_the_published_ones(case: str) -> None:
    reference = lite_medsam_reference(case)
    encoder_weights = {
        name.removeprefix("image_encoder."): tensor
        for name, tensor in lite_medsam_state_dict().items()
        if name.startswith("image_encoder.")
    }
    images = torch.from_numpy(reference["input_256"]).repeat(1, 3, 1, 1)
    with torch.inference_mode():
        embedding = TinyViT.from_published(encoder_weights)(images)[0]
    np.testing.assert_allclose(embedding.mean((1, 2)), reference["embedding_channel_mean"], atol=1e-3)
    np.testing.assert_allclose(embedding.std((1, 2)), reference["embedding_channel_std"], atol=1e-3)
    np.testing.assert_allclose(embedding[::8, ::8, ::8], reference["embedding_every_8th"], atol=1e-3)
    shape_hw = reference["image_u8"].shape
    decoded = lite_medsam().decode(Embedding(embedding, shape_hw), prompts_of(reference))
    np.testing.assert_allclose(decoded.logits[:, 0], reference["low_res_logits"], atol=1e-3)
    np.testing.assert_allclose(decoded.predicted_iou[:, 0], reference["iou"], atol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_masks_from_slice_and_boxes_are_the_published_ones(case: str) -> None:
    reference = lite_medsam_reference(case)
    for mask, published in zip(masks_of(lite_medsam(), reference), reference["masks"], strict=True):
        assert dice(mask, published) >= 0.995


# One case in float16, which a CPU emulates slowly.
@pytest.mark.parametrize(("precision", "cases", "least"), [("bfloat16", CASES, 0.99), ("float16", CASES[:1], 0.995)])
def test_masks_in_half_precision_are_nearly_those_in_float32(
    precision: str, cases: tuple[str, ...], least: float
) -> None:
    dices = []
    for reference in map(lite_medsam_reference, cases):
        masks = masks_of(lite_medsam(precision), reference)
        dices += [dice(mask, published) for mask, published in zip(masks, reference["masks"], strict=True)]
    assert np.mean(dices) >= least


@pytest.mark.parametrize("case", CASES)
def test_masks_from_embeddings_as_they_are_kept_are_those_from_exact_ones(case: str) -> None:
    reference = lite_medsam_reference(case)
    model, prompts, shape_hw = lite_medsam(), prompts_of(reference), reference["image_u8"].shape
    (embedding,) = model.encode([reference["image_u8"]])
    assert embedding.compact().byte_count * 2 == embedding.byte_count
    exact, kept = (
        model.logits_on_slice(model.decode(each, prompts).logits[:, 0], shape_hw) > 0
        for each in (embedding, embedding.compact())
    )
    assert min(dice(*masks) for masks in zip(kept, exact, strict=True)) >= 0.9995


def test_points_are_refused() -> None:
    with pytest.raises(InvalidPromptError, match="boxes only"):
        lite_medsam().decode(Embedding(torch.zeros(256, 64, 64), (64, 64)), [Prompt(None, (PointPrompt(1, 1),))])


@pytest.mark.parametrize("name", ["image_encoder.layers.1.blocks.0.attn.qkv.weight", "mask_decoder.iou_token.weight"])
def test_weights_that_lack_a_tensor_are_refused_by_its_name(name: str) -> None:
    weights = {each: tensor for each, tensor in lite_medsam_state_dict().items() if each != name}
    with pytest.raises(WeightsError, match=name.split(".", 1)[1].replace(".", r"\.")):
        LiteMedSam.from_state_dict(weights, IDENTITY, "cpu", "float32")


def test_weights_with_a_tensor_too_many_or_of_another_shape_are_refused() -> None:
    with pytest.raises(WeightsError, match="unheard_of"):
        weights = lite_medsam_state_dict() | {"image_encoder.unheard_of": torch.zeros(1)}
        LiteMedSam.from_state_dict(weights, IDENTITY, "cpu", "float32")
    with pytest.raises(WeightsError, match=r"neck\.narrow\.weight"):
        weights = lite_medsam_state_dict() | {"image_encoder.neck.0.weight": torch.zeros(256, 300, 1, 1)}
        LiteMedSam.from_state_dict(weights, IDENTITY, "cpu", "float32")


def test_a_pass_can_be_given_up_in_many_places() -> None:
    asked: list[None] = []
    lite_medsam().encode([np.zeros((64, 64), dtype=np.uint8)], cancelled=lambda: bool(asked.append(None)))
    # A second's pass, in parts of less than a tenth: the patches' two layers, twelve blocks and what is between them.
    assert len(asked) >= 14


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_nothing_is_left_on_the_cpu_when_the_model_is_on_a_gpu(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LiteMedSam.from_state_dict(lite_medsam_state_dict(), IDENTITY, STAND_IN, precision)
    embedding, watched = encode_and_decode(model, [Prompt(BoxPrompt(10, 5, 60, 40))], monkeypatch)
    assert embedding.values.dtype == getattr(torch, precision)
    assert (torch.float16 in watched.dtypes) == (precision == "float16")
