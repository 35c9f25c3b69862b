"""The module's panel while scenes are closed, loaded and added to."""

import pytest
import qt
import slicer


@pytest.fixture
def saved(widget, workplace, roi, tmp_path):
    """A scene file in which one of two ROIs is checked, and the segmentation chosen; the panel shows the same."""
    workplace.add_roi("Not this", workplace.ras(35, 30, 3.5), (10.0, 10.0, 10.0))
    widget.ui.allRoisCheckBox.checked = False
    widget.ui.roisSelector.setCheckState(roi, qt.Qt.Checked)
    widget.ui.segmentationSelector.setCurrentNode(workplace.segmentation)
    path = tmp_path / "scene.mrml"
    for node in (workplace.volume, workplace.segmentation):
        node.SetName(node.GetName())
    slicer.mrmlScene.SetURL(str(path))
    slicer.mrmlScene.SetRootDirectory(str(tmp_path))
    for n in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = slicer.mrmlScene.GetNthNodeByClass(n, "vtkMRMLStorableNode")
        if node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLMarkupsROINode"):
            node.AddDefaultStorageNode()
            ending = "nrrd" if node.IsA("vtkMRMLScalarVolumeNode") else "mrk.json"
            node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetID()}.{ending}"))
            node.GetStorageNode().WriteData(node)
    assert slicer.mrmlScene.Commit(str(path))
    return path


def _read(path, clear):
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Connect() if clear else slicer.mrmlScene.Import()


def _checked(widget):
    return [node.GetName() for node in widget.ui.roisSelector.checkedNodes()]


def _assert_shown(widget):
    assert _checked(widget) == ["Brick"]
    assert [node.GetName() for node in widget.logic.getParameterNode().rois] == ["Brick"]
    assert not widget.ui.allRoisCheckBox.checked
    assert widget.ui.segmentationSelector.currentNode().GetName() == "Segmentation"
    assert widget.ui.volumeSelector.currentNode().GetName() == "Brick"


def test_a_scene_that_replaces_another_shows_what_was_chosen_in_it(widget, workplace, saved):
    _read(saved, clear=True)
    workplace.run_events(0.1)
    _assert_shown(widget)


def test_a_scene_that_is_loaded_after_the_first_was_closed_shows_what_was_chosen_in_it(widget, workplace, saved):
    slicer.mrmlScene.Clear(False)
    workplace.run_events(0.1)
    assert _checked(widget) == []
    _read(saved, clear=False)
    workplace.run_events(0.1)
    _assert_shown(widget)


def test_a_scene_that_is_loaded_while_another_module_is_open_is_shown_on_return(widget, workplace, saved):
    widget.exit()
    _read(saved, clear=True)
    workplace.run_events(0.1)
    widget.enter()
    _assert_shown(widget)


def test_nodes_that_are_added_together_take_nothing_from_the_choice(widget, workplace, saved):
    scene = slicer.mrmlScene
    scene.StartState(scene.BatchProcessState)
    scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Another")
    scene.EndState(scene.BatchProcessState)
    workplace.run_events(0.1)
    _assert_shown(widget)


def test_closing_the_scene_leaves_no_word_on_what_was_in_it(widget, workplace, roi):
    widget.ui.segmentButton.click()
    workplace.wait(lambda: widget.ui.segmentButton.enabled)
    assert "Done" in widget.ui.statusLabel.text
    slicer.mrmlScene.Clear(False)
    assert "Choose a volume" in widget.ui.statusLabel.text
