"""The drawn box is picked up by its handles: what it did is undone, whatever came between, and nothing else is."""

import numpy as np
import pytest
import slicer

from MedSAMSegmentSlicer.segment_writer import modifier_labelmap
from MedSAMSegmentSlicer.volume_nodes import geometry_from_node
from support.mrml import block

FULL, NARROW = (25, 65), (25, 45)
"""Columns of the box as it is drawn, and as it is corrected."""


def draw(workplace):
    workplace.draw((FULL[0], 15), (FULL[1], 45))
    workplace.wait()


def correct(workplace, columns):
    """Drag the handles of the box until it reaches over these columns."""
    box = workplace.drawn_box()
    left, right = (workplace.ras(column, 0, 0)[0] for column in columns)
    center, size = list(box.GetCenter()), list(box.GetSize())
    box.InvokeEvent(box.PointStartInteractionEvent)
    box.SetCenter([(left + right) / 2, center[1], center[2]])
    box.SetSize([abs(right - left), size[1], size[2]])
    box.InvokeEvent(box.PointModifiedEvent)
    box.InvokeEvent(box.PointEndInteractionEvent)
    workplace.wait()


def bright(workplace, last):
    """The bright voxels of layer 3 up to a column; the box's own border is left to rounding."""
    expected = workplace.bright(3)
    expected[:, :, last:] = False
    return expected


def without_border(voxels, last=NARROW[1]):
    kept = voxels.copy()
    kept[:, :, last - 1 : last + 2] = False
    return kept


@pytest.fixture
def neighbour(workplace):
    """Another segment, in columns 40 to 70 of layer 3: the box reaches over it."""
    segmentation = workplace.segmentation
    segmentation.GetSegmentation().AddEmptySegment("Neighbour", "Neighbour")
    mask = block(geometry_from_node(workplace.volume), slice(3, 4), slice(20, 40), slice(40, 71))
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
        modifier_labelmap(mask, segmentation), segmentation, "Neighbour"
    )
    return workplace.voxels("Neighbour")


def test_correcting_the_drawn_box_takes_back_what_it_had_added_in_one_undo_state(workplace):
    draw(workplace)
    correct(workplace, NARROW)
    np.testing.assert_array_equal(without_border(workplace.voxels()), without_border(bright(workplace, NARROW[1])))
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


def test_after_undo_a_further_correction_takes_back_what_undo_has_brought_back(workplace):
    draw(workplace)
    correct(workplace, (25, 35))
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    correct(workplace, NARROW)
    np.testing.assert_array_equal(without_border(workplace.voxels()), without_border(bright(workplace, NARROW[1])))


def test_a_segment_that_gave_way_to_the_box_gets_back_what_the_corrected_box_does_not_need(workplace, neighbour):
    draw(workplace)
    assert not workplace.voxels("Neighbour")[:, :, 40:60].any()
    correct(workplace, NARROW)
    np.testing.assert_array_equal(without_border(workplace.voxels()), without_border(bright(workplace, NARROW[1])))
    expected = neighbour.copy()
    expected[:, :, : NARROW[1]] = False
    np.testing.assert_array_equal(without_border(workplace.voxels("Neighbour")), without_border(expected))
    correct(workplace, (25, 35))
    np.testing.assert_array_equal(workplace.voxels("Neighbour"), neighbour)
    for _ in range(3):
        workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels("Neighbour"), neighbour)
    assert not workplace.voxels().any()


def test_a_segment_that_was_deleted_since_gets_nothing_back(workplace, neighbour):
    draw(workplace)
    workplace.segmentation.GetSegmentation().RemoveSegment("Neighbour")
    correct(workplace, NARROW)
    np.testing.assert_array_equal(without_border(workplace.voxels()), without_border(bright(workplace, NARROW[1])))


