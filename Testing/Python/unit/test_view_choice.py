"""The view that the model is surest of is the one that is taken."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.protocol import Decoded
from MedSAMSegmentLib.propagation.evidence import Evidence, View
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices
from MedSAMSegmentLib.propagation.view_choice import choose_view, trust_in_views
from support.threshold_model import ThresholdModel

WINDOW = Window(0.0, 255.0, "as it is")
NEAR, WHOLE = View(5.0, WINDOW), View(np.inf, WINDOW)


class SureOfLargeBoxes(ThresholdModel):
    """Predicts a larger IoU the more of the picture the box fills, or the less of it."""

    def __init__(self, sense: float) -> None:
        super().__init__()
        self._sense = sense

    def decode(self, embedding, prompts, *, candidates=False, region=None) -> Decoded:
        decoded = super().decode(embedding, prompts, candidates=candidates, region=region)
        share = np.array([prompt.box.width / embedding.shape_hw[1] for prompt in prompts], dtype=np.float32)
        return Decoded(decoded.logits, (0.5 + self._sense * share)[:, None], decoded.shape_hw)


def volume_of(side: int) -> Volume:
    voxels = np.random.default_rng(4).integers(0, 255, (20, side, side)).astype(np.uint8)
    return Volume(voxels, VolumeGeometry(voxels.shape, np.eye(4)))


def region_of(volume: Volume) -> RoiSlices:
    roi = OrientedBox.from_bounds((39.5, 39.5, 2.5), (49.5, 49.5, 15.5))
    return RoiSlices.of(SliceStack.of(volume.geometry, "axial"), roi)


@pytest.mark.parametrize(("sense", "expected"), [(0.4, NEAR), (-0.4, WHOLE)])
def test_the_view_with_the_larger_predicted_iou_is_chosen(sense, expected):
    volume = volume_of(120)
    model = SureOfLargeBoxes(sense)
    chosen = choose_view(volume, region_of(volume), [NEAR, WHOLE], Segmenter(model))
    assert chosen.views == (expected,)
    assert len(model.encoded) == 2 * 2


def test_the_first_of_equally_good_views_is_chosen():
    volume = volume_of(120)
    for views in ([NEAR, WHOLE], [WHOLE, NEAR]):
        flat = Volume(np.zeros_like(volume.voxels_kji), volume.geometry)
        assert choose_view(flat, region_of(flat), views, Segmenter(ThresholdModel())).views == (views[0],)


def test_views_that_show_the_same_pixels_need_no_choice():
    volume = volume_of(50)  # less than five times the ROI on every side
    roi = OrientedBox.from_bounds((19.5, 19.5, 2.5), (31.5, 31.5, 15.5))
    region = RoiSlices.of(SliceStack.of(volume.geometry, "axial"), roi)
    model = ThresholdModel()
    assert choose_view(volume, region, [NEAR, WHOLE], Segmenter(model)).views == (NEAR,)
    assert not model.encoded


def test_trust_is_the_mean_of_predicted_iou_and_stability():
    # Half of the mask's pixels are within 1 of the threshold in the second view, none in the first.
    logits = np.full((2, 3, 4, 4), -5.0, dtype=np.float32)
    logits[:, :, :2] = 5.0
    logits[1, :, 0] = 0.5
    iou = np.array([[0.8, 0.8, 0.8], [0.9, 0.9, 0.9]], dtype=np.float32)
    evidence = Evidence(logits, iou, np.ones(3, dtype=np.float32), 0.0, 0.0)
    np.testing.assert_allclose(trust_in_views(evidence), [(0.8 + 1.0) / 2, (0.9 + 0.5) / 2], atol=1e-6)
