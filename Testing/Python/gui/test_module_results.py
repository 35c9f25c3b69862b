"""The module's results follow the segments, and its texts what is the case."""

import numpy as np
import pytest
import qt
import slicer

from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, reference_grid


def _run(widget, workplace):
    widget.ui.segmentButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)


def _row(widget, n=0):
    """Name, mL, voxels."""
    texts = [widget.ui.resultTable.item(n, column).text() for column in (0, 1, 4)]
    return texts[0], float(texts[1]), int(texts[2])


def _edit(workplace, segmentation, segment_id, k, mode):
    """20 × 10 voxels of a layer, away from the brick for ADD, in it for SUBTRACT: as an effect paints."""
    i, j = (2, 2) if mode is EditMode.ADD else (30, 20)
    block = MaskBlock(np.ones((1, 10, 20), dtype=bool), (i, i + 19, j, j + 9, k, k), reference_grid(segmentation))
    with logic_segment_writer(slicer.mrmlScene, segmentation, workplace.volume) as writer:
        writer.write([SegmentEdit(segment_id, block, mode)])


@pytest.fixture
def done(widget, workplace, roi):
    """A segmentation node with the brick's segment, and the segment's id."""
    _run(widget, workplace)
    result = widget.panel.results.result
    return result.segmentation, result.rows[0].segment_id


def test_voxels_and_volume_are_those_of_the_segment_after_every_edit(widget, workplace, done):
    segmentation, segment = done
    _name, volume, voxels = _row(widget)
    assert volume == pytest.approx(voxels * 0.002, abs=0.005)  # voxels of 2 mm³
    _edit(workplace, segmentation, segment, 3, EditMode.ADD)
    workplace.wait(lambda: _row(widget)[2] == voxels + 200)
    assert _row(widget)[1] == pytest.approx((voxels + 200) * 0.002, abs=0.005)
    widget.ui.tableButton.click()
    assert "is in the scene" in widget.ui.resultLabel.text
    _edit(workplace, segmentation, segment, 3, EditMode.SUBTRACT)
    workplace.wait(lambda: _row(widget)[2] == voxels)
    assert widget.ui.resultLabel.text == f"In {segmentation.GetName()}:"


def test_the_update_between_corrections_says_what_it_did_and_counts_anew(widget, workplace, done):
    segmentation, segment = done
    _edit(workplace, segmentation, segment, 3, EditMode.SUBTRACT)
    widget.ui.updateButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "New segments" not in widget.ui.statusLabel.text
    assert "were segmented again" in widget.ui.statusLabel.text
    _name, volume, voxels = _row(widget)
    assert voxels == segment_block(segmentation, segment).voxel_count
    assert volume == pytest.approx(voxels * 0.002, abs=0.005)


def test_a_renamed_segment_is_listed_by_its_new_name_and_a_removed_one_no_more(widget, workplace, done):
    segmentation, segment = done
    segmentation.GetSegmentation().GetSegment(segment).SetName("Stone")
    workplace.wait(lambda: _row(widget)[0] == "Stone")
    segmentation.GetSegmentation().RemoveSegment(segment)
    workplace.wait(lambda: widget.ui.resultTable.rowCount == 0)
    for button in (widget.ui.updateButton, widget.ui.tableButton, widget.ui.fileButton, widget.ui.show3DButton):
        assert not button.enabled


def test_what_was_edited_in_another_module_is_in_the_file_and_shown_on_return(widget, workplace, done, tmp_path):
    segmentation, segment = done
    voxels = _row(widget)[2]
    widget.exit()
    _edit(workplace, segmentation, segment, 3, EditMode.ADD)
    widget.panel.results.write(tmp_path / "results.csv")
    written = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    assert float(written[2]) == pytest.approx((voxels + 200) * 0.002)
    widget.enter()
    assert _row(widget)[2] == voxels + 200


def test_the_word_on_a_run_goes_when_the_run_is_undone(widget, workplace, roi):
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    _run(widget, workplace)
    assert "Done" in widget.ui.statusLabel.text
    workplace.editor.undo()
    workplace.wait(lambda: "Done" not in widget.ui.statusLabel.text)
    assert widget.ui.resultTable.rowCount == 0


def test_results_go_with_their_segmentation(widget, workplace, done):
    slicer.mrmlScene.RemoveNode(done[0])
    assert widget.ui.resultTable.rowCount == 0
    assert not widget.ui.updateButton.enabled
    assert "Done" not in widget.ui.statusLabel.text


def test_cancel_and_progress_are_hidden_until_something_runs(widget, workplace, roi):
    assert widget.ui.cancelButton.isHidden()
    assert widget.ui.progressBar.isHidden()
    widget.ui.segmentButton.click()
    assert not widget.ui.cancelButton.isHidden()
    assert widget.ui.progressBar.maximum > 0  # 0 would be an animation
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert widget.ui.cancelButton.isHidden()


@pytest.mark.parametrize("which", ["volume", "segmentation", "roi"])
def test_the_model_stops_at_once_when_what_it_works_for_is_removed(widget, workplace, roi, model, which):
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    widget.ui.segmentButton.click()
    node = {"volume": workplace.volume, "segmentation": workplace.segmentation, "roi": roi}[which]
    name = node.GetName()
    slicer.mrmlScene.RemoveNode(node)
    assert not widget.panel._is_busy()
    assert f"'{name}' was removed from the scene" in widget.ui.statusLabel.text
    workplace.run_events(0.2)
    assert not workplace.segmentation.GetSegmentation().GetSegmentIdBySegmentName("Brick")


def test_another_node_that_is_removed_stops_nothing(widget, workplace, roi):
    other = workplace.add_roi("Other", workplace.ras(35, 30, 3.5), (10.0, 10.0, 10.0))
    widget.ui.allRoisCheckBox.checked = False
    widget.ui.roisSelector.setCheckState(roi, qt.Qt.Checked)
    widget.ui.segmentButton.click()
    slicer.mrmlScene.RemoveNode(other)
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "Done" in widget.ui.statusLabel.text


def test_progress_says_which_slice_and_how_long(widget, workplace, roi, monkeypatch):
    from MedSAMSegmentWidgets import module_panel

    now = [0.0]
    monkeypatch.setattr(module_panel.time, "monotonic", lambda: now[0])
    widget.panel._work._clock = lambda: now[0]
    monkeypatch.setattr(widget.panel._engine, "has", lambda key: key == module_panel.JOB)
    widget.panel._begin("Segmenting…")
    shown = []
    for n in range(1, 8):
        now[0] = 3.0 * n
        widget.panel._progress(1000 * n // 26, 1000, f"Slice {n} of 26")
        shown.append(widget.ui.statusLabel.text)
    # 19 slices of 3 s are left.
    assert shown[-1] == "Slice 7 of 26, about 1 min left"
    now[0] += 0.2
    widget.panel._progress(1000 * 8 // 26, 1000, "Slice 8 of 26")
    assert widget.ui.statusLabel.text == shown[-1]  # twice a second is enough


def test_names_are_shown_as_they_are(widget, workplace, roi):
    roi.SetName("<b>A</b> & <img src=x>")
    _run(widget, workplace)
    assert widget.ui.resultTable.item(0, 0).text() == "<b>A</b> & <img src=x>"
    for label in (widget.ui.statusLabel, widget.ui.resultLabel, widget.ui.reviewLabel, widget.ui.setUpLabel):
        assert label.textFormat == qt.Qt.PlainText
    status = workplace.effect.panel.status if hasattr(workplace.effect, "panel") else None
    assert status is None or status.textFormat == qt.Qt.PlainText