def test_overlapping_segments_stay_as_they_are(workplace, neighbour):
    editor_node = workplace.editor.mrmlSegmentEditorNode()
    editor_node.SetOverwriteMode(editor_node.OverwriteNone)
    draw(workplace)
    correct(workplace, NARROW)
    np.testing.assert_array_equal(without_border(workplace.voxels()), without_border(bright(workplace, NARROW[1])))
    np.testing.assert_array_equal(workplace.voxels("Neighbour"), neighbour)


def test_a_corrected_box_leaves_nothing_where_an_intensity_range_is_set_meanwhile(workplace):
    draw(workplace)
    node = workplace.editor.mrmlSegmentEditorNode()
    node.SetSourceVolumeIntensityMask(True)
    node.SetSourceVolumeIntensityMaskRange(-50, 50)  # the brick is brighter
    correct(workplace, NARROW)
    assert not workplace.voxels().any()
    workplace.editor.undo()
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))
    assert node.GetSourceVolumeIntensityMask()


def test_a_box_that_subtracts_gives_back_what_it_had_taken(workplace):
    draw(workplace)
    workplace.scripted_effect.setParameter("Mode", "subtract")
    draw(workplace)
    assert not workplace.voxels().any()
    correct(workplace, NARROW)
    expected = workplace.bright(3) & ~bright(workplace, NARROW[1])
    np.testing.assert_array_equal(without_border(workplace.voxels()), without_border(expected))


def test_a_box_that_replaces_gives_back_the_slice_that_it_leaves(workplace):
    draw(workplace)
    workplace.show_slice(4)
    workplace.scripted_effect.setParameter("Mode", "replace")
    workplace.draw((40, 15), (50, 45))
    workplace.wait()
    box = workplace.drawn_box()
    box.InvokeEvent(box.PointStartInteractionEvent)
    box.SetCenter([*list(box.GetCenter())[:2], workplace.ras(0, 0, 3)[2]])  # one slice down
    box.InvokeEvent(box.PointEndInteractionEvent)
    workplace.wait()
    found = workplace.voxels()
    assert not found[4].any()
    assert found[3, 25, 45]
    assert not found[3, :, :39].any()


def test_what_the_box_did_stays_when_the_segmentation_gets_another_geometry(workplace):
    draw(workplace)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, 159, 0, 119, 0, 7)
    image.SetDirections([[-1, 0, 0], [0, -1, 0], [0, 0, 1]])
    image.SetSpacing(0.5, 0.5, 2.0)
    image.SetOrigin(39.75, 29.75, -7.0)
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
    workplace.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
    correct(workplace, (25, 35))
    assert "went wrong" not in workplace.effect.panel.status.text
    assert workplace.voxels()[3, 25, 55]


def test_at_another_time_point_the_box_takes_back_nothing(workplace):
    draw(workplace)
    other = slicer.vtkSegmentation()
    other.DeepCopy(workplace.segmentation.GetSegmentation())
    workplace.segmentation.SetAndObserveSegmentation(other)  # as a sequence browser does
    correct(workplace, NARROW)
    np.testing.assert_array_equal(workplace.voxels(), workplace.bright(3))


