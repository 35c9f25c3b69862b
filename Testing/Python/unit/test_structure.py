"""Whole structures from one ROI, with a model that answers exactly."""

import tracemalloc

import numpy as np
import pytest

from MedSAMSegmentLib.errors import CancelledError, InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.levels import level_of
from MedSAMSegmentLib.propagation.structure import KeySlice, repropagate, segment_structure
from support.rotations import rotation
from support.shapes import Sphere, voxel_centers_ras
from support.storage_orders import all_storage_orders
from support.threshold_model import ThresholdModel

CENTER, RADIUS = np.array([-3.0, 10.0, -2.0]), 9.0


def grid(shape_kji=(20, 40, 50), spacing=(1.0, 1.0, 2.0)) -> VolumeGeometry:
    """LPS-like directions; RAS 0 is near the middle."""
    i, j, k = spacing
    matrix = np.diag([-i, -j, k, 1.0])
    matrix[:3, 3] = np.array([i * shape_kji[2], j * shape_kji[1], -k * shape_kji[0]]) / 2
    matrix[1, 3] += 10.0
    return VolumeGeometry(shape_kji, matrix)


def sphere_volume(geometry: VolumeGeometry | None = None, radius: float = RADIUS) -> Volume:
    """A bright sphere on a dark background that differs from voxel to voxel, so that no two slices are equal."""
    geometry = geometry or grid()
    inside = Sphere(CENTER, radius).contains(voxel_centers_ras(geometry))
    texture = np.random.default_rng(1).integers(-10, 10, geometry.shape_kji)
    return Volume((np.where(inside, 200, 20) + texture).astype(np.int16), geometry)


def box_around(half: float | tuple[float, float, float]) -> OrientedBox:
    return OrientedBox.from_bounds(CENTER - half, CENTER + half)


def dice(block: MaskBlock | None, truth: np.ndarray) -> float:
    found = block.whole() if block is not None else np.zeros_like(truth)
    return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))


def truth_of(volume: Volume, radius: float = RADIUS) -> np.ndarray:
    return Sphere(CENTER, radius).contains(voxel_centers_ras(volume.geometry))


def found_ras(block: MaskBlock) -> set[tuple[float, ...]]:
    kji = np.argwhere(block.whole())
    points = kji[:, ::-1] @ block.grid.ijk_to_ras[:3, :3].T + block.grid.ijk_to_ras[:3, 3]
    return set(map(tuple, np.round(points, 3).tolist()))


@pytest.mark.parametrize("level", ["fast", "best"])
def test_a_sphere_is_found_whole(level):
    volume = sphere_volume()
    structure = segment_structure(volume, box_around(RADIUS), ThresholdModel(), level=level)
    assert dice(structure.block, truth_of(volume)) > 0.97


def test_the_result_does_not_depend_on_how_the_volume_is_stored():
    results = [
        found_ras(segment_structure(stored, box_around(RADIUS + 1.3), ThresholdModel(), orientation="axial").block)
        for stored in all_storage_orders(sphere_volume())
    ]
    assert len(results) == 48 and all(result == results[0] for result in results)


def test_fast_encodes_every_slice_once_and_two_of_them_twice():
    # Wide enough for five times the ROI to be less than the whole slice.
    model = ThresholdModel()
    structure = segment_structure(sphere_volume(grid((20, 120, 120))), box_around(RADIUS), model, level="fast")
    assert len(structure.slices) == 9  # layers of 2 mm with centres at -10, -8 … 6 mm in 18 mm
    assert len(model.encoded) == 9 + 2


def test_best_encodes_every_slice_twice_and_eight_layers_at_most_of_each_other_plane():
    model = ThresholdModel()
    segment_structure(sphere_volume(grid((20, 120, 120))), box_around(RADIUS), model, level="best")
    # 19 layers of 1 mm across, the outermost on the faces: every third of them.
    assert len(model.encoded) == 2 * 9 + 7 + 7


def test_best_looks_at_one_plane_only_where_slices_are_thick_or_few():
    thick = sphere_volume(grid((9, 120, 120), (1.0, 1.0, 10.0)))
    model = ThresholdModel()
    structure = segment_structure(thick, box_around(RADIUS), model, level="best")
    assert len(model.encoded) == 2 * len(structure.slices)
    model = ThresholdModel()
    segment_structure(sphere_volume(grid((20, 120, 120))), box_around(RADIUS), model, level="best", slices="center")
    assert len(model.encoded) == 2


