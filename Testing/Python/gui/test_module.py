"""The module's panel."""

import pytest
import qt
import slicer

from MedSAMSegmentLib.models.weights import WeightsState
from MedSAMSegmentSlicer.inference_engine import ModelChoice


def _run(widget, workplace):
    widget.ui.segmentButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)


def test_the_first_volume_of_the_scene_is_chosen(widget, workplace):
    assert widget.ui.volumeSelector.currentNode() is workplace.volume


def test_each_roi_becomes_a_segment_with_its_volume_diameter_and_confidence(widget, workplace, roi):
    _run(widget, workplace)
    table = widget.ui.resultTable
    assert table.rowCount == 1
    texts = [table.item(0, column).text() for column in range(table.columnCount)]
    assert texts[0] == "Brick"
    # 4 × 20 × 30 voxels of 2 mm³, and the diagonal of 19 × 29 mm; the ROI's slices decide how much of it is found.
    assert float(texts[1]) == pytest.approx(4.8, rel=0.15)
    assert float(texts[2]) == pytest.approx((19**2 + 29**2) ** 0.5, rel=0.1)
    assert float(texts[3]) == pytest.approx(0.9, abs=0.11)
    segmentation = widget.ui.segmentationSelector.currentNode() or widget.panel._parameters.segmentation
    assert segmentation.GetSegmentation().GetSegmentIdBySegmentName("Brick")


def test_without_an_roi_it_says_what_to_do(widget, workplace):
    widget.ui.segmentButton.click()
    assert "There is no ROI" in widget.ui.statusLabel.text
    assert widget.ui.segmentButton.enabled


def test_only_the_checked_rois_are_segmented_when_not_all_are_wanted(widget, workplace, roi):
    import qt

    workplace.add_roi("Not this", workplace.ras(35, 30, 3.5), (10.0, 10.0, 10.0))
    widget.ui.allRoisCheckBox.checked = False
    widget.ui.roisSelector.setCheckState(roi, qt.Qt.Checked)
    _run(widget, workplace)
    assert widget.ui.resultTable.rowCount == 1


def test_an_existing_segmentation_is_continued(widget, workplace, roi):
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    _run(widget, workplace)
    assert workplace.segmentation.GetSegmentation().GetNumberOfSegments() == 2


def test_cancel_writes_nothing(widget, workplace, roi):
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    widget.ui.segmentButton.click()
    widget.ui.cancelButton.click()
    workplace.run_events(0.3)
    assert "Cancelled" in widget.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before


def test_removing_the_volume_while_the_model_works_writes_nothing(widget, workplace, roi):
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    widget.ui.segmentButton.click()
    slicer.mrmlScene.RemoveNode(workplace.volume)
    workplace.wait(lambda: "'Brick' was removed from the scene" in widget.ui.statusLabel.text)
    workplace.run_events(0.3)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before


def test_doubtful_slices_are_listed_and_a_click_jumps_there(widget, workplace, roi, model):
    model._predicted_iou = 0.4
    _run(widget, workplace)
    assert widget.ui.reviewTable.rowCount >= 1
    clicked = widget.ui.reviewTable.cellClicked
    getattr(clicked, "emit", clicked)(0, 0)  # under PythonQt a signal is called
    shown = widget.ui.reviewTable.item(0, 1).text().split(", ")
    view = workplace.view.mrmlSliceNode().GetSliceToRAS().GetElement(2, 3)
    assert view == pytest.approx(float(shown[2]), abs=1.1)


def test_a_slice_that_was_painted_on_stays_and_its_neighbours_are_updated(widget, workplace, roi):
    from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
    from MedSAMSegmentSlicer.segment_block import segment_block
    from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit

    assert not widget.ui.updateButton.enabled
    _run(widget, workplace)
    segmentation = widget.panel.results.result.segmentation
    segment = widget.panel.results.result.rows[0].segment_id
    widget.ui.updateButton.click()
    assert "No slice was corrected" in widget.ui.statusLabel.text

    # Everything of the lowest slice but its first row is erased, as with the Erase effect.
    whole = segment_block(segmentation, segment)
    k_min = whole.extent_ijk[4]
    layer = whole.mask_kji.copy()
    layer[1:] = False
    layer[0, 0] = False
    erased = type(whole)(layer, whole.extent_ijk, whole.grid)
    with logic_segment_writer(slicer.mrmlScene, segmentation, workplace.volume) as writer:
        writer.write([SegmentEdit(segment, erased, EditMode.SUBTRACT)])
    kept = segment_block(segmentation, segment).whole()[k_min].sum()
    widget.ui.updateButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "Done" in widget.ui.statusLabel.text
    assert segment_block(segmentation, segment).whole()[k_min].sum() == kept
    assert any(result.is_key for result in widget.panel.results.result.rows[0].structure.slices)


