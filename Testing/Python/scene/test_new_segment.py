"""A new segment is what was asked for, whatever segment came before it."""

import pytest
import slicer

from MedSAMSegmentSlicer.effect_segment_writer import EffectSegmentWriter
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.new_segment import add_new_segment

ORANGE = (1.0, 0.5, 0.0)
LIVER = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)
TISSUE = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue"
    "~SCT^85756007^Tissue~^^~Anatomic codes - DICOM master list~^^~^^"
)
"""What a segment of Slicer is before anybody says what it is."""


class EffectOverLogic:
    """What adding segments needs of an effect."""

    def __init__(self, editor):
        self.parameterSetNode = editor.GetSegmentEditorNode
        self.saveStateForUndo = editor.SaveStateForUndo


def add_by_effect(writer):
    return EffectSegmentWriter(EffectOverLogic(writer.editor)).add_segments([("Spleen", ORANGE)])[0]


def add_by_logic(writer):
    return writer.add_segment("Spleen", ORANGE)


@pytest.mark.parametrize("add", [add_by_effect, add_by_logic])
def test_a_new_segment_has_not_the_terminology_or_colour_of_the_one_before(desk, add):
    known = desk.segmentation.GetSegmentation()
    liver = known.GetSegment(known.AddEmptySegment("", "Liver", (0.8, 0.5, 0.4)))
    liver.SetTerminology(LIVER)
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        made = known.GetSegment(add(writer))
    assert made.GetTerminology() == TISSUE
    assert made.GetColor() == pytest.approx(ORANGE)
    assert made.GetName() == "Spleen"
    assert liver.GetTerminology() == LIVER


def test_a_segmentation_with_a_default_terminology_gives_it_to_new_segments(desk):
    slicer.vtkSlicerTerminologiesModuleLogic.SetDefaultTerminologyEntryAsString(desk.segmentation, LIVER)
    made = add_new_segment(desk.segmentation, "Right lobe", ORANGE)
    assert desk.segmentation.GetSegmentation().GetSegment(made).GetTerminology() == LIVER


def test_names_that_are_taken_get_the_first_number_that_is_free(desk):
    known = desk.segmentation.GetSegmentation()
    for name in ("Node", "Node_1", "Node_3"):
        known.AddEmptySegment("", name)
    names = [known.GetSegment(add_new_segment(desk.segmentation, "Node", ORANGE)).GetName() for _ in range(2)]
    assert names == ["Node_2", "Node_4"]
