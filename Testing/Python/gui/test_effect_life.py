"""Activation, deactivation, clones, parameters, shortcuts, status."""

import sys

import numpy as np
import qt
import slicer

from gui_stand_in.install import in_real_slicer
from MedSAMSegmentWidgets import late_start
from MedSAMSegmentWidgets.effect_choices import EffectChoices
from MedSAMSegmentWidgets.shortcuts import SHORTCUTS


def _shortcut_count(workplace):
    keys = {qt.QKeySequence(key).toString() for key in SHORTCUTS.values()}
    window = workplace.effect.panel.apply.window()
    return sum(1 for shortcut in window.findChildren(qt.QShortcut) if _key_of(shortcut) in keys)


def _key_of(shortcut):
    key = shortcut.key
    return (key() if callable(key) else key).toString()


def _overlays(view):
    return len(view.actors()) if hasattr(view, "actors") else 0


def test_shortcuts_live_only_while_the_effect_is_active(workplace):
    effect = workplace.scripted_effect
    assert _shortcut_count(workplace) == len(SHORTCUTS)
    workplace.editor.setActiveEffect(None)
    workplace.run_events(0.05)
    window = effect.self().panel.apply.window()
    keys = {qt.QKeySequence(key).toString() for key in SHORTCUTS.values()}
    assert not [each for each in window.findChildren(qt.QShortcut) if _key_of(each) in keys]


def test_every_shortcut_is_in_the_help_text(workplace):
    for key in SHORTCUTS.values():
        assert key in workplace.effect.helpText()


def test_deactivation_leaves_no_actor_timer_observer_or_request(workplace, engine):
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    box = workplace.drawn_box()
    workplace.editor.setActiveEffect(None)
    workplace.run_events(0.1)
    assert _overlays(workplace.view) == 0
    assert engine.on_busy == []
    assert not engine.is_busy
    assert not box.HasObserver(box.PointModifiedEvent) or not hasattr(workplace.view, "actors")
    assert not box.GetDisplayNode().GetVisibility()


def test_the_effect_can_be_activated_again_and_again(workplace):
    for _ in range(3):
        workplace.editor.setActiveEffect(None)
        workplace.editor.setActiveEffectByName("MedSAM")
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert workplace.voxels().any()


def test_a_box_drawn_before_the_effect_has_imported_everything_is_not_lost(workplace, monkeypatch, tmp_path):
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(late_start, "NEEDED", (*late_start.NEEDED, "slow_to_import"))
    workplace.editor.setActiveEffect(None)
    workplace.editor.setActiveEffectByName("MedSAM")
    assert workplace.effect.controller is None
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert workplace.voxels().any()
    del sys.modules["slow_to_import"]


def test_two_editors_have_two_effects_that_do_not_disturb_each_other(workplace):
    first = workplace.editor
    second = workplace.new_editor()
    try:
        assert first.activeEffect().self() is not second.activeEffect().self()
        second.activeEffect().setParameter("Threshold", 0.8)
        assert first.activeEffect().parameter("Threshold") != second.activeEffect().parameter("Threshold")
        workplace.draw((25, 15), (65, 45))
        second.setActiveEffect(None)
        workplace.wait()
        assert workplace.voxels().any()
    finally:
        second.setMRMLScene(None)
        second.deleteLater()


def _nodes_of_boxes():
    """Names of all nodes that a drawn box consists of."""
    classes = ("vtkMRMLMarkupsROINode", "vtkMRMLMarkupsROIDisplayNode")
    return [node.GetClassName() for name in classes for node in slicer.util.getNodesByClass(name)]


def _close(editor):
    editor.setMRMLScene(None)
    editor.deleteLater()
    if in_real_slicer():  # which deletes it once control is back in the event loop of the application
        slicer.app.sendPostedEvents(editor, qt.QEvent.DeferredDelete)


def test_a_closed_editor_leaves_no_box_in_the_scene(workplace):
    first, second = workplace.editor, workplace.new_editor()
    workplace.editor = second
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    workplace.drawn_box()
    workplace.editor = first
    assert len(_nodes_of_boxes()) == 2
    _close(second)
    workplace.run_events(0.1)
    assert _nodes_of_boxes() == []
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_a_box_goes_with_its_editor_even_if_the_effect_was_left_before(workplace):
    first, second = workplace.editor, workplace.new_editor()
    workplace.editor = second
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    workplace.drawn_box()
    second.setActiveEffect(None)
    workplace.editor = first
    _close(second)
    workplace.run_events(0.1)
    assert _nodes_of_boxes() == []


def test_an_editor_that_shares_its_parameters_with_a_closed_one_keeps_the_box(workplace):
    first, second = workplace.editor, workplace.new_editor(workplace.editor.mrmlSegmentEditorNode())
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    box = workplace.drawn_box()
    _close(second)
    workplace.run_events(0.1)
    if first.activeEffect() is None:  # Slicer's editors share the active effect as well
        first.setActiveEffectByName("MedSAM")
        workplace.wait(lambda: first.activeEffect().self().controller is not None)
    assert box.GetScene() is not None
    assert box.GetDisplayNode().GetVisibility()


def test_parameters_are_in_the_scene_and_come_back_into_the_widgets(workplace):
    effect = workplace.scripted_effect
    effect.setParameter("Threshold", 0.75)
    effect.setParameter("Mode", "subtract")
    effect.setParameter("FillHoles", 1)
    effect.setParameter("SmoothingMm", 2.5)
    panel = workplace.effect.panel
    assert panel.advanced.threshold.value == 0.75
    assert panel.mode.currentData == "subtract"
    assert panel.advanced.fill_holes.checked
    assert panel.advanced.smoothing.value == 2.5