def test_the_models_table_lists_every_model_with_its_state(widget):
    widget.ui.modelsSection.collapsed = False
    table = widget.ui.modelsTable
    titles = [table.item(row, 0).text() for row in range(table.rowCount)]
    assert len(titles) >= 5
    assert any("LiteMedSAM" in title for title in titles)
    assert all(table.item(row, 1).text() for row in range(table.rowCount))


def test_a_model_is_let_go_of_before_its_weights_are_deleted(widget, workplace, monkeypatch):
    """On Windows a file in use cannot be deleted; elsewhere the model would go on with weights that are no more."""
    widget.ui.modelsSection.collapsed = False
    engine = widget.panel.models._engine
    states = []

    def delete(model):
        states.append((model.id, engine.state.phase))
        return 39_000_000

    engine.segmenter(ModelChoice("lite-medsam"))
    assert engine.state.phase == "ready"
    monkeypatch.setattr("MedSAMSegmentLib.models.weights.delete_weights", delete)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_arguments, **_options: True, raising=False)
    widget.ui.modelsTable.selectRow(0)
    widget.ui.deleteButton.click()
    assert states == [("lite-medsam", "unloaded")]
    assert "39 MB are free" in widget.ui.statusLabel.text


def test_verifying_can_be_cancelled_and_says_what_was_compared(widget, workplace, monkeypatch):
    widget.ui.modelsTable.selectRow(0)
    widget.ui.verifyButton.click()
    workplace.wait(lambda: not widget.panel._is_busy())
    assert "LiteMedSAM: verified" in widget.ui.statusLabel.text
    asked = []

    def verify(model, progress, cancelled):
        asked.append(cancelled())
        progress(2**31, 2**32)
        return WeightsState.UNCHECKED

    monkeypatch.setattr("MedSAMSegmentLib.models.weights.verify_weights", verify)
    widget.ui.verifyButton.click()
    workplace.wait(lambda: not widget.panel._is_busy())
    assert asked == [False]
    assert "not verified; unchanged" in widget.ui.statusLabel.text


def test_a_wrong_file_is_refused_with_a_sentence(widget, workplace, tmp_path):
    wrong = tmp_path / "lite_medsam.pth"
    wrong.write_bytes(b"not weights")
    widget.panel.models.import_path(wrong)
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "SHA-256" in widget.ui.statusLabel.text


def test_what_nobody_foresaw_of_a_model_is_said_and_logged(widget, workplace, tmp_path, monkeypatch, caplog):
    def fails(*_arguments, **_options):
        raise KeyError("odd")

    monkeypatch.setattr("MedSAMSegmentLib.models.weights_transfer.import_weights", fails)
    widget.panel.models.import_path(tmp_path / "weights.pth")
    workplace.wait(lambda: not widget.panel._is_busy())
    assert "Something unexpected went wrong: KeyError" in widget.ui.statusLabel.text
    assert "KeyError" in caplog.text


def test_set_up_lists_every_package_that_is_needed(widget):
    from MedSAMSegmentLib.packages import REQUIREMENTS

    for name in REQUIREMENTS:
        assert name in widget.ui.setUpLabel.text


def test_nothing_is_installed_without_a_click(widget, monkeypatch):
    from MedSAMSegmentWidgets import set_up_section

    installed = []
    monkeypatch.setattr(set_up_section, "install_missing", lambda file: installed.append(file) or "")
    widget.panel.refresh()
    assert installed == []


def test_closing_the_scene_leaves_the_module_usable(widget, workplace):
    slicer.mrmlScene.Clear(False)
    assert widget.ui.volumeSelector.currentNode() is None
    widget.ui.segmentButton.click()
    assert widget.ui.statusLabel.text


