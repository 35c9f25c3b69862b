"""Volume nodes and volumes: the same voxels in the same place."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.volume_nodes import add_volume_node, volume_from_node
from support.mrml import parent_transform
from support.rotations import rotation


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64, np.uint16])
def test_voxels_and_place_survive_the_way_through_a_node(scene, dtype):
    voxels = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(10, 20, 30) * (0.5, 0.7, 3.0)
    matrix[:3, 3] = (5, -6, 7)
    back = volume_from_node(add_volume_node(scene.mrml, Volume(voxels, VolumeGeometry((2, 3, 4), matrix)), "v"))
    np.testing.assert_array_equal(back.voxels_kji, voxels)
    assert back.voxels_kji.dtype == dtype
    np.testing.assert_allclose(back.geometry.ijk_to_ras, matrix, atol=1e-9)


def test_rgb_survives_the_way_through_a_node(scene):
    voxels = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    back = volume_from_node(add_volume_node(scene.mrml, Volume(voxels, VolumeGeometry((2, 3, 4), np.eye(4))), "v"))
    np.testing.assert_array_equal(back.voxels_kji, voxels)


def test_the_voxels_are_a_view_of_the_nodes_own(desk):
    volume = volume_from_node(desk.volume_node)
    desk.volume_node.GetImageData().GetPointData().GetScalars().SetTuple1(0, 77)
    assert volume.voxels_kji[0, 0, 0] == 77


def test_a_parent_transform_is_part_of_the_place(desk):
    parent = np.eye(4)
    parent[:3, :3] = rotation(0, 0, 90)
    parent_transform(desk.scene, desk.volume_node, parent)
    geometry = volume_from_node(desk.volume_node).geometry
    np.testing.assert_allclose((geometry.ijk_to_ras @ [1, 0, 0, 1])[:3], (0, 1, 0), atol=1e-9)


def test_a_volume_without_voxels_is_refused(scene):
    with pytest.raises(InvalidImageError, match=r"Empty.*no voxels"):
        volume_from_node(scene.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"))
