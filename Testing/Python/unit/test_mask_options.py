import numpy as np
import pytest
import SimpleITK as sitk

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.inference.mask_options import MAX_SMOOTHING_MM, MaskOptions, clean_mask, mask_from_logits

SPACING = (1.0, 1.0)


def ring_and_dot() -> np.ndarray:
    """A 5×5 square with a hole in its middle, and a single pixel away from it, as logits of ±4."""
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:7, 2:7] = True
    mask[4, 4] = False
    mask[10, 10] = True
    return np.where(mask, 4.0, -4.0).astype(np.float32)


def test_by_default_a_pixel_belongs_to_the_mask_where_its_logit_is_positive():
    logits = np.array([[-1.0, 0.0, 1e-3]], dtype=np.float32)
    np.testing.assert_array_equal(mask_from_logits(logits, MaskOptions(), SPACING), [[False, False, True]])


def test_a_probability_threshold_of_three_quarters_asks_for_a_logit_above_ln_3():
    logits = np.array([[1.09, 1.11]], dtype=np.float32)  # ln 3 = 1.0986
    np.testing.assert_array_equal(mask_from_logits(logits, MaskOptions(threshold=0.75), SPACING), [[False, True]])


def test_filling_holes_closes_the_ring_and_leaves_the_dot():
    mask = mask_from_logits(ring_and_dot(), MaskOptions(fill_holes=True), SPACING)
    assert mask[4, 4]
    assert mask.sum() == 25 + 1


def test_keeping_the_largest_part_drops_the_dot_and_leaves_the_hole():
    mask = mask_from_logits(ring_and_dot(), MaskOptions(keep_largest=True), SPACING)
    assert not mask[10, 10]
    assert not mask[4, 4]
    assert mask.sum() == 24


def test_smoothing_removes_a_single_pixel_and_fills_a_single_hole():
    mask = mask_from_logits(ring_and_dot(), MaskOptions(smoothing_mm=1.0), SPACING)
    assert not mask[10, 10]
    assert mask[4, 4]


def test_smoothing_is_measured_in_millimetres_along_each_axis():
    line = np.full((9, 9), -4.0, dtype=np.float32)
    line[:, 4] = 4.0  # one column wide
    across = mask_from_logits(line, MaskOptions(smoothing_mm=1.0), (1.0, 10.0))
    along = mask_from_logits(line, MaskOptions(smoothing_mm=1.0), (10.0, 1.0))
    assert not across.any()  # a radius of one column sees one of three
    assert along[:, 4].all()  # a radius of no column and one row sees the line alone


def test_an_empty_mask_stays_empty_with_every_option_on():
    logits = np.full((4, 4), -1.0, dtype=np.float32)
    options = MaskOptions(fill_holes=True, keep_largest=True, smoothing_mm=2.0)
    assert not mask_from_logits(logits, options, SPACING).any()


def test_options_work_on_three_dimensional_logits():
    logits = np.full((5, 5, 5), 4.0, dtype=np.float32)
    logits[2, 2, 2] = -4.0
    assert mask_from_logits(logits, MaskOptions(fill_holes=True), (1.0, 1.0, 3.0)).all()


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(InvalidOptionError, match="Threshold"):
        MaskOptions(threshold=threshold)


@pytest.mark.parametrize("smoothing", [-1.0, float("nan"), float("inf")])
def test_a_smoothing_radius_that_is_no_length_is_refused(smoothing):
    with pytest.raises(InvalidOptionError, match="Smoothing"):
        MaskOptions(smoothing_mm=smoothing)


@pytest.mark.parametrize("radius", [(0, 0, 1), (1, 1, 1), (2, 0, 3), (5, 4, 3), (9, 9, 9)])
@pytest.mark.parametrize("density", [0.3, 0.5, 0.7])
def test_smoothing_is_itks_binary_median_for_any_radius(radius, density):
    mask = np.random.default_rng(0).random((7, 8, 9)) < density
    expected = sitk.GetArrayFromImage(sitk.BinaryMedian(sitk.GetImageFromArray(mask.astype(np.uint8)), radius)) > 0
    # Spacings of i, j and k for which 1 mm is the radius; where it is none, 1 mm is less than half a voxel.
    spacing = tuple(1.0 / reach if reach else 10.0 for reach in radius)
    np.testing.assert_array_equal(clean_mask(mask, MaskOptions(smoothing_mm=1.0), spacing), expected)


def test_the_largest_smoothing_of_the_finest_voxels_is_done_at_once():
    mask = np.zeros((40, 200, 200), dtype=bool)
    mask[:, :, :150] = True
    smooth = clean_mask(mask, MaskOptions(smoothing_mm=MAX_SMOOTHING_MM), (1e-9, 1e-9, 1e-9))
    assert smooth.shape == mask.shape  # with a neighbourhood of 10^16 voxels


@pytest.mark.parametrize("smoothing", [-1.0, float("nan"), float("inf"), 1e9, 1e308, -1e-320])
def test_smoothing_that_no_image_has_room_for_is_refused(smoothing):
    with pytest.raises(InvalidOptionError, match="Use 0 to 100 mm"):
        MaskOptions(smoothing_mm=smoothing)