def test_correcting_a_slice_takes_no_new_encoder_pass():
    volume, roi = sphere_volume(grid((20, 120, 120))), box_around(RADIUS)
    for level in ("fast", "best"):
        model, cache = ThresholdModel(), EmbeddingCache()
        structure = segment_structure(volume, roi, model, level=level, cache=cache)
        passes = len(model.encoded)
        nothing = np.zeros(SliceStack.of(volume.geometry, "axial").plane(0).shape_hw, dtype=bool)
        repropagate(structure, volume, model, [KeySlice(0.0, mask_hw=nothing)], 0.0, cache=cache)
        assert len(model.encoded) == passes


def test_slices_are_listed_by_position_with_their_voxels():
    volume = sphere_volume()
    structure = segment_structure(volume, box_around(RADIUS), ThresholdModel(), level="fast")
    positions = [result.position_mm for result in structure.slices]
    assert positions == sorted(positions)
    assert sum(result.voxels for result in structure.slices) == structure.block.voxel_count


def test_the_level_follows_the_device_unless_it_is_named():
    assert level_of("auto", "cpu").name == "fast"
    assert level_of("auto", "cuda:0").name == "best"
    with pytest.raises(InvalidOptionError, match="quick"):
        level_of("quick", "cpu")


def test_nothing_outside_a_rotated_roi_belongs_to_the_structure():
    volume = Volume(np.full((20, 40, 50), 200, dtype=np.int16), grid())
    volume.voxels_kji[0, 0, 0] = 0
    turned = np.eye(4)
    turned[:3, :3] = rotation(20.0, 30.0, 15.0)
    turned[:3, 3] = CENTER
    roi = OrientedBox(turned, np.array([14.0, 10.0, 12.0]))
    structure = segment_structure(volume, roi, ThresholdModel(), level="fast", window_rule="100,200")
    points = np.array(list(found_ras(structure.block)))
    in_box = (points - CENTER) @ turned[:3, :3]
    assert (np.abs(in_box) <= np.array([7.0, 5.0, 6.0]) + 1e-2).all()
    expected_mm3 = 14.0 * 10.0 * 12.0
    assert 0.7 * expected_mm3 < structure.block.volume_mm3 < 1.05 * expected_mm3


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal"])
def test_thick_slices_are_read_in_every_plane(orientation):
    volume = sphere_volume(grid((9, 40, 50), (1.0, 1.0, 5.0)))
    structure = segment_structure(volume, box_around(10.0), ThresholdModel(), level="fast", orientation=orientation)
    assert structure.orientation == orientation
    assert dice(structure.block, truth_of(volume)) > 0.93


def test_a_volume_of_one_slice_and_an_roi_between_two_slices_have_one_slice():
    single = sphere_volume(grid((1, 40, 50), (1.0, 1.0, 12.0)))
    assert len(segment_structure(single, box_around(RADIUS), ThresholdModel(), level="best").slices) == 1
    thick = sphere_volume(grid((9, 40, 50), (1.0, 1.0, 5.0)))
    stack = SliceStack.of(thick.geometry, "axial")
    between = (stack.position_mm(4) + stack.position_mm(5)) / 2
    low, high = CENTER - 8.0, CENTER + 8.0
    low[2], high[2] = between - 0.5, between + 0.5
    structure = segment_structure(thick, OrientedBox.from_bounds(low, high), ThresholdModel(), level="fast")
    assert len(structure.slices) == 1 and structure.block is not None


def test_only_the_slices_that_are_asked_for_are_segmented():
    volume, roi = sphere_volume(), box_around(RADIUS)
    center = segment_structure(volume, roi, ThresholdModel(), level="fast", slices="center")
    assert [result.position_mm for result in center.slices] == [-2.0]
    two = segment_structure(volume, roi, ThresholdModel(), level="fast", slices=(2.2, -6.1))
    assert [result.position_mm for result in two.slices] == [-6.0, 2.0]
    with pytest.raises(InvalidOptionError, match="does not cross"):
        segment_structure(volume, roi, ThresholdModel(), slices=(14.0,))


