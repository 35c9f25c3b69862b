"""Masks into segments through an effect: by the editor's own rules, and never unnoticed where they are refused."""

from collections.abc import Iterator

import numpy as np
import pytest

from MedSAMSegmentLib.errors import SegmentWriteError
from MedSAMSegmentSlicer.effect_segment_writer import EffectSegmentWriter
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, Unchanged
from support.mrml import block, filled

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
SHAPE = (8, 10, 12)
PLACE = (slice(2, 5), slice(1, 4), slice(4, 9))


class EffectOverLogic:
    """What the writer uses of ``qSlicerSegmentEditorScriptedEffect``, over the engine that the desktop has too."""

    def __init__(self, editor):
        self.editor = editor
        self.takes = True

    def parameterSetNode(self):  # noqa: N802
        return self.editor.GetSegmentEditorNode()

    def saveStateForUndo(self):  # noqa: N802
        self.editor.SaveStateForUndo()

    def modifySegmentByLabelmap(self, segmentation, segment_id, labelmap, mode, bypass_masking=False):  # noqa: N802
        if self.takes:
            kind = {1: self.editor.ModificationModeAdd, 2: self.editor.ModificationModeRemove}[mode]
            whole = [0, -1, 0, -1, 0, -1]
            self.editor.ModifySegmentByLabelmap(segmentation, segment_id, labelmap, kind, whole, True, bypass_masking)


@pytest.fixture
def effect(desk) -> Iterator[EffectOverLogic]:
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node, overwrite="all") as beneath:
        yield EffectOverLogic(beneath.editor)


def test_a_mask_is_written_to_its_voxels_and_nowhere_else(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("Lesion", RED)])
    (result,) = writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))
    assert (result.added, result.removed) == (45, 0)


def test_replacing_in_a_slice_is_one_undo_state(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("A", RED)])
    writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    layer = block(desk.volume.geometry, slice(3, 4), slice(0, 10), slice(0, 12))
    new = block(desk.volume.geometry, slice(3, 4), slice(7, 9), slice(0, 2))
    (result,) = writer.write([SegmentEdit(segment, new, EditMode.REPLACE, layer)])
    expected = filled(SHAPE, *PLACE)
    expected[3] = False
    expected[3, 7:9, 0:2] = True
    np.testing.assert_array_equal(desk.voxels(segment), expected)
    assert (result.added, result.removed) == (4, 15)
    effect.editor.Undo()
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))


def test_segments_are_found_by_name_before_they_are_added(desk, effect):
    writer = EffectSegmentWriter(effect)
    first = writer.add_segments([("A", RED), ("B", GREEN)])
    assert writer.add_segments([("B", RED), ("A", RED)]) == first[::-1]


def test_two_of_the_same_name_become_two_segments_and_are_found_again(effect):
    writer = EffectSegmentWriter(effect)
    first = writer.add_segments([("A", RED), ("A", GREEN)])
    assert len(set(first)) == 2
    assert writer.add_segments([("A", RED), ("A", GREEN)]) == first


def test_segments_that_were_added_go_with_their_voxels_in_one_undo_state(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("Lesion", RED)])
    writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))], is_begun=True)
    effect.editor.Undo()
    assert desk.segmentation.GetSegmentation().GetNumberOfSegments() == 0
    effect.editor.Redo()
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))


def test_what_is_put_back_takes_nothing_from_others_and_needs_no_editable_area(desk, effect):
    writer = EffectSegmentWriter(effect)
    first, second = writer.add_segments([("A", RED), ("B", GREEN)])
    mask = block(desk.volume.geometry, *PLACE)
    writer.write([SegmentEdit(first, mask)])
    parameters = effect.parameterSetNode()
    parameters.SetMaskMode(desk.segmentation.EditAllowedOutsideAllSegments)
    writer.write([SegmentEdit(second, mask, restores=True)])
    for segment in (first, second):
        np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))


def test_a_mask_that_masking_keeps_out_is_no_error(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("A", RED)])
    effect.parameterSetNode().SetSourceVolumeIntensityMask(True)
    effect.parameterSetNode().SetSourceVolumeIntensityMaskRange(500, 900)  # brighter than anything there is
    (result,) = writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    assert result.added == 0


def test_what_is_put_back_needs_no_intensity_range(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("A", RED)])
    parameters = effect.parameterSetNode()
    parameters.SetSourceVolumeIntensityMask(True)
    parameters.SetSourceVolumeIntensityMaskRange(500, 900)  # brighter than anything there is
    mask = block(desk.volume.geometry, *PLACE)
    writer.write([SegmentEdit(segment, mask, restores=True)])
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))
    writer.write([SegmentEdit(segment, mask, EditMode.SUBTRACT, restores=True)])
    assert not desk.voxels(segment).any()
    assert parameters.GetSourceVolumeIntensityMask()
    assert parameters.GetDisableModifiedEvent() == 0


def test_what_changes_no_voxel_is_no_undo_state_and_says_why(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("A", RED)])
    edit = SegmentEdit(segment, block(desk.volume.geometry, *PLACE))
    writer.write([edit])
    assert writer.add_segments([("A", RED)]) == [segment]
    (result,) = writer.write([edit], is_begun=True)
    assert (result.added, result.removed, result.unchanged) == (0, 0, Unchanged.ALREADY_SO)
    effect.editor.Undo()
    assert not desk.voxels(segment).any()


def test_an_editor_that_takes_nothing_is_noticed(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("A", RED)])
    effect.takes = False
    with pytest.raises(SegmentWriteError, match="did not take the mask"):
        writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])


def test_a_segment_that_is_gone_is_refused_before_anything_is_written(desk, effect):
    writer = EffectSegmentWriter(effect)
    (segment,) = writer.add_segments([("A", RED)])
    mask = block(desk.volume.geometry, *PLACE)
    with pytest.raises(SegmentWriteError, match="gone"):
        writer.write([SegmentEdit(segment, mask), SegmentEdit("gone", mask)])
    assert desk.voxels(segment).sum() == 0


def test_an_editor_without_a_segmentation_is_refused(effect):
    effect.parameterSetNode().SetAndObserveSegmentationNode(None)
    with pytest.raises(SegmentWriteError, match="no segmentation"):
        EffectSegmentWriter(effect).write([])
