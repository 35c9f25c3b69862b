"""A slice is corrected by hand; its neighbours follow, everything else stays, and one undo takes it back."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.propagation.structure import segment_structure
from MedSAMSegmentSlicer.correction_job import corrected_slices, update_between, update_edits
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit
from MedSAMSegmentSlicer.volume_nodes import add_volume_node
from support.mrml import Desk, block
from support.threshold_model import ThresholdModel

SHAPE = (11, 40, 40)
KEY = 5


@pytest.fixture
def corrected(scene):
    """A bright bar of 16 × 16 voxels through all slices, segmented; then half of it erased on the middle slice."""
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    voxels[:, 12:28, 12:28] = 255
    volume = Volume(voxels, VolumeGeometry(SHAPE, np.diag([1.0, 1.0, 2.0, 1.0])))
    node = add_volume_node(scene.mrml, volume, "CT")
    segmentation = scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    desk = Desk(scene.mrml, volume, node, segmentation)
    roi = OrientedBox.from_bounds((9.5, 9.5, -1.0), (29.5, 29.5, 21.0))
    model, cache = ThresholdModel(), EmbeddingCache()
    structure = segment_structure(volume, roi, model, level="fast", orientation="axial", cache=cache)
    with logic_segment_writer(desk.scene, segmentation, node) as writer:
        segment = writer.add_segment("Bar", (1, 0, 0))
        writer.write([SegmentEdit(segment, structure.block)])
        written = segment_block(segmentation, segment)
        half = block(volume.geometry, slice(KEY, KEY + 1), slice(0, 40), slice(20, 40))
        writer.write([SegmentEdit(segment, half, EditMode.SUBTRACT)])
        yield desk, model, cache, structure, writer, segment, written


def test_the_slice_that_was_painted_on_is_found_and_no_other(corrected):
    desk, _, _, structure, _, segment, written = corrected
    keys = corrected_slices(structure, written, segment_block(desk.segmentation, segment), desk.volume.geometry)
    assert [key.position_mm for key in keys] == [2.0 * KEY]
    assert keys[0].mask_hw is not None
    assert keys[0].mask_hw.sum() == desk.voxels(segment)[KEY].sum()


def test_a_segment_that_was_left_alone_has_no_corrected_slice(corrected):
    desk, model, _, structure, writer, segment, written = corrected
    writer.undo()
    keys = corrected_slices(structure, written, segment_block(desk.segmentation, segment), desk.volume.geometry)
    assert keys == []
    with pytest.raises(InvalidOptionError, match="No slice was corrected"):
        update_between(structure, desk.volume, model, keys)


def test_updating_keeps_the_corrected_slice_exactly_and_needs_no_new_encoding(corrected):
    desk, model, cache, structure, writer, segment, written = corrected
    painted = desk.voxels(segment)[KEY].copy()
    encoded = len(model.encoded)
    keys = corrected_slices(structure, written, segment_block(desk.segmentation, segment), desk.volume.geometry)
    updated = update_between(structure, desk.volume, model, keys, cache=cache)
    writer.write(update_edits(segment, structure, updated, desk.volume.geometry))
    after = desk.voxels(segment)
    np.testing.assert_array_equal(after[KEY], painted)
    assert updated.block is not None
    others = [k for k in range(SHAPE[0]) if k != KEY]
    np.testing.assert_array_equal(after[others], updated.block.whole()[others])
    assert len(model.encoded) == encoded
    assert [result.position_mm for result in updated.slices if result.is_key] == [2.0 * KEY]


def test_what_was_painted_elsewhere_stays_and_one_undo_takes_the_update_back(corrected):
    desk, model, cache, structure, writer, segment, written = corrected
    keys = corrected_slices(structure, written, segment_block(desk.segmentation, segment), desk.volume.geometry)
    dot = block(desk.volume.geometry, slice(2, 3), slice(36, 38), slice(1, 3))
    writer.write([SegmentEdit(segment, dot)])
    before = desk.voxels(segment).copy()
    updated = update_between(structure, desk.volume, model, keys, cache=cache)
    writer.write(update_edits(segment, structure, updated, desk.volume.geometry))
    assert desk.voxels(segment)[2, 36:38, 1:3].all()
    writer.undo()
    np.testing.assert_array_equal(desk.voxels(segment), before)