def test_colour_volumes_are_segmented():
    grey = sphere_volume()
    colour = Volume(np.repeat(np.clip(grey.voxels_kji, 0, 255).astype(np.uint8)[..., None], 3, axis=3), grey.geometry)
    structure = segment_structure(colour, box_around(RADIUS), ThresholdModel(), level="best")
    assert structure.window is None
    assert dice(structure.block, truth_of(grey)) > 0.97


def test_voxels_that_are_no_number_do_not_spread():
    volume = sphere_volume()
    broken = volume.voxels_kji.astype(np.float32)
    broken[8, 3, 5] = np.nan
    structure = segment_structure(Volume(broken, volume.geometry), box_around(RADIUS), ThresholdModel(), level="fast")
    assert dice(structure.block, truth_of(volume)) > 0.97


def test_a_structure_that_disappears_in_between_leaves_a_gap():
    volume = sphere_volume()
    voxels = volume.voxels_kji.copy()
    stack = SliceStack.of(volume.geometry, "axial")
    gap = stack.voxel_index(stack.nearest(-2.0))
    voxels[gap - 1 : gap + 2] = np.random.default_rng(2).integers(10, 30, (3, 40, 50))
    structure = segment_structure(
        Volume(voxels, volume.geometry), box_around(RADIUS), ThresholdModel(), level="fast", window_rule="100,200"
    )
    by_position = {result.position_mm: result for result in structure.slices}
    assert by_position[-2.0].voxels == 0 and by_position[-6.0].voxels > 0 and by_position[2.0].voxels > 0
    assert by_position[-2.0].is_doubtful


def test_an_empty_roi_gives_an_empty_structure():
    dark = Volume(np.random.default_rng(3).integers(0, 20, (20, 40, 50)).astype(np.int16), grid())
    structure = segment_structure(dark, box_around(RADIUS), ThresholdModel(), level="fast", window_rule="500,200")
    assert structure.block is None and all(result.voxels == 0 for result in structure.slices)


def test_an_roi_that_cuts_the_structure_is_flagged_and_a_tight_or_wide_one_is_not():
    volume = sphere_volume()

    def is_cut(half):
        roi = box_around(half)
        return segment_structure(volume, roi, ThresholdModel(), level="fast").touches_roi_border

    assert not is_cut(RADIUS) and not is_cut(RADIUS + 3)
    assert is_cut((RADIUS, RADIUS, 4.0)) and is_cut((4.0, RADIUS, RADIUS))


def test_cancelling_gives_nothing_back_and_says_so():
    seen = []
    with pytest.raises(CancelledError):
        segment_structure(
            sphere_volume(),
            box_around(RADIUS),
            ThresholdModel(),
            level="fast",
            progress=lambda share, text: seen.append(share),
            cancelled=lambda: len(seen) >= 1,
        )
    assert seen and max(seen) < 1


def test_progress_rises_to_one():
    seen = []
    segment_structure(
        sphere_volume(),
        box_around(RADIUS),
        ThresholdModel(),
        level="best",
        progress=lambda share, text: seen.append(share),
    )
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_a_large_volume_is_never_held_in_float():
    voxels = np.zeros((600, 512, 512), dtype=np.int16)
    voxels[295:305, 250:262, 250:262] = 100
    volume = Volume(voxels, VolumeGeometry(voxels.shape, np.eye(4)))
    roi = OrientedBox.from_bounds((249.5, 249.5, 294.5), (261.5, 261.5, 304.5))
    assert volume.air_value == 0.0
    tracemalloc.start()
    try:
        structure = segment_structure(volume, roi, ThresholdModel(), level="fast", window_rule="50,100")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert structure.block.voxel_count > 0.8 * 10 * 12 * 12
    assert peak < 64 * 2**20  # the volume in float32 would be 600 MiB


# --- Corrected slices ---


def with_corrections() -> tuple[Volume, OrientedBox, SliceStack]:
    volume = sphere_volume()
    return volume, box_around(RADIUS), SliceStack.of(volume.geometry, "axial")


def painted(stack: SliceStack, box: BoxPrompt) -> np.ndarray:
    mask_hw = np.zeros(stack.plane(0).shape_hw, dtype=bool)
    mask_hw[round(box.y_min + 0.5) : round(box.y_max + 0.5), round(box.x_min + 0.5) : round(box.x_max + 0.5)] = True
    return mask_hw


def voxels_at(structure, stack: SliceStack, position_mm: float) -> np.ndarray:
    index = stack.voxel_index(stack.nearest(position_mm))
    whole = structure.block.whole()
    return np.take(whole, index, axis=2 - stack.voxel_axis)


