"""Whether edits would change anything is known before they are made: Slicer's engine, asked afterwards, agrees."""

import numpy as np
import pytest

from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentSlicer.edit_forecast import why_unchanged
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, Unchanged
from support.mrml import block

NAMES = ("A", "B", "C")
PLACE = (slice(2, 4), slice(2, 5), slice(4, 8))
"""Across the edge between 0 and 100 in the volume, which is at column 6."""


@pytest.fixture
def writer(desk):
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node, overwrite="all") as made:
        for name in NAMES:
            made.add_segment(name, (1.0, 0.0, 0.0))
        yield made


def random_part(rng, grid):
    """Some voxels of a small place, perhaps none."""
    place = block(grid, *PLACE)
    mask = rng.random(place.mask_kji.shape) < rng.choice([0.05, 0.5, 1.0])
    return MaskBlock(mask, place.extent_ijk, place.grid).trimmed()


def random_edits(rng, grid):
    target = str(rng.choice(NAMES))
    block_, mode = random_part(rng, grid), list(EditMode)[rng.integers(3)]
    region = random_part(rng, grid) if mode is EditMode.REPLACE else None
    edits = [SegmentEdit(target, block_, mode, region)]
    if rng.random() < 0.3:
        back = SegmentEdit(target, random_part(rng, grid), list(EditMode)[rng.integers(2)], restores=True)
        edits.insert(0, back)
    return edits


def random_masking(rng, desk, parameters, target):
    modes = (parameters.OverwriteAllSegments, parameters.OverwriteVisibleSegments, parameters.OverwriteNone)
    parameters.SetOverwriteMode(modes[rng.integers(3)])
    areas = (
        desk.segmentation.EditAllowedEverywhere,
        desk.segmentation.EditAllowedInsideAllSegments,
        desk.segmentation.EditAllowedInsideVisibleSegments,
        desk.segmentation.EditAllowedOutsideAllSegments,
        desk.segmentation.EditAllowedOutsideVisibleSegments,
        desk.segmentation.EditAllowedInsideSingleSegment,
    )
    parameters.SetMaskMode(areas[rng.integers(6)])
    parameters.SetMaskSegmentID(str(rng.choice(NAMES)))
    parameters.SetSelectedSegmentID(target)
    parameters.SetSourceVolumeIntensityMask(bool(rng.integers(2)))
    low = float(rng.choice([-10, 50, 200]))
    parameters.SetSourceVolumeIntensityMaskRange(low, low + 100)
    for name in NAMES:
        desk.segmentation.GetDisplayNode().SetSegmentVisibility(name, bool(rng.integers(2)))


@pytest.mark.parametrize("seed", range(40))
def test_the_forecast_is_what_the_engine_does(desk, writer, seed):
    rng = np.random.default_rng(seed)
    parameters = writer.editor.GetSegmentEditorNode()
    for name in NAMES:
        part = random_part(rng, desk.volume.geometry)
        parameters.SetOverwriteMode(parameters.OverwriteNone)
        writer.write([SegmentEdit(name, part)])
    agreed = 0
    for _ in range(6):
        edits = random_edits(rng, desk.volume.geometry)
        random_masking(rng, desk, parameters, edits[0].segment_id)
        why = why_unchanged(desk.segmentation, parameters, edits)
        before = [desk.voxels(name) for name in NAMES]
        writer.write(edits)
        is_changed = any((desk.voxels(name) != had).any() for name, had in zip(NAMES, before, strict=True))
        several = len(edits) > 1 or edits[0].region is not None
        if several and parameters.GetMaskMode() != desk.segmentation.EditAllowedEverywhere:
            assert why is None or not is_changed  # a change may be assumed, and never be overlooked
        else:
            assert (why is None) is is_changed
            agreed += 1
    assert agreed


def test_the_reason_is_the_one_that_counts(desk, writer):
    parameters, mask = writer.editor.GetSegmentEditorNode(), block(desk.volume.geometry, *PLACE)
    edit = SegmentEdit("A", mask)
    parameters.SetSelectedSegmentID("A")

    def why(*edits):
        return why_unchanged(desk.segmentation, parameters, edits)

    assert why(SegmentEdit("A", None)) is Unchanged.NOTHING_FOUND
    assert why(edit) is None
    parameters.SetSourceVolumeIntensityMask(True)
    parameters.SetSourceVolumeIntensityMaskRange(500, 900)
    assert why(edit) is Unchanged.INTENSITY_RANGE
    parameters.SetSourceVolumeIntensityMask(False)
    parameters.SetMaskMode(desk.segmentation.EditAllowedInsideSingleSegment)
    parameters.SetMaskSegmentID("B")  # which is empty
    assert why(edit) is Unchanged.EDITABLE_AREA
    parameters.SetMaskMode(desk.segmentation.EditAllowedEverywhere)
    writer.write([edit])
    assert why(edit) is Unchanged.ALREADY_SO
    assert why(SegmentEdit("A", mask, EditMode.SUBTRACT, restores=True), edit) is Unchanged.ALREADY_SO
    assert why(SegmentEdit("A", mask, EditMode.REPLACE, mask)) is Unchanged.ALREADY_SO


def test_an_image_on_another_grid_is_brought_to_the_segmentations(desk, writer):
    parameters = writer.editor.GetSegmentEditorNode()
    parameters.SetSourceVolumeIntensityMask(True)
    parameters.SetSourceVolumeIntensityMaskRange(50, 150)
    desk.volume_node.SetOrigin(4.0, 0.0, 0.0)  # bright from column 10 on
    edit = SegmentEdit("A", block(desk.volume.geometry, *PLACE))
    assert why_unchanged(desk.segmentation, parameters, [edit]) is Unchanged.INTENSITY_RANGE
    right = SegmentEdit("A", block(desk.volume.geometry, slice(2, 4), slice(2, 5), slice(10, 12)))
    assert why_unchanged(desk.segmentation, parameters, [right]) is None