def test_results_go_into_a_table_of_the_scene_and_into_a_file(widget, workplace, roi, tmp_path):
    _run(widget, workplace)
    widget.ui.tableButton.click()
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 1
    file = tmp_path / "results.csv"
    widget.panel.results.write(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert "Brick" in lines[1]


def test_closing_the_scene_clears_the_results(widget, workplace, roi):
    _run(widget, workplace)
    slicer.mrmlScene.Clear(False)
    assert widget.ui.resultTable.rowCount == 0
    assert not widget.ui.updateButton.enabled
    assert not widget.ui.show3DButton.enabled


def test_results_that_cannot_be_saved_say_why(widget, workplace, roi, tmp_path):
    _run(widget, workplace)
    widget.panel.results.write(tmp_path / "no such folder" / "results.csv")
    assert "cannot be written" in widget.ui.resultLabel.text


# More ways in


def test_a_line_that_is_checked_becomes_a_segment_named_after_it(widget, workplace):
    import qt
    import vtk

    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Lesion")
    line.CreateDefaultDisplayNodes()
    for i in (29.5, 59.5):
        line.AddControlPoint(vtk.vtkVector3d(*workplace.ras(i, 29.5, 3)))
    widget.ui.segmentButton.click()
    assert "uncheck All ROIs and check a line" in widget.ui.statusLabel.text
    widget.ui.allRoisCheckBox.checked = False
    widget.ui.roisSelector.setCheckState(line, qt.Qt.Checked)
    _run(widget, workplace)
    assert widget.ui.resultTable.item(0, 0).text() == "Lesion"
    assert float(widget.ui.resultTable.item(0, 1).text()) > 1.0


def test_no_checked_roi_is_said_so(widget, workplace, roi):
    widget.ui.allRoisCheckBox.checked = False
    widget.ui.segmentButton.click()
    assert "No ROI is checked" in widget.ui.statusLabel.text


def test_rois_are_placed_around_the_segments_of_a_segmentation(widget, workplace):
    from MedSAMSegmentSlicer.roi_selection import rois_of_scene

    widget.ui.aroundButton.click()
    assert "Choose a segmentation" in widget.ui.statusLabel.text
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    widget.ui.aroundButton.click()
    assert "are empty" in widget.ui.statusLabel.text
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    widget.ui.marginSpinBox.value = 4.0
    widget.ui.aroundButton.click()
    (roi,) = rois_of_scene(slicer.mrmlScene)
    # 30 × 20 voxels of 1 mm on one layer of 2 mm, and 4 mm on either side.
    assert sorted(roi.GetSize()) == pytest.approx([10.0, 28.0, 38.0])
    assert list(widget.ui.roisSelector.checkedNodes()) == [roi]
    assert not widget.ui.allRoisCheckBox.checked


def test_the_choices_are_shown_in_words(widget):
    for combo in (widget.ui.planeComboBox, widget.ui.windowComboBox, widget.ui.levelComboBox):
        assert combo.itemText(0) == "Automatic"
    assert widget.ui.planeComboBox.itemText(1) == "Axial"


def test_a_second_new_segmentation_has_a_name_of_its_own(widget, workplace, roi):
    for _ in range(2):
        widget.logic.getParameterNode().segmentation = None
        _run(widget, workplace)
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")]
    assert len([name for name in names if name.startswith("Brick segmentation")]) == 2
    assert len(set(names)) == len(names)


def test_labels_that_wrap_take_the_width_that_there_is_and_make_the_panel_no_wider(widget):
    ui = widget.ui
    for label in (ui.statusLabel, ui.setUpLabel, ui.resultLabel, ui.reviewLabel, ui.tryLabel):
        assert label.wordWrap
        assert label.sizePolicy.horizontalPolicy() == qt.QSizePolicy.Ignored


def test_new_roi_says_how_it_is_placed(widget, workplace):
    widget.ui.newRoiButton.click()
    assert "Click in a slice view" in widget.ui.statusLabel.text
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def test_an_roi_in_which_nothing_is_found_says_what_to_do(widget, workplace):
    workplace.add_roi("Air", workplace.ras(10, 50, 3.5), (10.0, 10.0, 8.0))
    widget.ui.windowComboBox.currentIndex = widget.ui.windowComboBox.findText("CT soft-tissue: 40 / 400")
    _run(widget, workplace)
    assert "Nothing was found in Air: put the ROI closer" in widget.ui.statusLabel.text


def test_an_roi_beside_the_image_says_so(widget, workplace):
    workplace.add_roi("Away", (500.0, 500.0, 500.0), (10.0, 10.0, 8.0))
    _run(widget, workplace)
    assert "outside" in widget.ui.statusLabel.text
    assert widget.ui.resultTable.rowCount == 0