def test_what_the_user_chooses_is_stored_in_the_scene(workplace):
    panel = workplace.effect.panel
    panel.advanced.keep_largest.click()
    assert workplace.scripted_effect.parameter("KeepLargest") == "1"
    panel.advanced.threshold.value = 0.25
    assert float(workplace.scripted_effect.parameter("Threshold")) == 0.25
    panel.advanced.keep_largest.click()
    assert workplace.scripted_effect.parameter("KeepLargest") == "0"


def test_a_parameter_of_another_version_is_shown_as_it_is_and_does_not_break_the_effect(workplace):
    workplace.scripted_effect.setParameter("Model", "/models/own.pth")
    workplace.scripted_effect.setParameter("Threshold", "high")
    assert workplace.effect.panel.model.currentData == "/models/own.pth"
    assert EffectChoices(workplace.scripted_effect).settings().threshold == 0.5


def test_cancel_writes_nothing(workplace):
    workplace.draw((25, 15), (65, 45))
    workplace.effect.panel.cancel.click()
    workplace.run_events(0.3)
    assert not workplace.voxels().any()
    assert "Cancelled" in workplace.effect.panel.status.text


def test_the_slice_in_view_is_encoded_ahead_and_a_box_then_needs_no_encoder_pass(workplace, model):
    workplace.wait(lambda: len(model.encoded) == 1)
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert len(model.encoded) == 1
    assert workplace.voxels().any()


def test_a_scrolled_view_is_encoded_when_it_has_settled(workplace, model):
    workplace.wait(lambda: len(model.encoded) == 1)
    workplace.show_slice(5)
    workplace.effect.processViewNodeEvents(workplace.view.mrmlSliceNode(), 0, workplace.view)
    workplace.wait(lambda: len(model.encoded) >= 1 and not workplace.effect.controller.is_busy)


def test_nothing_is_encoded_ahead_when_the_user_does_not_want_it(workplace, model):
    workplace.wait(lambda: len(model.encoded) == 1)
    workplace.scripted_effect.setParameter("EncodeAhead", 0)
    workplace.show_slice(0)
    workplace.run_events(0.6)
    assert len(model.encoded) == 1


def test_the_status_line_says_that_the_model_is_ready_and_where(workplace):
    workplace.wait(lambda: "ready" in workplace.effect.panel.status.text)
    assert "CPU" in workplace.effect.panel.status.text


def test_an_error_of_the_model_is_shown_and_leaves_the_effect_usable(workplace, model, monkeypatch):
    from MedSAMSegmentLib.errors import DeviceError

    def fail(*_arguments, **_options):
        raise DeviceError("The memory of the GPU is full. Use the CPU.")

    with monkeypatch.context() as patched:
        patched.setattr(model, "decode", fail)
        workplace.draw((25, 15), (65, 45))
        workplace.wait()
        assert "memory of the GPU" in workplace.effect.panel.status.text
    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    assert workplace.voxels().any()


def test_the_segment_says_what_it_was_made_with(workplace):
    from MedSAMSegmentSlicer.provenance import read_tags

    workplace.draw((25, 15), (65, 45))
    workplace.wait()
    tags = read_tags(workplace.segmentation.GetSegmentation().GetSegment("Target"))
    assert tags is not None
    assert tags.model == "threshold"
    assert "50,100" in tags.window
    assert slicer.mrmlScene is not None


def test_without_a_source_volume_the_status_says_what_to_choose(workplace):
    workplace.editor.setSourceVolumeNode(None)
    workplace.run_events(0.05)
    assert "Choose a source volume" in workplace.effect.panel.status.text
    workplace.editor.setSourceVolumeNode(workplace.volume)
    workplace.run_events(0.05)
    assert "Choose a source volume" not in workplace.effect.panel.status.text


def test_what_was_said_of_an_option_goes_when_another_one_is_chosen(workplace):
    workplace.scripted_effect.setParameter("Window", "custom")
    workplace.scripted_effect.setParameter("CustomWindow", "lung, please")
    workplace.draw((25, 15), (65, 45))
    assert "'lung, please' is not a window" in workplace.effect.panel.status.text
    workplace.scripted_effect.setParameter("Window", "lung")
    assert "is not a window" not in workplace.effect.panel.status.text


def test_a_view_that_shows_another_volume_is_noticed_before_a_box_is_drawn_in_it(workplace):
    other = slicer.mrmlScene.CopyNode(workplace.volume)
    slicer.util.setSliceViewerLayers(background=other)
    workplace.event("EnterEvent", (5, 5))
    assert "does not show the source volume Brick" in workplace.effect.panel.status.text


def test_a_status_text_of_several_lines_is_shown_whole(workplace):
    from MedSAMSegmentWidgets.wrapping_label import WrappingLabel

    label = qt.QLabel()
    label.show()
    text = WrappingLabel(label)
    label.resize(200, 20)
    text.show("Needs set-up. " * 30)
    workplace.run_events(0.05)
    several_lines = label.heightForWidth(label.width)
    assert several_lines > 60
    assert label.height >= several_lines
    text.show("Ready.")
    assert label.minimumHeight < several_lines
    text.close()
    label.hide()