class RandomCase:
    """Segments, some hidden, that lie here and there and overlap, and what a box alone would make of them."""

    OTHERS = ("A", "B", "C")

    def __init__(self, workplace, seed):
        self.workplace, self.rng = workplace, np.random.default_rng(seed)
        for name in self.OTHERS:
            left, top = int(self.rng.integers(22, 60)), int(self.rng.integers(12, 38))
            width, height = (int(size) for size in self.rng.integers(3, 20, 2))
            self.put(name, slice(left, left + width), slice(top, top + height), visible=bool(self.rng.integers(2)))
        self.put("Target", slice(30, 45), slice(18, 28), visible=True)
        node = workplace.editor.mrmlSegmentEditorNode()
        modes = (node.OverwriteAllSegments, node.OverwriteVisibleSegments, node.OverwriteNone)
        self.overwrite = int(self.rng.integers(3))
        node.SetOverwriteMode(modes[self.overwrite])
        self.mode = ("add", "subtract", "replace")[self.rng.integers(3)]
        workplace.scripted_effect.setParameter("Mode", self.mode)
        self.editable = np.ones_like(workplace.bright(3))
        self.start = {name: workplace.voxels(name) for name in (*self.OTHERS, "Target")}

    def put(self, name, columns, rows, *, visible):
        segmentation = self.workplace.segmentation
        if segmentation.GetSegmentation().GetSegment(name) is None:
            segmentation.GetSegmentation().AddEmptySegment(name, name)
        mask = block(geometry_from_node(self.workplace.volume), slice(2, 5), rows, columns)
        slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
            modifier_labelmap(mask, segmentation), segmentation, name
        )
        segmentation.GetDisplayNode().SetSegmentVisibility(name, visible)

    def choose_intensity_range(self):
        """Everything, the bright voxels alone, or the dark ones, in which the model finds nothing."""
        node, bright = self.workplace.editor.mrmlSegmentEditorNode(), self.workplace.bright(*range(8))
        choice = self.rng.integers(3)
        node.SetSourceVolumeIntensityMask(bool(choice))
        node.SetSourceVolumeIntensityMaskRange(*((0, 0), (50, 200), (-50, 50))[choice])
        self.editable = (np.ones_like(bright), bright, ~bright)[choice]

    def box(self):
        """Its first and last column, and row."""
        left, top = int(self.rng.integers(25, 50)), int(self.rng.integers(15, 35))
        return left, left + int(self.rng.integers(6, 15)), top, top + int(self.rng.integers(6, 9))

    def correct(self, left, right, top, bottom):
        box = self.workplace.drawn_box()
        r, a, _ = self.workplace.ras(left - 0.5, top - 0.5, 3)
        r_end, a_end, _ = self.workplace.ras(right + 0.5, bottom + 0.5, 3)
        box.InvokeEvent(box.PointStartInteractionEvent)
        box.SetCenter([(r + r_end) / 2, (a + a_end) / 2, box.GetCenter()[2]])
        box.SetSize([abs(r_end - r), abs(a_end - a), box.GetSize()[2]])
        box.InvokeEvent(box.PointEndInteractionEvent)
        self.workplace.wait()

    def expected(self, left, right, top, bottom):
        mask = np.zeros_like(self.start["Target"])
        inside = (3, slice(top, bottom + 1), slice(left, right + 1))
        mask[inside] = self.workplace.bright(3)[inside]
        mask &= self.editable
        expected = dict(self.start)
        if self.mode == "subtract":
            return expected | {"Target": self.start["Target"] & ~mask}
        expected["Target"] = self.start["Target"].copy()
        if self.mode == "replace":
            expected["Target"][3] &= ~self.editable[3]
        expected["Target"] |= mask
        display = self.workplace.segmentation.GetDisplayNode()
        for name in self.OTHERS:
            if self.overwrite == 0 or (self.overwrite == 1 and display.GetSegmentVisibility(name)):
                expected[name] = self.start[name] & ~mask
        return expected


@pytest.mark.parametrize("seed", range(12))
def test_however_often_a_box_is_corrected_the_result_is_that_of_the_last_box_alone(workplace, seed):
    case = RandomCase(workplace, seed)
    left, right, top, bottom = case.box()
    case.choose_intensity_range()
    workplace.draw((left, top), (right, bottom))
    workplace.wait()
    for _ in range(3):
        between = (lambda: None, workplace.editor.undo, workplace.editor.redo)[case.rng.integers(3)]
        between()
        box = case.box()
        case.choose_intensity_range()
        case.correct(*box)
        for name, expected in case.expected(*box).items():
            np.testing.assert_array_equal(workplace.voxels(name), expected, err_msg=f"{name}, {case.mode}")
