import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from MedSAMSegmentLib.errors import CancelledError, DeviceError
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache, EmbeddingKey
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import SliceImage
from MedSAMSegmentLib.models.protocol import Embedding, Prompt
from MedSAMSegmentLib.prompts import BoxPrompt
from support.threshold_model import ThresholdModel


def bright_square(value: int = 255, rows: int = 16, columns: int = 20) -> SliceImage:
    pixels = np.zeros((rows, columns), dtype=np.uint8)
    pixels[4:8, 6:12] = value
    return SliceImage(
        pixels, SlicePlane(np.zeros(3), np.array([1, 0, 0]), np.array([0, 1, 0]), (1, 1), (rows, columns))
    )


def box(*xyxy: float) -> Prompt:
    return Prompt(box=BoxPrompt(*xyxy))


def test_the_mask_lies_on_the_slices_own_pixels():
    image = bright_square()
    segmenter = Segmenter(ThresholdModel())
    (prediction,) = segmenter.predict(image, [box(5, 3, 13, 9)])
    answer = segmenter.mask(prediction, MaskOptions())
    np.testing.assert_array_equal(answer.mask_hw, image.pixels_u8 == 255)
    assert answer.plane is image.plane
    assert answer.predicted_iou == pytest.approx(0.9)


def test_a_slice_is_encoded_once_however_many_prompts_it_gets():
    model = ThresholdModel()
    segmenter = Segmenter(model)
    image = bright_square()
    segmenter.predict(image, [box(0, 0, 5, 5), box(5, 3, 13, 9)])
    segmenter.predict(image, [box(5, 3, 9, 9)])
    assert len(model.encoded) == 1
    assert model.decoded == [2, 1]


def test_a_slice_that_looks_the_same_is_not_encoded_again_even_as_another_object():
    model = ThresholdModel()
    segmenter = Segmenter(model)
    segmenter.predict(bright_square(), [box(0, 0, 5, 5)])
    assert segmenter.is_encoded(bright_square())
    segmenter.predict(bright_square(), [box(0, 0, 5, 5)])
    assert len(model.encoded) == 1


def test_an_edited_voxel_is_never_answered_from_the_cache():
    model = ThresholdModel()
    segmenter = Segmenter(model)
    pixels = bright_square().pixels_u8
    for row in range(0, 16, 5):
        for column in range(0, 20, 7):
            pixels[row, column] ^= 1  # the very same array, edited in place as Slicer does
            segmenter.predict(SliceImage(pixels, bright_square().plane), [box(0, 0, 5, 5)])
    assert len(model.encoded) == 4 * 3


def test_slices_of_equal_bytes_and_different_shape_are_told_apart():
    flat = np.zeros((4, 8), dtype=np.uint8)
    plane = bright_square().plane
    assert SliceImage(flat, plane).digest != SliceImage(flat.reshape(8, 4), plane).digest


def test_two_models_do_not_share_embeddings():
    cache = EmbeddingCache()
    first, second = ThresholdModel(), ThresholdModel()
    second.identity = replace(first.identity, revision="another")
    Segmenter(first, cache).encode([bright_square()])
    Segmenter(second, cache).encode([bright_square()])
    assert len(second.encoded) == 1


def test_encoding_many_slices_reports_progress_and_encodes_each_different_one_once():
    model = ThresholdModel()
    model.batch_size = 2
    images = [bright_square(value) for value in (200, 210, 200, 220, 230)]
    reported = []
    embeddings = Segmenter(model).encode(images, progress=lambda done, total: reported.append((done, total)))
    assert len(embeddings) == 5
    assert len(model.encoded) == 4
    assert reported == [(2, 4), (4, 4)]
    np.testing.assert_array_equal(embeddings[0].values, embeddings[2].values)


def test_cancelling_stops_before_the_next_batch_and_keeps_what_is_done():
    model = ThresholdModel()
    segmenter = Segmenter(model)
    images = [bright_square(value) for value in (200, 210, 220)]
    with pytest.raises(CancelledError):
        segmenter.encode(images, cancelled=lambda: len(model.encoded) == 2)
    assert len(model.encoded) == 2
    assert segmenter.is_encoded(images[1])
    assert not segmenter.is_encoded(images[2])


def test_of_several_candidates_the_one_of_highest_predicted_iou_is_taken():
    segmenter = Segmenter(ThresholdModel())
    (prediction,) = segmenter.predict(bright_square(), [box(5, 3, 13, 9)], candidates=True)
    prediction.predicted_iou[:] = (0.2, 0.8, 0.5)
    prediction.logits[1] = -10.0
    assert not segmenter.mask(prediction, MaskOptions()).mask_hw.any()
    assert segmenter.mask(prediction, MaskOptions(), candidate=2).mask_hw.sum() == 24


def test_embeddings_are_kept_with_two_bytes_a_value_and_used_as_they_are_kept() -> None:
    class Exact(ThresholdModel):
        def encode(self, slices_u8, *, cancelled=None):
            return [Embedding(torch.rand(4, 8, 8), pixels.shape) for pixels in slices_u8]

    segmenter = Segmenter(Exact())
    image = bright_square()
    (first,), (again,) = segmenter.encode([image]), segmenter.encode([image])
    assert first.byte_count == 2 * 4 * 8 * 8
    assert again is first
    rough = Embedding(torch.zeros(4, dtype=torch.bfloat16), (2, 2))
    assert rough.compact() is rough


class FullDevice(ThresholdModel):
    """Has room for so many embeddings, those that are kept included."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self._made: list[weakref.ref[Embedding]] = []

    def encode(self, slices_u8, *, cancelled=None):
        kept = sum(reference() is not None for reference in self._made)
        if kept + len(slices_u8) > self.room:
            raise DeviceError("The memory does not hold a single slice.")
        embeddings = super().encode(slices_u8)
        self._made += [weakref.ref(embedding) for embedding in embeddings]
        return embeddings


def test_embeddings_that_are_kept_make_room_for_new_ones_where_memory_is_short():
    segmenter = Segmenter(FullDevice(room=2))
    for value in (200, 210, 220):
        segmenter.encode([bright_square(value)])
    assert not segmenter.is_encoded(bright_square(200))
    assert segmenter.is_encoded(bright_square(220))


def test_a_device_that_holds_nothing_at_all_is_an_error():
    with pytest.raises(DeviceError):
        Segmenter(FullDevice(room=0)).encode([bright_square()])


def test_files_stay_when_memory_is_released(tmp_path):
    cache = DiskEmbeddingCache(tmp_path / "cache")
    key = EmbeddingKey("0" * 32, "model|float32")
    cache.put(key, Embedding(torch.zeros(2, 3, 4), (30, 40)))
    cache.release()
    assert len(cache) == 0
    assert cache.get(key) is not None