def test_a_corrected_slice_is_kept_exactly_also_outside_the_roi():
    volume, roi, stack = with_corrections()
    mask_hw = painted(stack, BoxPrompt(1.5, 2.5, 9.5, 6.5))  # far from the sphere
    structure = segment_structure(
        volume, roi, ThresholdModel(), level="fast", key_slices=[KeySlice(0.0, mask_hw=mask_hw)]
    )
    assert np.count_nonzero(voxels_at(structure, stack, 0.0)) == 8 * 4
    (key,) = [result for result in structure.slices if result.is_key]
    assert key.position_mm == 0.0 and key.voxels == 32 and key.confidence == 1.0 and not key.is_doubtful


def test_an_emptied_slice_stays_empty():
    volume, roi, stack = with_corrections()
    nothing = np.zeros(stack.plane(0).shape_hw, dtype=bool)
    structure = segment_structure(
        volume, roi, ThresholdModel(), level="fast", key_slices=[KeySlice(0.0, mask_hw=nothing)]
    )
    assert not voxels_at(structure, stack, 0.0).any() and voxels_at(structure, stack, -6.0).any()


def test_correcting_a_slice_changes_only_what_lies_between_its_neighbouring_key_slices():
    volume, roi, stack = with_corrections()
    model = ThresholdModel()
    first = segment_structure(volume, roi, model, level="fast")
    original = KeySlice(-4.0, mask_hw=painted(stack, BoxPrompt(24.5, 16.5, 30.5, 22.5)))
    once = repropagate(first, volume, model, [original], -4.0)
    # Hand-made: a structure with marks that must survive.
    corrected = KeySlice(2.0, mask_hw=np.zeros(stack.plane(0).shape_hw, dtype=bool))
    twice = repropagate(once, volume, model, [original, corrected], 2.0)
    for position in (-10.0, -8.0, -6.0, -4.0):
        np.testing.assert_array_equal(voxels_at(twice, stack, position), voxels_at(once, stack, position))
    assert np.count_nonzero(voxels_at(twice, stack, -4.0)) == 36
    assert not voxels_at(twice, stack, 2.0).any()
    assert [result.position_mm for result in twice.slices if result.is_key] == [-4.0, 2.0]
    assert [result.position_mm for result in twice.slices] == [result.position_mm for result in first.slices]


def test_a_corrected_box_is_answered_by_the_model_and_kept():
    volume, roi, stack = with_corrections()
    plane = stack.plane(stack.nearest(0.0))
    column, row = (plane.ras_to_pixel @ (*CENTER[:2], 0.0, 1.0))[:2]
    half = BoxPrompt(column - 20, row - 20, column, row + 20)
    structure = segment_structure(
        volume, roi, ThresholdModel(), level="best", key_slices=[KeySlice(0.0, box=half)], window_rule="110,200"
    )
    disc = np.hypot(*(np.indices(plane.shape_hw)[::-1] - np.array([column, row])[:, None, None]))
    inside = (disc <= np.sqrt(RADIUS**2 - 2.0**2)) & (np.arange(plane.shape_hw[1]) <= column)
    found = np.count_nonzero(voxels_at(structure, stack, 0.0))
    assert found == pytest.approx(np.count_nonzero(inside), rel=0.05)


def test_a_correction_that_cannot_be_used_is_refused():
    volume, roi, stack = with_corrections()
    with pytest.raises(InvalidPromptError, match="either a mask or a box"):
        KeySlice(0.0)
    with pytest.raises(InvalidPromptError, match="pixels"):
        segment_structure(volume, roi, ThresholdModel(), key_slices=[KeySlice(0.0, mask_hw=np.zeros((3, 3), bool))])
    structure = segment_structure(volume, roi, ThresholdModel())
    nothing = KeySlice(0.0, mask_hw=np.zeros(stack.plane(0).shape_hw, dtype=bool))
    with pytest.raises(InvalidOptionError, match="no corrected slice"):
        repropagate(structure, volume, ThresholdModel(), [nothing], 2.0)
    outside = KeySlice(15.0, mask_hw=np.zeros(stack.plane(0).shape_hw, dtype=bool))
    with pytest.raises(InvalidOptionError, match="none of the structure's slices"):
        repropagate(structure, volume, ThresholdModel(), [outside], 15.0)
