"""A real MRML scene for every test that asks for one."""

from collections.abc import Iterator

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.scene import HeadlessScene, headless_scene
from MedSAMSegmentSlicer.volume_nodes import add_volume_node
from support.command_line import case_folder, lasting_reader, medsam_segment
from support.mrml import Desk

__all__ = ["case_folder", "desk", "lasting_reader", "medsam_segment", "scene"]


@pytest.fixture
def scene() -> Iterator[HeadlessScene]:
    with headless_scene() as made:
        yield made


@pytest.fixture
def desk(scene: HeadlessScene) -> Desk:
    """A volume of 12 × 10 × 8 voxels of 1 × 1 × 2 mm, and an empty segmentation on its grid."""
    voxels = np.zeros((8, 10, 12), dtype=np.int16)
    voxels[:, :, 6:] = 100
    volume = Volume(voxels, VolumeGeometry(voxels.shape, np.diag([1.0, 1.0, 2.0, 1.0])))
    volume_node = add_volume_node(scene.mrml, volume, "CT")
    segmentation = scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    return Desk(scene.mrml, volume, volume_node, segmentation)
