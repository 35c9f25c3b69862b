"""SAM ViTs: faster attention with the same results, prompts in batches, memory that runs out."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch

from MedSAMSegmentLib.errors import CancelledError, DeviceError, InvalidPromptError
from MedSAMSegmentLib.models.preprocessing import MedSamPreprocessing, SamPreprocessing
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.models.relative_attention import RelativeAttention, replace_attention
from MedSAMSegmentLib.models.sam_vit import SamVit
from MedSAMSegmentLib.prompts import BoxPrompt, PointPrompt
from support.one_device import STAND_IN, encode_and_decode
from support.tiny_sam import IDENTITY, SIZE, tiny_sam_model

random = np.random.default_rng(0)
SLICE = random.integers(0, 256, (60, 90), dtype=np.uint8)
BOXES = [BoxPrompt(10, 5, 60, 40), BoxPrompt(30.5, 20, 80, 55)]
POINTS = (PointPrompt(20, 30), PointPrompt(70, 10, is_foreground=False))


def tiny_sam_vit(precision: str = "float32") -> SamVit:
    return SamVit.from_sam_model(tiny_sam_model(), IDENTITY, "cpu", precision)


def test_replaced_attention_leaves_the_embedding_as_it_is() -> None:
    published = tiny_sam_model().vision_encoder
    ours = copy.deepcopy(published)
    replace_attention(ours)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.inference_mode():
        expected = published(images).last_hidden_state
        torch.testing.assert_close(ours(images).last_hidden_state, expected, atol=1e-4, rtol=1e-4)


def test_lengthened_queries_and_keys_give_what_a_bias_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_on_a_gpu(attention: RelativeAttention, *parts: torch.Tensor) -> torch.Tensor:
        attended = attention._attend_lengthened(*parts)
        return attended.transpose(1, 2).flatten(2)

    monkeypatch.setattr(RelativeAttention, "_attend_head_by_head", as_on_a_gpu)
    test_replaced_attention_leaves_the_embedding_as_it_is()


def test_relative_positions_matter_to_the_embedding_of_the_small_model() -> None:
    # If they did not, the tests above could not fail.
    published = tiny_sam_model().vision_encoder
    without = copy.deepcopy(published)
    with torch.inference_mode():
        for name, parameter in without.named_parameters():
            if "rel_pos" in name:
                parameter.zero_()
        images = torch.randn(1, 3, SIZE, SIZE)
        difference = published(images).last_hidden_state - without(images).last_hidden_state
    assert difference.abs().max() > 100 * 1e-4


@pytest.mark.parametrize("candidates", [False, True])
@pytest.mark.parametrize("kind", ["box", "points", "both"])
def test_prompts_are_answered_as_sam_model_answers_them(kind: str, candidates: bool) -> None:
    boxes = torch.tensor([[box.xyxy for box in BOXES]]) * (SIZE / 90) if kind != "points" else None
    points = labels = None
    if kind != "box":
        pixels = torch.tensor([[point.column, point.row] for point in POINTS]) * (SIZE / 90)
        # The longer side of 90 columns fits exactly; 60 rows become 85 (int(85.33 + 0.5)).
        pixels[:, 1] *= (85 / 60) / (SIZE / 90)
        points, labels = pixels.repeat(1, 2, 1, 1), torch.tensor([[[1, 0], [1, 0]]])
    if boxes is not None:
        boxes[..., 1::2] *= (85 / 60) / (SIZE / 90)
    with torch.inference_mode():
        expected = tiny_sam_model()(
            pixel_values=SamPreprocessing(SIZE).to_input(SLICE)[None],
            input_boxes=boxes,
            input_points=points,
            input_labels=labels,
            multimask_output=candidates,
        )
    prompts = [Prompt(box if kind != "points" else None, POINTS if kind != "box" else ()) for box in BOXES]
    model = tiny_sam_vit()
    decoded = model.decode(model.encode([SLICE])[0], prompts, candidates=candidates)
    assert decoded.logits.shape[:2] == (2, 3 if candidates else 1)
    np.testing.assert_allclose(decoded.logits, expected.pred_masks[0].numpy(), atol=1e-3)
    np.testing.assert_allclose(decoded.predicted_iou, expected.iou_scores[0].numpy(), atol=1e-4)


def test_prompts_of_different_kinds_in_one_call_are_answered_as_one_by_one() -> None:
    model = tiny_sam_vit()
    (embedding,) = model.encode([SLICE])
    prompts = [Prompt(BOXES[0]), Prompt(None, POINTS), Prompt(BOXES[1]), Prompt(BOXES[1], POINTS[:1])]
    together = model.decode(embedding, prompts)
    for n, prompt in enumerate(prompts):
        alone = model.decode(embedding, [prompt])
        np.testing.assert_allclose(together.logits[n], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together.predicted_iou[n], alone.predicted_iou[0], atol=1e-5)


def test_an_empty_prompt_is_refused() -> None:
    model = tiny_sam_vit()
    (embedding,) = model.encode([SLICE])
    with pytest.raises(InvalidPromptError, match="empty"):
        model.decode(embedding, [Prompt()])
    with pytest.raises(InvalidPromptError, match="no prompt"):
        model.decode(embedding, [])


def test_a_model_trained_with_boxes_refuses_points() -> None:
    model = SamVit(tiny_sam_model(), MedSamPreprocessing(SIZE), IDENTITY, "cpu", "float32", takes_points=False)
    (embedding,) = model.encode([SLICE])
    with pytest.raises(InvalidPromptError, match="boxes only"):
        model.decode(embedding, [Prompt(BOXES[0], POINTS)])


def test_slices_of_a_batch_are_encoded_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = [SLICE, SLICE[:, ::-1], SLICE.T, SLICE[::-1], SLICE[:30]]
    model = tiny_sam_vit()
    one_by_one = [model.encode([pixels])[0] for pixels in slices]
    monkeypatch.setattr(SamVit, "batch_size", 2)
    for batched, alone in zip(model.encode(slices), one_by_one, strict=True):
        assert batched.shape_hw == alone.shape_hw
        torch.testing.assert_close(batched.values, alone.values, atol=1e-4, rtol=1e-4)
        assert batched.values.untyped_storage().nbytes() == batched.byte_count


@pytest.mark.parametrize(
    ("free_slices", "held_slices", "batch_size"), [(0.5, 0, 1), (5.1, 0, 3), (2.6, 2.5, 3), (1000, 0, 16)]
)
def test_a_gpu_gets_batches_that_fill_six_tenths_of_what_is_free(
    free_slices: float, held_slices: float, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_sam_vit()
    in_use = 10**9
    monkeypatch.setattr(model, "_device", "cuda")
    monkeypatch.setattr(model, "_bytes_per_slice", 10**6)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free_slices * 10**6), 80 * 10**9))
    # torch keeps memory that it has freed: to the GPU it looks taken.
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: in_use + int(held_slices * 10**6))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: in_use)
    assert model.batch_size == batch_size


def fails_above(largest_batch: int, sizes: list[int]) -> Callable[[SamVit, list[np.ndarray]], torch.Tensor]:
    def encode_batch(model: SamVit, slices_u8: list[np.ndarray]) -> torch.Tensor:
        sizes.append(len(slices_u8))
        if len(slices_u8) > largest_batch:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.zeros(len(slices_u8), 1, 1, 1)

    return encode_batch


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(SamVit, "batch_size", 8)
    monkeypatch.setattr(SamVit, "_encode_batch", fails_above(2, sizes))
    assert len(tiny_sam_vit().encode([SLICE] * 9)) == 9
    assert sizes == [8, 4, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(("device", "offers_the_cpu"), [("cpu", False), (STAND_IN, True)])
def test_memory_that_does_not_hold_a_single_slice_is_an_error_that_says_what_to_do(
    device: str, offers_the_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SamVit, "_encode_batch", fails_above(0, []))
    model = SamVit.from_sam_model(tiny_sam_model(), IDENTITY, device, "float32")
    with pytest.raises(DeviceError, match=r"does not hold a single slice.*lite-medsam") as raised:
        model.encode([SLICE])
    assert ("choose the device cpu" in str(raised.value)) == offers_the_cpu


def test_another_error_of_the_encoder_is_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: SamVit, slices_u8: list[np.ndarray]) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(SamVit, "_encode_batch", broken)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        tiny_sam_vit().encode([SLICE])


def test_reduced_precision_halves_the_embedding_and_barely_moves_the_logits() -> None:
    exact, reduced = tiny_sam_vit(), tiny_sam_vit("bfloat16")
    (exact_embedding,), (reduced_embedding,) = exact.encode([SLICE]), reduced.encode([SLICE])
    assert reduced_embedding.byte_count * 2 == exact_embedding.byte_count
    exact_logits = exact.decode(exact_embedding, [Prompt(BOXES[0])]).logits
    reduced_logits = reduced.decode(reduced_embedding, [Prompt(BOXES[0])]).logits
    assert reduced_logits.dtype == np.float32
    # bfloat16 has 8 bits: a few hundredths of the range after some layers.
    assert np.abs(exact_logits - reduced_logits).max() < 0.1 * np.ptp(exact_logits)


def test_a_pass_can_be_given_up_and_the_next_one_is_as_ever():
    model, asked = tiny_sam_vit(), []
    (expected,) = model.encode([SLICE])
    with pytest.raises(CancelledError):
        model.encode([SLICE], cancelled=lambda: len(asked) == 1 or asked.append(None))
    (again,) = model.encode([SLICE], cancelled=lambda: False)
    torch.testing.assert_close(again.values, expected.values, rtol=0, atol=0)


def test_nothing_is_left_on_the_cpu_when_a_model_is_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SamVit.from_sam_model(tiny_sam_model(), IDENTITY, STAND_IN, "bfloat16")
    prompts = [Prompt(box) for box in BOXES] + [Prompt(BOXES[0], POINTS)]
    embedding, watched = encode_and_decode(model, prompts, monkeypatch)
    assert embedding.values.dtype == torch.bfloat16
    assert {torch.bfloat16, torch.float32} <= set(watched.dtypes)
