"""Encoding ahead, through the effect: when a view settles, while a box is drawn, and that it changes no mask."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import slicer
import vtk

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentLib.models.description import ModelIdentity
from support.threshold_model import ThresholdModel


class PatientModel(ThresholdModel):
    """Encodes for as long as it is told to, and notices when nobody wants that any more."""

    identity = ModelIdentity("patient", "test", "0" * 64, "sam")

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.begun = self.given_up = 0
        self.stop_after = -1
        """This many more slices, then wait."""

    def encode(self, slices_u8, *, cancelled=None):
        self.begun += 1
        if self.stop_after == 0:
            self.go.clear()
        while not self.go.is_set():
            if cancelled is not None and cancelled():
                self.given_up += 1
                raise CancelledError("Cancelled.")
            time.sleep(0.001)
        self.stop_after -= 1
        return super().encode(slices_u8)


@pytest.fixture
def model():
    return PatientModel()


@pytest.fixture
def automatic(workplace):
    """The default window, and a slope under the bright brick: every box has a window of its own, and no slice another's
    pixels."""
    voxels = slicer.util.arrayFromVolume(workplace.volume)
    voxels[:] += 4 * np.arange(voxels.shape[2], dtype=voxels.dtype)
    voxels[np.arange(len(voxels)), 0, 0] = np.arange(len(voxels))
    slicer.util.arrayFromVolumeModified(workplace.volume)
    workplace.scripted_effect.setParameter("Window", "auto")
    return workplace


def _idle(workplace, engine):
    """Leave the effect alone until it has settled and prepared all that it wants."""
    workplace.run_events(0.4)
    workplace.wait(lambda: not engine.is_busy)


def _scroll(workplace, k):
    workplace.show_slice(k)
    workplace.effect.processViewNodeEvents(workplace.view.mrmlSliceNode(), 0, workplace.view)


def _press_and_move(workplace, first, second):
    workplace.event("LeftButtonPressEvent", workplace.xy(*first))
    workplace.event("MouseMoveEvent", workplace.xy(*second))


def test_the_box_that_was_drawn_last_is_prepared_for_on_the_next_slice(automatic, engine, model):
    automatic.draw((25, 15), (65, 45))
    automatic.wait()
    _scroll(automatic, 4)
    _idle(automatic, engine)
    prepared = len(model.encoded)
    automatic.draw((25, 15), (65, 45))
    automatic.wait()
    assert len(model.encoded) == prepared
    assert automatic.voxels()[4].any()


def test_the_middle_of_the_view_is_prepared_for_when_nothing_was_drawn_yet(automatic, engine, model):
    _idle(automatic, engine)
    assert len(model.encoded) == 1
    assert "Slice prepared" in automatic.effect.panel.status.text


def test_a_slice_is_encoded_for_a_box_while_it_is_drawn(automatic, engine, model):
    _idle(automatic, engine)
    _press_and_move(automatic, (25, 15), (40, 30))
    automatic.wait(lambda: not engine.is_busy)
    prepared = len(model.encoded)
    assert prepared >= 2  # for the middle of the view, and for this box
    automatic.event("LeftButtonReleaseEvent", automatic.xy(40, 30))
    automatic.wait()
    assert len(model.encoded) == prepared
    assert automatic.voxels().any()


def test_what_a_box_does_not_need_any_more_is_given_up_and_what_it_needs_is_finished(automatic, engine, model):
    _idle(automatic, engine)
    model.go.clear()
    begun = model.begun
    _press_and_move(automatic, (25, 15), (32, 25))
    automatic.wait(lambda: model.begun == begun + 1)
    automatic.event("MouseMoveEvent", automatic.xy(65, 45))
    automatic.wait(lambda: model.given_up == 1 and model.begun == begun + 2)
    automatic.event("LeftButtonReleaseEvent", automatic.xy(65, 45))
    automatic.run_events(0.1)
    assert (model.begun, model.given_up) == (begun + 2, 1)
    model.go.set()
    automatic.wait()
    assert (model.begun, model.given_up) == (begun + 2, 1)
    assert automatic.voxels().any()


def test_escape_gives_up_what_was_encoded_for_the_box(automatic, engine, model):
    _idle(automatic, engine)
    model.go.clear()
    begun = model.begun
    _press_and_move(automatic, (25, 15), (32, 25))
    automatic.wait(lambda: model.begun == begun + 1)
    automatic.event("KeyPressEvent", automatic.xy(32, 25), key="Escape")
    automatic.wait(lambda: model.given_up == 1)
    model.go.set()
    _idle(automatic, engine)
    assert not automatic.voxels().any()


def _draw_and_wait_for_the_encoder(workplace, engine, model):
    """Draw a box on a slice of which nothing is prepared."""
    workplace.scripted_effect.setParameter("EncodeAhead", 0)
    _idle(workplace, engine)
    slicer.util.arrayFromVolume(workplace.volume)[:] += 1
    slicer.util.arrayFromVolumeModified(workplace.volume)
    model.go.clear()
    begun = model.begun
    workplace.draw((10, 10), (70, 50))
    workplace.wait(lambda: model.begun > begun)


def test_cancel_ends_an_encoder_pass_in_its_middle(automatic, engine, model):
    _draw_and_wait_for_the_encoder(automatic, engine, model)
    automatic.effect.panel.cancel.click()
    automatic.wait(lambda: model.given_up == 1)
    model.go.set()
    _idle(automatic, engine)
    assert not automatic.voxels().any()


@pytest.mark.parametrize("window", ["auto", "roi", "50,100"])
def test_the_same_box_gives_the_same_mask_whatever_was_done_before(automatic, engine, window):
    automatic.scripted_effect.setParameter("Window", window)
    box = ((27, 17), (61.5, 43.2))

    def masks():
        automatic.draw(*box)
        automatic.wait()
        found = automatic.voxels()
        automatic.editor.undo()
        return found

    automatic.scripted_effect.setParameter("EncodeAhead", 0)
    alone = masks()
    assert alone.any()
    automatic.scripted_effect.setParameter("EncodeAhead", 1)
    for before in (((10, 10), (70, 50)), ((30, 22), (40, 30)), ((26, 16), (62, 44))):
        _idle(automatic, engine)
        automatic.draw(*before)
        automatic.wait()
        automatic.editor.undo()
        np.testing.assert_array_equal(masks(), alone)
    _press_and_move(automatic, (10, 10), (30, 30))
    automatic.event("KeyPressEvent", automatic.xy(30, 30), key="Escape")
    _idle(automatic, engine)
    np.testing.assert_array_equal(masks(), alone)


def test_the_next_slices_in_the_direction_of_scrolling_are_prepared_while_nothing_else_is_to_do(
    automatic, engine, model
):
    _idle(automatic, engine)
    automatic.draw((25, 15), (65, 45))
    automatic.wait()
    _scroll(automatic, 4)
    _idle(automatic, engine)
    for k in (5, 6, 7):
        before = len(model.encoded)
        automatic.show_slice(k)
        automatic.draw((25, 15), (65, 45))
        automatic.wait()
        assert len(model.encoded) == before, k


def test_scrolling_on_gives_up_what_was_prepared_for_later(automatic, engine, model):
    _idle(automatic, engine)
    automatic.draw((25, 15), (65, 45))
    automatic.wait()
    _scroll(automatic, 4)
    model.stop_after = 1  # the slice in view, and no other
    automatic.wait(lambda: not model.go.is_set())
    assert model.given_up == 0
    _scroll(automatic, 5)
    automatic.wait(lambda: model.given_up == 1)
    model.stop_after = -1
    model.go.set()
    _idle(automatic, engine)


def test_an_image_that_changes_while_it_is_segmented_gets_no_mask(automatic, engine, model):
    _draw_and_wait_for_the_encoder(automatic, engine, model)
    slicer.util.arrayFromVolume(automatic.volume)[3] = 0
    slicer.util.arrayFromVolumeModified(automatic.volume)
    model.go.set()
    automatic.wait()
    assert not automatic.voxels().any()
    assert "was changed while it was segmented" in automatic.effect.panel.status.text


def test_an_image_that_is_moved_while_it_is_segmented_gets_no_mask(automatic, engine, model):
    _draw_and_wait_for_the_encoder(automatic, engine, model)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 4.0)
    transform.SetMatrixTransformToParent(matrix)
    automatic.volume.SetAndObserveTransformNodeID(transform.GetID())
    model.go.set()
    automatic.wait()
    assert not automatic.voxels_without_transforms().any()
    assert "was changed while it was segmented" in automatic.effect.panel.status.text


def test_renaming_the_image_while_it_is_segmented_changes_nothing(workplace, engine, model):
    _idle(workplace, engine)
    model.go.clear()
    workplace.draw((25, 15), (65, 45))
    workplace.volume.SetName("Another name")
    model.go.set()
    workplace.wait()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_leaving_the_effect_gives_up_what_was_encoded(automatic, engine, model):
    _idle(automatic, engine)
    model.go.clear()
    begun = model.begun
    _press_and_move(automatic, (25, 15), (32, 25))
    automatic.wait(lambda: model.begun == begun + 1)
    automatic.editor.setActiveEffect(None)
    deadline = time.monotonic() + 10
    while engine.is_busy and time.monotonic() < deadline:
        engine.poll()
        time.sleep(0.002)
    assert model.given_up == 1
    assert not automatic.voxels().any()


def test_the_voxels_of_an_image_that_is_removed_are_let_go(automatic, engine):
    automatic.draw((25, 15), (65, 45))
    automatic.wait()
    _idle(automatic, engine)
    _scroll(automatic, 4)
    _press_and_move(automatic, (25, 15), (40, 30))
    automatic.wait(lambda: not engine.is_busy)
    voxels = weakref.ref(automatic.effect.controller._session._requests._volume[1])
    slicer.mrmlScene.RemoveNode(automatic.volume)
    automatic.run_events(0.1)
    gc.collect()
    assert voxels() is None
