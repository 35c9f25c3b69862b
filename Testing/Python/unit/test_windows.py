from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry, padding_of
from MedSAMSegmentLib.intensity.presets import PRESETS
from MedSAMSegmentLib.intensity.rules import WINDOW_RULES, choose_window
from MedSAMSegmentLib.intensity.window import Window, apply_window
from support.rotations import pose, rotation
from support.shapes import Block, Sphere, voxel_centers_ras
from support.storage_orders import all_storage_orders

GRID = VolumeGeometry((20, 24, 28), np.eye(4))
MIDDLE = GRID.corners_ras.mean(axis=0)
ROI = OrientedBox(pose(rotation(0, 0, 45), 1.0, MIDDLE), np.array([14.0, 10, 8]))


def ct(seed=0) -> Volume:
    """Air, padding, a body and something bright in it, in HU."""
    rng = np.random.default_rng(seed)
    points = voxel_centers_ras(GRID)
    voxels = np.full(GRID.shape_kji, -3024, dtype=np.int16)
    body = Sphere(MIDDLE, 11).contains(points)
    voxels[body] = rng.normal(40, 20, np.count_nonzero(body))
    bright = Sphere(MIDDLE, 4).contains(points)
    voxels[bright] = rng.normal(300, 20, np.count_nonzero(bright))
    return Volume(voxels, GRID)


def of(voxels_kji) -> Volume:
    return Volume(voxels_kji, VolumeGeometry(voxels_kji.shape[:3], np.eye(4)))


