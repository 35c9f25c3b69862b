"""The module applied to all time points of a sequence."""

import pytest
import slicer


@pytest.fixture
def perfusion(workplace):
    """The volume node in which a browser shows three time points of the brick: as it is, twice as bright, absent."""
    import slicer.util

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for time, factor in (("0", 1), ("1.5", 2), ("3", 1)):
        voxels = slicer.util.arrayFromVolume(workplace.volume) * factor
        frame = slicer.mrmlScene.CopyNode(workplace.volume)
        slicer.util.updateVolumeFromArray(frame, voxels)
        sequence.SetDataNodeAtValue(frame, time)
        slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Player")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic = slicer.modules.sequences.logic()
    logic.UpdateProxyNodesFromSequences(browser)
    shown = browser.GetProxyNode(sequence)
    yield shown, browser, logic
    slicer.mrmlScene.RemoveNode(browser)


def test_all_time_points_are_offered_only_for_a_volume_that_shows_a_sequence(widget, workplace, perfusion):
    shown, _browser, _logic = perfusion
    widget.ui.volumeSelector.setCurrentNode(workplace.volume)
    assert widget.ui.allTimePointsCheckBox.isHidden()
    widget.ui.volumeSelector.setCurrentNode(shown)
    assert not widget.ui.allTimePointsCheckBox.isHidden()
    assert widget.ui.segmentationSelector.enabled
    widget.ui.allTimePointsCheckBox.checked = True
    assert not widget.ui.segmentationSelector.enabled  # what is made of all time points is always new


def _run_all_time_points(widget, shown):
    widget.ui.volumeSelector.setCurrentNode(shown)
    widget.ui.allTimePointsCheckBox.checked = True
    widget.ui.windowComboBox.currentIndex = 0
    widget.ui.segmentButton.click()


def test_all_time_points_become_a_sequence_of_segmentations_that_plays_along(widget, workplace, roi, perfusion):
    from MedSAMSegmentSlicer.segment_block import segment_block

    shown, browser, logic = perfusion
    _run_all_time_points(widget, shown)
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    result = slicer.mrmlScene.GetFirstNodeByName("Perfusion segmentation")
    assert result.GetNumberOfDataNodes() == 3
    assert result.GetIndexUnit() == "s"
    segmentation = browser.GetProxyNode(result)
    segment = segmentation.GetSegmentation().GetSegmentIdBySegmentName("Brick")
    for n in range(3):
        browser.SetSelectedItemNumber(n)
        logic.UpdateProxyNodesFromSequences(browser)
        assert segment_block(segmentation, segment).voxel_count > 1000
    table = widget.ui.resultTable
    assert [table.item(n, 0).text() for n in range(table.rowCount)] == [
        "Brick, Perfusion 0", "Brick, Perfusion 1.5", "Brick, Perfusion 3",
    ]  # fmt: skip
    assert "plays along" in widget.ui.statusLabel.text
    assert not widget.ui.updateButton.enabled
    widget.ui.tableButton.click()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode").GetNumberOfRows() == 3


def test_show_3d_shows_every_time_point(widget, workplace, roi, perfusion):
    shown, browser, logic = perfusion
    _run_all_time_points(widget, shown)
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    widget.ui.show3DButton.click()
    segmentation = browser.GetProxyNode(slicer.mrmlScene.GetFirstNodeByName("Perfusion segmentation"))
    assert segmentation.GetDisplayNode().GetVisibility3D()
    for n in range(3):
        browser.SetSelectedItemNumber(n)
        logic.UpdateProxyNodesFromSequences(browser)
        segment = segmentation.GetSegmentation().GetNthSegment(0)
        assert segment.GetRepresentation("Closed surface").GetNumberOfPoints() > 100


def test_a_time_point_in_which_nothing_is_found_is_named(widget, workplace, perfusion):
    workplace.add_roi("Corner", workplace.ras(5, 5, 3.5), (6.0, 6.0, 8.0))
    shown, _browser, _logic = perfusion
    _run_all_time_points(widget, shown)
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "Nothing was found in Corner (Perfusion 0), Corner (Perfusion 1.5)" in widget.ui.statusLabel.text


def test_all_time_points_can_be_cancelled_and_nothing_is_written_then(widget, workplace, roi, perfusion):
    shown, _browser, _logic = perfusion
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode")
    _run_all_time_points(widget, shown)
    assert widget.ui.cancelButton.enabled
    widget.ui.cancelButton.click()
    workplace.run_events(0.3)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == before
    assert "Cancelled" in widget.ui.statusLabel.text
