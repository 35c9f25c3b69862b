"""What is in a segmentation stays there when the module segments into it."""

import numpy as np
import pytest
import slicer


def _run(widget, workplace):
    widget.ui.segmentButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)


def _paint(workplace, segment_id, k, rows, columns):
    """Voxels added as the Paint effect does it: through the editor on the screen, one undo state."""
    from MedSAMSegmentLib.geometry.volume import MaskBlock
    from MedSAMSegmentSlicer.effect_segment_writer import EffectSegmentWriter
    from MedSAMSegmentSlicer.segment_writer import SegmentEdit, reference_grid

    grid = reference_grid(workplace.editor.segmentationNode())
    mask = np.ones((1, rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
    block = MaskBlock(mask, (columns.start, columns.stop - 1, rows.start, rows.stop - 1, k, k), grid)
    EffectSegmentWriter(workplace.scripted_effect).write([SegmentEdit(segment_id, block)])
    return mask.sum()


@pytest.fixture
def segmented(widget, workplace, roi):
    """The brick is segmented into the editor's segmentation; its id there."""
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    _run(widget, workplace)
    return workplace.segmentation.GetSegmentation().GetSegmentIdBySegmentName("Brick")


def names(workplace):
    segments = workplace.segmentation.GetSegmentation()
    return [segments.GetNthSegment(n).GetName() for n in range(segments.GetNumberOfSegments())]


def test_an_roi_that_is_segmented_again_continues_its_segment_and_keeps_what_was_painted(widget, workplace, segmented):
    found = workplace.voxels(segmented).sum()
    assert found > 1000
    painted = _paint(workplace, segmented, 3, slice(2, 8), slice(2, 18))
    _run(widget, workplace)
    assert names(workplace) == ["Target", "Brick"]
    assert workplace.voxels(segmented).sum() == found + painted
    assert "Added to what is there: Brick" in widget.ui.statusLabel.text


def test_undo_takes_back_the_run_and_not_what_was_painted_before(widget, workplace, segmented, roi):
    _paint(workplace, segmented, 3, slice(2, 8), slice(2, 18))
    before = workplace.voxels(segmented).copy()
    roi.SetSize([18.0, 26.0, 16.0])
    workplace.add_roi("Second", workplace.ras(44.5, 29.5, 3.5), (36.0, 26.0, 16.0))
    _run(widget, workplace)
    assert "Second" in names(workplace)
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(segmented), before)
    assert names(workplace) == ["Target", "Brick"]


def test_other_segments_keep_their_voxels(widget, workplace, roi):
    _paint(workplace, "Target", 3, slice(10, 50), slice(10, 70))
    before = workplace.voxels("Target").copy()
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    _run(widget, workplace)
    np.testing.assert_array_equal(workplace.voxels("Target"), before)
    brick = workplace.segmentation.GetSegmentation().GetSegmentIdBySegmentName("Brick")
    np.testing.assert_array_equal(workplace.voxels(brick)[3], workplace.bright(3)[3])


def test_an_roi_and_a_segment_that_were_renamed_still_belong_together(widget, workplace, segmented, roi):
    found = workplace.voxels(segmented).sum()
    roi.SetName("Stone")
    workplace.segmentation.GetSegmentation().GetSegment(segmented).SetName("Rock")
    _run(widget, workplace)
    assert names(workplace) == ["Target", "Rock"]
    assert workplace.voxels(segmented).sum() == found


def test_two_rois_of_one_name_keep_a_segment_each(widget, workplace, roi):
    other = workplace.add_roi("Brick", workplace.ras(37.5, 29.5, 3.5), (20.0, 26.0, 16.0))
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    for _ in range(2):
        _run(widget, workplace)
        assert names(workplace) == ["Target", "Brick", "Brick_1"]
    slicer.mrmlScene.RemoveNode(roi)
    _run(widget, workplace)
    assert names(workplace) == ["Target", "Brick", "Brick_1"]
    assert widget.ui.resultTable.item(0, 0).text() == "Brick_1"
    assert other.GetName() == "Brick"


def test_another_image_gets_a_segment_of_its_own(widget, workplace, segmented):
    before = workplace.voxels(segmented).copy()
    follow_up = slicer.mrmlScene.CopyNode(workplace.volume)
    follow_up.SetName("Follow-up")
    widget.ui.volumeSelector.setCurrentNode(follow_up)
    _run(widget, workplace)
    assert names(workplace) == ["Target", "Brick", "Brick_1"]
    np.testing.assert_array_equal(workplace.voxels(segmented), before)


def test_a_new_roi_continues_the_segment_of_its_name_once_the_first_one_is_gone(widget, workplace, segmented, roi):
    slicer.mrmlScene.RemoveNode(roi)
    workplace.add_roi("Brick", workplace.ras(44.5, 29.5, 3.5), (36.0, 26.0, 16.0))
    _run(widget, workplace)
    assert names(workplace) == ["Target", "Brick"]


def test_the_update_between_corrections_takes_nothing_from_others_and_is_one_undo(widget, workplace, segmented):
    _paint(workplace, "Target", 4, slice(10, 50), slice(10, 70))
    target = workplace.voxels("Target").copy()
    _paint(workplace, segmented, 3, slice(2, 8), slice(2, 18))
    before = workplace.voxels(segmented).copy()
    widget.ui.updateButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "were segmented again" in widget.ui.statusLabel.text
    np.testing.assert_array_equal(workplace.voxels("Target"), target)
    assert (workplace.voxels(segmented)[3] == before[3]).all()
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(segmented), before)