def test_window_is_spread_over_0_to_255_and_clipped():
    slice_hw = np.array([[-1000, -160, 40], [240, 241, 3000]], dtype=np.int16)
    result = apply_window(slice_hw, Window.from_level_width(40, 400, "soft-tissue"))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, [[0, 0, 128], [255, 255, 255]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_every_dtype_gives_the_same_8_bits(dtype):
    slice_hw = np.arange(256).reshape(16, 16)
    expected = np.rint(np.clip((slice_hw - 50.0) / 101, 0, 1) * 255)
    np.testing.assert_array_equal(apply_window(slice_hw.astype(dtype), Window(50, 151, "")), expected)


def test_identity_window_keeps_8_bit_images_and_rgb():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(apply_window(grey, Window(0, 255, "")), grey)
    rgb = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(apply_window(rgb, Window(0, 255, "")), rgb)


def test_nan_and_infinite_intensities_become_the_lower_end():
    slice_hw = np.array([[np.nan, np.inf, -np.inf, 5.0]])
    np.testing.assert_array_equal(apply_window(slice_hw, Window(0, 10, "")), [[0, 0, 0, 128]])


def test_large_offsets_do_not_lose_the_contrast():
    slice_hw = (1e6 + np.arange(5)).astype(np.float32)[None]
    np.testing.assert_array_equal(apply_window(slice_hw, Window(1e6, 1e6 + 4, "")), [[0, 64, 128, 191, 255]])


def test_slice_is_not_changed():
    slice_hw = np.array([[np.nan, 5.0]])
    apply_window(slice_hw, Window(0, 10, ""))
    np.testing.assert_array_equal(slice_hw, [[np.nan, 5.0]])


@pytest.mark.parametrize(
    ("name", "level", "width"),
    [("soft-tissue", 40, 400), ("lung", -600, 1500), ("bone", 400, 1800), ("brain", 40, 80), ("liver", 30, 150)],
)
def test_presets_are_the_published_windows(name, level, width):
    window = choose_window(name, ct())
    assert (window.level, window.width, window.rule) == (level, width, name)


@pytest.mark.parametrize(
    ("rule", "bounds"), [("40,400", (-160, 240)), (" -600 , 1500 ", (-1350, 150)), ("0.5,1", (0, 1))]
)
def test_level_and_width_give_their_window(rule, bounds):
    window = choose_window(rule, ct())
    assert (window.lower, window.upper) == bounds


@pytest.mark.parametrize("rule", ["40,0", "40,-400", "nan,400", "40,inf"])
def test_width_that_is_none_is_refused(rule):
    with pytest.raises(InvalidOptionError, match="width above 0"):
        choose_window(rule, ct())


@pytest.mark.parametrize("rule", ["", "mediastinum", "40", "40,400,1", "Lung", "a,b"])
def test_unknown_rule_is_refused_with_the_choices(rule):
    with pytest.raises(InvalidOptionError, match="There is no window rule") as error:
        choose_window(rule, ct())
    assert all(name in str(error.value) for name in (*WINDOW_RULES, "LEVEL,WIDTH"))


def test_percentile_rule_is_of_the_non_zero_voxels():
    rng = np.random.default_rng(0)
    voxels = np.zeros((20, 20, 20), dtype=np.float32)
    voxels[5:15] = rng.gamma(3, 100, (10, 20, 20))
    window = choose_window("percentile", of(voxels))
    expected = np.percentile(voxels[voxels != 0], [0.5, 99.5])
    np.testing.assert_allclose((window.lower, window.upper), expected, rtol=1e-6)


def test_percentiles_of_a_large_volume_come_from_a_part_of_it():
    voxels = np.random.default_rng(0).normal(100, 20, (40, 500, 500)).astype(np.int16)
    window = choose_window("percentile", of(voxels))
    # 0.5 and 99.5 % of a normal distribution lie 2.576 standard deviations from its mean.
    assert window.lower == pytest.approx(100 - 2.576 * 20, abs=1)
    assert window.upper == pytest.approx(100 + 2.576 * 20, abs=1)


def test_roi_rule_is_of_the_voxels_in_the_turned_roi():
    volume = ct()
    inside = Block(MIDDLE, rotation(0, 0, 45), ROI.size_mm).contains(voxel_centers_ras(GRID))
    window = choose_window("roi", volume, ROI)
    np.testing.assert_allclose((window.lower, window.upper), np.percentile(volume.voxels_kji[inside], [1, 99]))


def test_percentiles_of_a_large_roi_come_from_a_part_of_it():
    voxels = np.random.default_rng(0).normal(0, 100, (230, 230, 230)).astype(np.int16)
    window = choose_window("roi", of(voxels), OrientedBox.from_bounds((5, 5, 5), (225, 225, 225)))
    # 1 and 99 % of a normal distribution lie 2.326 standard deviations from its mean.
    np.testing.assert_allclose((window.lower, window.upper), (-232.6, 232.6), atol=3)


def test_roi_rule_needs_an_roi_inside_the_image():
    with pytest.raises(InvalidOptionError, match="needs an ROI"):
        choose_window("roi", ct())
    with pytest.raises(InvalidPromptError, match="outside the image"):
        choose_window("roi", ct(), OrientedBox.from_bounds((100, 0, 0), (110, 5, 5)))


def test_thin_roi_between_voxel_centres_takes_the_voxels_next_to_it():
    volume = ct()
    window = choose_window("roi", volume, OrientedBox.from_bounds((12, 10, 9.3), (16, 13, 9.4)))
    np.testing.assert_allclose((window.lower, window.upper), np.percentile(volume.voxels_kji[9, 10:14, 12:17], [1, 99]))


@pytest.mark.parametrize("rule", ["auto", "roi", "percentile"])
def test_window_is_the_same_in_all_storage_orders(rule):
    expected = choose_window(rule, ct(), ROI)
    for stored in all_storage_orders(ct()):
        window = choose_window(rule, stored, ROI)
        np.testing.assert_allclose((window.lower, window.upper), (expected.lower, expected.upper))


def test_thinning_of_large_volumes_does_not_depend_on_the_storage_order():
    voxels = np.random.default_rng(0).integers(-1000, 1000, (31, 520, 523), dtype=np.int16)
    windows = {
        choose_window("percentile", of(view)) for view in (voxels, voxels[::-1, :, ::-1], voxels.transpose(2, 1, 0))
    }
    assert len(windows) == 1


@pytest.mark.parametrize("rule", ["auto", "roi", "percentile"])
@pytest.mark.parametrize("value", [0, -1000, 7, 1e20, np.nan])
def test_constant_or_empty_image_gives_a_window_and_black_pixels(rule, value):
    volume = Volume(np.full(GRID.shape_kji, value), GRID)
    window = choose_window(rule, volume, ROI)
    assert (apply_window(volume.voxels_kji[3], window) == 0).all()


@pytest.mark.parametrize("rule", ["auto", "roi", "percentile"])
def test_nan_and_infinite_voxels_have_no_say(rule):
    volume = ct()
    spoilt = volume.voxels_kji.astype(np.float32)
    spoilt[:, :, 0], spoilt[:, 0, :], spoilt[10, 12, 13:15] = np.nan, np.inf, -np.inf
    kept = np.isfinite(spoilt)
    window = choose_window(rule, Volume(spoilt, GRID), ROI)
    without = choose_window(rule, of(spoilt[kept].reshape(1, 1, -1))) if rule == "percentile" else None
    if without is not None:
        np.testing.assert_allclose((window.lower, window.upper), (without.lower, without.upper))
    assert -3024 <= window.lower < window.upper < 500


@pytest.mark.parametrize("rule", ["auto", "roi", "percentile", "lung", "40,400"])
def test_rgb_is_passed_through_whatever_the_rule(rule):
    voxels = np.random.default_rng(0).integers(0, 256, (*GRID.shape_kji, 3), dtype=np.uint8)
    window = choose_window(rule, Volume(voxels, GRID), ROI)
    assert window.rule == "rgb"
    np.testing.assert_array_equal(apply_window(voxels[3], window), voxels[3])


def test_unknown_rule_is_refused_for_rgb_too():
    with pytest.raises(InvalidOptionError):
        choose_window("lungs", of(np.zeros((2, 2, 2, 3), dtype=np.uint8)))


def test_voxels_are_not_changed():
    volume = ct()
    before = volume.voxels_kji.copy()
    for rule in ("auto", "roi", "percentile"):
        choose_window(rule, volume, ROI)
    np.testing.assert_array_equal(volume.voxels_kji, before)


def test_every_preset_can_be_named():
    assert set(PRESETS) < set(WINDOW_RULES)


def test_window_without_width_is_refused():
    with pytest.raises(InvalidOptionError, match="has no width"):
        Window(3, 3, "mine")
    with pytest.raises(InvalidOptionError, match="has no width"):
        Window(0, np.nan, "mine")


@pytest.mark.parametrize("highest", [255, 90])
def test_auto_leaves_images_that_are_stored_in_8_bits_as_they_are(highest):
    voxels = np.random.default_rng(0).integers(0, highest + 1, GRID.shape_kji).astype(np.uint8)
    window = choose_window("auto", Volume(voxels, GRID), ROI)
    assert (window.lower, window.upper, window.rule) == (0, 255, "auto: 8-bit")


@pytest.mark.parametrize(
    "voxels",
    [
        np.linspace(0, 255, 20 * 24 * 28).reshape(GRID.shape_kji),  # not whole numbers
        np.arange(20 * 24 * 28, dtype=np.int16).reshape(GRID.shape_kji) % 256,  # from 0 to 255, in wider types
        (np.arange(20 * 24 * 28) % 256).astype(np.float32).reshape(GRID.shape_kji),
        np.arange(20 * 24 * 28, dtype=np.int16).reshape(GRID.shape_kji) % 200,  # does not reach 255
        np.arange(20 * 24 * 28, dtype=np.int16).reshape(GRID.shape_kji) % 257,  # exceeds it
        np.arange(20 * 24 * 28, dtype=np.int16).reshape(GRID.shape_kji) % 256 - 1,
    ],
    ids=["fractions", "bytes in int16", "bytes in float32", "darker", "brighter", "negative"],
)
def test_auto_takes_the_roi_s_percentiles_of_any_other_image_and_the_volume_s_without_an_roi(voxels):
    volume = Volume(voxels, GRID)
    for roi, rule in ((ROI, "roi"), (None, "percentile")):
        window, expected = choose_window("auto", volume, roi), choose_window(rule, volume, roi)
        tolerance = expected.width / 8 if roi is not None else 0
        assert abs(window.lower - expected.lower) <= tolerance
        assert abs(window.upper - expected.upper) <= tolerance
        assert window.rule == f"auto: {rule}"


@pytest.mark.parametrize(
    ("bounds", "rounded"),
    [
        ((-1003, 371), (-1024, 256)),  # width 1374: steps of 256, the power of two between 172 and 343
        ((-170, 240), (-192, 256)),  # width 410: steps of 64
        ((0.13, 1.02), (0.125, 1.0)),  # width 0.89: steps of 1/8
        ((0, 512), (0, 512)),  # on the grid already
    ],
)
def test_rounded_window_has_the_nearest_multiples_of_a_power_of_two_between_an_eighth_and_a_quarter_of_its_width(
    bounds, rounded
):
    window = Window(*bounds, "mine").rounded()
    assert (window.lower, window.upper, window.rule) == (*rounded, "mine")


@given(lower=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_rounding_moves_no_bound_by_more_than_an_eighth_of_the_width(lower, width):
    window = Window(lower, lower + width, "mine")
    rounded = window.rounded()
    assert abs(rounded.lower - window.lower) <= window.width / 8 * (1 + 1e-9)
    assert abs(rounded.upper - window.upper) <= window.width / 8 * (1 + 1e-9)


def test_boxes_that_differ_by_little_have_the_same_automatic_window():
    voxels = np.random.default_rng(0).normal(100, 40, (20, 24, 28)).astype(np.int16)
    boxes = [OrientedBox.from_bounds((4 + shift, 4, 4), (20 + shift, 20, 16)) for shift in (0, 0.4, 1, 1.7)]
    windows = {choose_window("auto", of(voxels), box) for box in boxes}
    # 1 and 99 % of the distribution: 7 and 193. The nearest multiples of 32 are 0 and 192.
    assert {(window.lower, window.upper) for window in windows} == {(0, 192)}


def scanned(pad, circle=None, lowest=-1024, dtype=np.int16) -> tuple[Volume, Volume]:
    """A body in air, measured within a circle; and the same with what lies outside the circle filled up."""
    rng = np.random.default_rng(0)
    k, j, i = np.indices((12, 64, 64)) - 31.5
    voxels = np.maximum(rng.normal(-1000, 10, k.shape), lowest)
    body = np.hypot(j, i) < 20
    voxels[body] = rng.normal(40, 30, np.count_nonzero(body))
    voxels[np.hypot(j, i) < 5] = 700
    padded = voxels.copy()
    padded[np.hypot(j, i) > 30] = pad
    if circle is not None:
        padded[(np.hypot(j, i) > 28) & (np.hypot(j, i) <= 30)] = circle
    return of(np.rint(voxels).astype(dtype)), of(np.rint(padded).astype(dtype))


@pytest.mark.parametrize(
    ("pad", "circle", "dtype"),
    [
        (-2000, None, np.int16),
        (-3024, None, np.int16),
        (-3024, -2000, np.int16),
        (-32768, None, np.int16),
        (-2000, None, np.float32),
        (-2000, None, np.float64),
        (-3.4e38, None, np.float32),
        (-(2**31), None, np.int32),
    ],
)
@pytest.mark.parametrize("rule", ["auto", "roi", "percentile"])
def test_padding_is_no_anatomy(rule, pad, circle, dtype):
    measured, padded = scanned(pad, circle, dtype=dtype)
    assert (pad if circle is None else circle) <= padding_of(padded.voxels_kji) < -1024
    assert padding_of(measured.voxels_kji) is None
    everything = OrientedBox.around_grid(measured.geometry)
    window = choose_window(rule, padded, everything)
    kept = padded.voxels_kji[padded.voxels_kji >= -1024]
    percentiles = (0.5, 99.5) if rule == "percentile" else (1, 99)
    lower, upper = np.percentile(kept[kept != 0] if rule == "percentile" else kept, percentiles)
    tolerance = (upper - lower) / 8 if rule == "auto" else 1e-3
    assert (window.lower, window.upper) == pytest.approx((lower, upper), abs=tolerance)


def test_what_resampling_has_blended_with_padding_is_no_anatomy_either():
    measured, padded = scanned(-3024)
    half = [
        (volume.voxels_kji[..., :-1:2] + volume.voxels_kji[..., 1::2].astype(float)) / 2
        for volume in (measured, padded)
    ]
    expected, window = (choose_window("percentile", of(voxels)) for voxels in half)
    assert (window.lower, window.upper) == pytest.approx((expected.lower, expected.upper), abs=0.03 * expected.width)


@pytest.mark.parametrize(
    "voxels",
    [
        np.random.default_rng(0).normal(0, 100, 10_000),
        np.maximum(np.random.default_rng(0).normal(-900, 200, 10_000), -1024),  # air that is cut off at -1024
        np.append(np.random.default_rng(0).normal(500, 100, 10_000), np.zeros(10_000)),  # a skull-stripped MR
        np.append(np.random.default_rng(0).normal(500, 100, 10_000), -30_000.0),  # a single voxel
        np.full(100, -1000.0),
        np.array([np.nan, np.inf, -np.inf]),
        np.array([], dtype=np.int16),
    ],
    ids=["noise", "air", "background", "outlier", "constant", "not finite", "empty"],
)
def test_what_may_have_been_measured_is_no_padding(voxels):
    assert padding_of(voxels) is None


def test_an_roi_in_padding_alone_still_has_a_window():
    _, padded = scanned(-3024)
    assert choose_window("roi", padded, OrientedBox.from_bounds((0, 0, 0), (3, 3, 11))).lower == -3024


@pytest.mark.parametrize(
    ("voxels", "dtype"),
    [
        (4_000_000_000 + np.arange(20 * 24 * 28) % 100, np.uint32),
        (10**15 + np.arange(20 * 24 * 28) % 100, np.int64),
        ((np.arange(20 * 24 * 28) % 100) * 1e-8, np.float32),
        (1 + (np.arange(20 * 24 * 28) % 100) * 1e-8, np.float64),
        ((np.arange(20 * 24 * 28) % 100) * 1e-30, np.float32),
    ],
    ids=["uint32", "int64", "1e-6", "1 and 1e-6", "1e-28"],
)
@pytest.mark.parametrize("rule", ["auto", "roi", "percentile"])
def test_small_ranges_at_any_offset_keep_their_contrast(rule, voxels, dtype):
    volume = Volume(voxels.astype(dtype).reshape(GRID.shape_kji), GRID)
    window = choose_window(rule, volume, ROI)
    layer = SliceStack.of(GRID, "axial").plane(9)
    between = replace(layer, origin_ras=layer.origin_ras + np.array([0.5, 0.0, 0.0]))
    for plane in (layer, between):
        seen = apply_window(sample(volume, plane), window)
        assert len(np.unique(seen)) > 50  # of a hundred values
