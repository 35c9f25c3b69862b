"""A segment goes on to the next slices: a bright sphere of which some slices are given."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import CancelledError, InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.propagation.growth import grow
from support.shapes import Cylinder, Sphere, voxel_centers_ras
from support.threshold_model import ThresholdModel

GEOMETRY = VolumeGeometry((20, 40, 44), np.array([[1.0, 0, 0, -20], [0, 1, 0, -18], [0, 0, 2, -19], [0, 0, 0, 1]]))
SPHERE = Sphere((1.0, 2.0, 0.0), 12.0).contains(voxel_centers_ras(GEOMETRY))
"""On the layers 4 to 15, at -11 to 11 mm."""
OPTIONS = {"window_rule": "50,100"}


def volume_of(mask):
    return Volume((mask * 100).astype(np.int16), GEOMETRY)


def layers(mask, first, last):
    """The part of a mask on some layers along K."""
    k, j, i = (n - 1 for n in GEOMETRY.shape_kji)
    part = np.zeros_like(mask)
    part[first : last + 1] = mask[first : last + 1]
    return MaskBlock(part, (0, i, 0, j, 0, k), GEOMETRY)


def test_a_slice_grows_to_its_neighbours_and_is_left_alone_itself():
    growth = grow(volume_of(SPHERE), layers(SPHERE, 7, 8), ThresholdModel(), **OPTIONS)
    expected = np.zeros_like(SPHERE)
    expected[[6, 9]] = SPHERE[[6, 9]]
    np.testing.assert_array_equal(growth.block.whole(), expected)
    assert [result.position_mm for result in growth.slices] == [-7.0, -1.0]
    assert (growth.ended_below, growth.ended_above) == (False, False)


def test_a_segment_grows_as_far_as_asked_for_on_each_side():
    growth = grow(volume_of(SPHERE), layers(SPHERE, 9, 10), ThresholdModel(), below=3, above=0, **OPTIONS)
    assert set(np.argwhere(growth.block.whole())[:, 0]) == {6, 7, 8}


@pytest.mark.parametrize(("axis", "orientation"), [(0, "axial"), (1, "coronal"), (2, "sagittal")])
def test_a_segment_of_a_single_slice_grows_across_the_plane_in_which_it_lies(axis, orientation):
    k, j, i = (n - 1 for n in GEOMETRY.shape_kji)
    middle = SPHERE.shape[axis] // 2
    part = np.zeros_like(SPHERE)
    at = [slice(None)] * 3
    at[axis] = middle
    part[tuple(at)] = SPHERE[tuple(at)]
    growth = grow(volume_of(SPHERE), MaskBlock(part, (0, i, 0, j, 0, k), GEOMETRY), ThresholdModel(), **OPTIONS)
    assert growth.orientation == orientation
    assert set(np.argwhere(growth.block.whole())[:, axis]) == {middle - 1, middle + 1}


def test_growing_stops_where_the_structure_ends():
    growth = grow(volume_of(SPHERE), layers(SPHERE, 9, 10), ThresholdModel(), below=9, above=9, **OPTIONS)
    np.testing.assert_array_equal(growth.block.whole() | layers(SPHERE, 9, 10).mask_kji, SPHERE)
    assert (growth.ended_below, growth.ended_above) == (True, True)


def test_growing_stops_at_the_volumes_end():
    tube = Cylinder((0, 0, 0), (0, 0, 1), 8.0, 400.0).contains(voxel_centers_ras(GEOMETRY))
    growth = grow(volume_of(tube), layers(tube, 0, 17), ThresholdModel(), below=3, above=9, **OPTIONS)
    expected = tube.copy()
    expected[:18] = False
    np.testing.assert_array_equal(growth.block.whole(), expected)
    assert (growth.ended_below, growth.ended_above) == (True, True)


def test_something_else_on_the_next_slice_is_not_the_structure():
    mask = SPHERE.copy()
    mask[11:] = False
    mask[11, 2:6, 2:6] = True  # far from the sphere
    growth = grow(volume_of(mask), layers(mask, 8, 10), ThresholdModel(), below=0, above=1, **OPTIONS)
    assert growth.block is None
    assert growth.slices == ()
    assert growth.ended_above


@pytest.mark.parametrize(("orientation", "axis"), [("sagittal", 2), ("coronal", 1), ("axial", 0)])
def test_the_orientation_says_which_slices_come_next(orientation, axis):
    middle = np.zeros_like(SPHERE)
    # The layers through the centre, (1, 2, 0) mm, at voxels 21 along I, 20 along J, 9 along K.
    center = {2: 21, 1: 20, 0: 9}[axis]
    index = [slice(None)] * 3
    index[axis] = slice(center, center + 1)
    middle[tuple(index)] = SPHERE[tuple(index)]
    k, j, i = (n - 1 for n in GEOMETRY.shape_kji)
    segment = MaskBlock(middle, (0, i, 0, j, 0, k), GEOMETRY)
    growth = grow(volume_of(SPHERE), segment, ThresholdModel(), orientation=orientation, **OPTIONS)
    index[axis] = [center - 1, center + 1]
    expected = np.zeros_like(SPHERE)
    expected[tuple(index)] = SPHERE[tuple(index)]
    np.testing.assert_array_equal(growth.block.whole(), expected)


def test_below_is_inferior_however_the_voxels_are_stored():
    flipped = GEOMETRY.ijk_to_ras.copy()
    flipped[:3, 3] += 19 * flipped[:3, 2]
    flipped[:3, 2] *= -1
    grid = VolumeGeometry(GEOMETRY.shape_kji, flipped)
    mask = SPHERE[::-1]
    volume = Volume((mask * 100).astype(np.int16), grid)
    growth = grow(volume, layers(SPHERE, 9, 10), ThresholdModel(), below=2, above=0, **OPTIONS)
    expected = np.zeros_like(SPHERE)
    expected[7:9] = SPHERE[7:9]
    np.testing.assert_array_equal(growth.block.whole(), expected[::-1])


def test_a_slice_that_the_model_doubts_is_marked():
    segment = layers(SPHERE, 9, 10)
    sure = grow(volume_of(SPHERE), segment, ThresholdModel(predicted_iou=0.95), **OPTIONS)
    unsure = grow(volume_of(SPHERE), segment, ThresholdModel(predicted_iou=0.2), **OPTIONS)
    assert not any(result.is_doubtful for result in sure.slices)
    assert all(result.is_doubtful for result in unsure.slices)


def test_the_progress_ends_at_one_also_when_the_structure_ends_early():
    told = []
    grow(
        volume_of(SPHERE),
        layers(SPHERE, 5, 14),
        ThresholdModel(),
        below=4,
        above=4,
        progress=lambda share, _text: told.append(share),
        **OPTIONS,
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_growing_can_be_cancelled():
    model = ThresholdModel()
    with pytest.raises(CancelledError):
        grow(
            volume_of(SPHERE),
            layers(SPHERE, 9, 10),
            model,
            below=4,
            cancelled=lambda: len(model.encoded) >= 2,
            **OPTIONS,
        )
    assert len(model.encoded) == 2


@pytest.mark.parametrize(("below", "above"), [(0, 0), (-1, 3)])
def test_no_slice_to_grow_to_is_refused(below, above):
    with pytest.raises(InvalidOptionError, match="Ask for 1"):
        grow(volume_of(SPHERE), layers(SPHERE, 9, 10), ThresholdModel(), below=below, above=above)


def test_an_empty_segment_and_an_unknown_orientation_are_refused():
    with pytest.raises(InvalidPromptError, match="no voxel"):
        grow(volume_of(SPHERE), layers(SPHERE, 0, 1), ThresholdModel())
    with pytest.raises(InvalidOptionError, match="diagonal"):
        grow(volume_of(SPHERE), layers(SPHERE, 9, 10), ThresholdModel(), orientation="diagonal")
