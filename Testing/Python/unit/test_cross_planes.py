"""Values of other planes' layers on a structure's own, and which layers those are."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS, SliceStack
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentLib.propagation.cross_planes import cross_regions, on_layers
from MedSAMSegmentLib.propagation.roi_slices import RoiSlices
from support.rotations import pose, rotation

SHAPE_KJI = (20, 26, 30)


def geometry_of(directions: np.ndarray, spacing=(1.0, 1.5, 2.0)) -> VolumeGeometry:
    matrix = pose(directions, spacing)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE_KJI[::-1]) - 1) / 2)
    return VolumeGeometry(SHAPE_KJI, matrix)


SHEAR = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
DIRECTIONS = {
    "as stored": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "axes exchanged": np.eye(3)[:, [2, 0, 1]],
    "turned": rotation(10, -15, 20),
}


def linear_in_ras(region: RoiSlices) -> np.ndarray:
    """A value that differs by place and is linear in it."""
    values = []
    rows, columns = np.meshgrid(region.rows, region.columns, indexing="ij")
    for n in range(len(region.layers)):
        pixels = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)], axis=-1)
        values.append((pixels @ region.plane(n).pixel_to_ras.T)[..., :3] @ np.array([1.0, 10.0, 100.0]))
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("directions", DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_a_linear_function_of_place_is_the_same_seen_from_every_plane(directions, orientation):
    geometry = geometry_of(directions)
    roi = OrientedBox(pose(directions), np.array([19.0, 20.0, 22.0]))
    stack = SliceStack.of(geometry, orientation)
    region = RoiSlices.of(stack, roi)
    inside = np.stack([region.is_inside(n) for n in range(len(region.layers))])
    own = linear_in_ras(region)
    others = cross_regions(region)
    assert {other.stack.orientation for other in others} == set(ORIENTATIONS) - {orientation}
    for other in others:
        whole = RoiSlices.of(other.stack, roi)
        np.testing.assert_allclose(on_layers(linear_in_ras(whole), whole, region)[inside], own[inside], atol=0.01)
        # Between the layers that were left out it is interpolated; beyond the outermost ones there is nothing.
        between = on_layers(linear_in_ras(other), other, region)
        reach = np.ptp(linear_in_ras(whole)) / len(whole.layers) * 3
        assert np.abs(between - own)[inside].max() < reach


def test_a_sheared_volume_keeps_every_voxel_in_its_place():
    matrix = np.eye(4)
    matrix[:3, :3] = SHEAR * np.array([1.0, 1.5, 2.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE_KJI[::-1]) - 1) / 2)
    geometry = VolumeGeometry(SHAPE_KJI, matrix)
    roi = OrientedBox.from_bounds((-6, -8, -9), (6, 8, 9))
    axial = RoiSlices.of(SliceStack.of(geometry, "axial"), roi)
    coronal = RoiSlices.of(SliceStack.of(geometry, "coronal"), roi)
    inside = np.stack([axial.is_inside(n) for n in range(len(axial.layers))])
    found = on_layers(linear_in_ras(coronal), coronal, axial)
    np.testing.assert_allclose(found[inside], linear_in_ras(axial)[inside], atol=0.01)


def test_other_planes_are_thinned_evenly_to_eight_layers():
    geometry = VolumeGeometry((60, 60, 60), np.eye(4))
    region = RoiSlices.of(
        SliceStack.of(geometry, "axial"), OrientedBox.from_bounds((9.5, 9.5, 9.5), (39.5, 15.5, 49.5))
    )
    sagittal, coronal = cross_regions(region)
    assert sagittal.layers == tuple(range(10, 40, 4))  # 30 layers from 10 to 39: every fourth of them
    assert coronal.layers == tuple(range(10, 16))


def test_there_are_no_other_planes_where_slices_lie_too_far_apart_or_few_are_asked_for():
    roi = OrientedBox.from_bounds((5, 5, 5), (25, 25, 55))
    thick = VolumeGeometry((10, 60, 60), np.diag([1.0, 1.0, 10.0, 1.0]))
    assert cross_regions(RoiSlices.of(SliceStack.of(thick, "axial"), roi)) == ()
    thin = VolumeGeometry((30, 60, 60), np.diag([1.0, 1.0, 3.0, 1.0]))
    stack = SliceStack.of(thin, "axial")
    assert len(cross_regions(RoiSlices.of(stack, roi))) == 2
    assert cross_regions(RoiSlices.of(stack, roi, "center")) == ()
