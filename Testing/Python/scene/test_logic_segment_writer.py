"""Masks into segments by Slicer's own engine: in place, undoable, and within the Segment Editor's rules."""

import numpy as np
import pytest

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOptionError, SegmentWriteError
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentSlicer.logic_segment_writer import LogicSegmentWriter, logic_segment_writer
from MedSAMSegmentSlicer.segment_writer import EditMode, SegmentEdit, reference_grid
from support.mrml import block, filled, parent_transform, shift_reference_grid
from support.rotations import rotation

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
SHAPE = (8, 10, 12)
PLACE = (slice(2, 5), slice(1, 4), slice(4, 9))


def writer_on(desk, **options):
    return logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node, **options)


def test_a_mask_is_written_to_its_voxels_and_nowhere_else(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("Lesion", RED)
        (result,) = writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))
    assert (result.added, result.removed) == (3 * 3 * 5, 0)


def test_the_segment_is_named_and_coloured_as_asked(desk):
    with writer_on(desk) as writer:
        segment = desk.segmentation.GetSegmentation().GetSegment(writer.add_segment("Lésion №1 <a>", (0.2, 0.4, 0.6)))
    assert segment.GetName() == "Lésion №1 <a>"
    assert segment.GetColor() == pytest.approx((0.2, 0.4, 0.6))


def test_a_name_that_is_taken_gets_a_number(desk):
    with writer_on(desk) as writer:
        ids = [writer.add_segment("Lesion", RED) for _ in range(3)]
    names = [desk.segmentation.GetSegmentation().GetSegment(segment).GetName() for segment in ids]
    assert names == ["Lesion", "Lesion_1", "Lesion_2"]


def test_one_write_of_several_edits_is_one_undo_state(desk):
    with writer_on(desk) as writer:
        first, second = writer.add_segment("A", RED), writer.add_segment("B", GREEN)
        writer.write([SegmentEdit(first, block(desk.volume.geometry, slice(0, 1), slice(0, 1), slice(0, 1)))])
        here = block(desk.volume.geometry, *PLACE)
        there = block(desk.volume.geometry, slice(6, 8), slice(6, 8), slice(0, 3))
        writer.write([SegmentEdit(first, here), SegmentEdit(second, there)])
        writer.undo()
        assert desk.voxels(first).sum() == 1
        assert desk.voxels(second).sum() == 0
        writer.redo()
        assert desk.voxels(first).sum() == 1 + here.voxel_count
        assert desk.voxels(second).sum() == there.voxel_count


def test_subtracting_leaves_the_rest(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
        layer = block(desk.volume.geometry, slice(3, 4), slice(0, 10), slice(0, 12))
        (result,) = writer.write([SegmentEdit(segment, layer, EditMode.SUBTRACT)])
    expected = filled(SHAPE, *PLACE)
    expected[3] = False
    np.testing.assert_array_equal(desk.voxels(segment), expected)
    assert (result.added, result.removed) == (0, 15)


def test_replacing_in_a_slice_leaves_the_other_slices(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
        layer = block(desk.volume.geometry, slice(3, 4), slice(0, 10), slice(0, 12))
        new = block(desk.volume.geometry, slice(3, 4), slice(7, 9), slice(0, 2))
        writer.write([SegmentEdit(segment, new, EditMode.REPLACE, layer)])
        expected = filled(SHAPE, *PLACE)
        expected[3] = False
        expected[3, 7:9, 0:2] = True
        np.testing.assert_array_equal(desk.voxels(segment), expected)
        writer.undo()
        np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))


@pytest.mark.parametrize(("overwrite", "kept"), [("all", 0), ("none", 45)])
def test_the_overwrite_mode_decides_what_another_segment_keeps(desk, overwrite, kept):
    with writer_on(desk, overwrite=overwrite) as writer:
        first, second = writer.add_segment("A", RED), writer.add_segment("B", GREEN)
        for segment in (first, second):
            writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    assert desk.voxels(first).sum() == kept
    assert desk.voxels(second).sum() == 45


def test_only_visible_segments_give_way_where_that_is_asked(desk):
    with writer_on(desk, overwrite="visible") as writer:
        hidden, shown, new = (writer.add_segment(name, RED) for name in "ABC")
        writer.write([SegmentEdit(hidden, block(desk.volume.geometry, slice(2, 5), slice(1, 4), slice(4, 6)))])
        writer.write([SegmentEdit(shown, block(desk.volume.geometry, slice(2, 5), slice(1, 4), slice(6, 9)))])
        desk.segmentation.GetDisplayNode().SetSegmentVisibility(hidden, False)
        writer.write([SegmentEdit(new, block(desk.volume.geometry, *PLACE))])
    assert desk.voxels(hidden).sum() == 3 * 3 * 2
    assert desk.voxels(shown).sum() == 0


def test_the_editable_area_keeps_voxels_out(desk):
    with writer_on(desk) as writer:
        area, segment = writer.add_segment("Area", RED), writer.add_segment("A", GREEN)
        writer.write([SegmentEdit(area, block(desk.volume.geometry, slice(0, 8), slice(0, 10), slice(0, 6)))])
        parameters = writer.editor.GetSegmentEditorNode()
        parameters.SetMaskMode(desk.segmentation.EditAllowedInsideSingleSegment)
        parameters.SetMaskSegmentID(area)
        (result,) = writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, PLACE[0], PLACE[1], slice(4, 6)))
    assert result.added == 3 * 3 * 2


def test_the_intensity_range_keeps_voxels_out(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        parameters = writer.editor.GetSegmentEditorNode()
        parameters.SetSourceVolumeIntensityMask(True)
        parameters.SetSourceVolumeIntensityMaskRange(50, 200)  # bright from column 6 on
        (result,) = writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, PLACE[0], PLACE[1], slice(6, 9)))
    assert result.added == 3 * 3 * 3


def test_volume_and_segmentation_under_different_transforms_meet_in_the_world(desk):
    moved = np.eye(4)
    moved[:3, 3] = (3.0, -2.0, 4.0)  # whole voxels, so that the answer is exact
    parent_transform(desk.scene, desk.segmentation, moved)
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    grid = reference_grid(desk.segmentation)
    np.testing.assert_allclose(grid.ijk_to_ras[:3, 3], (3.0, -2.0, 4.0))
    # Slicer's function ignores parent transforms: in the segmentation's own frame the mask is 3, -2 and 2 voxels off.
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, slice(0, 3), slice(3, 6), slice(1, 6)))


@pytest.mark.parametrize("angles", [(25.0, 0.0, 0.0), (20.0, -40.0, 70.0)])
def test_a_turned_volume_and_segmentation_turn_together(desk, angles):
    turn = np.eye(4)
    turn[:3, :3] = rotation(*angles)
    turn[:3, 3] = (11.0, -7.0, 3.0)
    for node in (desk.volume_node, desk.segmentation):
        parent_transform(desk.scene, node, turn)
    world = VolumeGeometry(SHAPE, turn @ desk.volume.geometry.ijk_to_ras)
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        writer.write([SegmentEdit(segment, block(world, *PLACE))])
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, *PLACE))


def test_a_segmentation_on_a_finer_grid_takes_a_mask_of_the_same_size(desk):
    import slicer

    fine = VolumeGeometry((16, 20, 24), np.diag([0.5, 0.5, 1.0, 1.0]))
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, 23, 0, 19, 0, 15)
    image.SetSpacing(0.5, 0.5, 1.0)
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
    desk.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
    mask = block(desk.volume.geometry, *PLACE)
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        (result,) = writer.write([SegmentEdit(segment, mask)])
    assert reference_grid(desk.segmentation).shape_kji == fine.shape_kji
    assert result.added * 0.25 == pytest.approx(mask.volume_mm3, rel=0.25)


def test_a_mask_outside_of_the_segmentation_changes_nothing(desk):
    far = VolumeGeometry(SHAPE, desk.volume.geometry.ijk_to_ras + np.array([[0, 0, 0, 500.0]] + [[0.0] * 4] * 3))
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        (result,) = writer.write([SegmentEdit(segment, block(far, *PLACE))])
    assert (result.added, result.removed) == (0, 0)
    assert desk.voxels(segment).sum() == 0


def test_a_segmentation_of_closed_surfaces_is_converted_and_keeps_its_segments(desk):
    import slicer
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(5.5, 4.5, 7.0)
    sphere.SetRadius(3.0)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    segmentation = desk.segmentation.GetSegmentation()
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    segmentation.SetSourceRepresentationName(surface)
    ball = slicer.vtkSegment()
    ball.SetName("Ball")
    ball.AddRepresentation(surface, sphere.GetOutput())
    segmentation.AddSegment(ball, "Ball")
    with writer_on(desk, overwrite="none") as writer:
        segment = writer.add_segment("A", RED)
        writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    assert desk.voxels(segment).sum() == 45
    assert desk.voxels("Ball").sum() * 2.0 == pytest.approx(4 / 3 * np.pi * 27, rel=0.2)  # voxels are coarse for it


def test_a_segment_that_is_gone_is_refused(desk):
    with writer_on(desk) as writer, pytest.raises(SegmentWriteError, match="not in"):
        writer.write([SegmentEdit("gone", block(desk.volume.geometry, *PLACE))])


def test_an_unknown_overwrite_mode_is_refused(desk):
    with pytest.raises(InvalidOptionError, match="some"), writer_on(desk, overwrite="some"):
        pass


def test_a_transform_that_is_not_linear_is_refused(desk):
    import vtk

    warp = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for point in ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10)):
        points.InsertNextPoint(point)
    warp.SetSourceLandmarks(points)
    warp.SetTargetLandmarks(points)
    node = desk.scene.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    node.SetAndObserveTransformToParent(warp)
    desk.segmentation.SetAndObserveTransformNodeID(node.GetID())
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        with pytest.raises(InvalidImageError, match=r"Warp.*not linear"):
            writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])


def test_nothing_of_the_writer_stays_in_the_scene(desk):
    before = desk.scene.GetNumberOfNodes()
    with writer_on(desk):
        pass
    assert desk.scene.GetNumberOfNodes() == before


def test_a_segment_that_is_gone_keeps_the_other_edits_of_the_action_from_being_made(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        mask = block(desk.volume.geometry, *PLACE)
        with pytest.raises(SegmentWriteError, match="gone"):
            writer.write([SegmentEdit(segment, mask), SegmentEdit("gone", mask)])
    assert desk.voxels(segment).sum() == 0


def test_a_segment_on_a_former_grid_is_continued_and_counted_where_it_lies(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    shift_reference_grid(desk, by_columns=2)
    with writer_on(desk) as writer:
        longer = block(desk.volume.geometry, slice(2, 6), PLACE[1], PLACE[2])
        (result,) = writer.write([SegmentEdit(segment, longer)])
    assert (result.added, result.removed) == (3 * 5, 0)
    np.testing.assert_array_equal(desk.voxels(segment), filled(SHAPE, slice(2, 6), PLACE[1], PLACE[2]))


def test_the_intensity_range_counts_for_a_segmentation_under_its_own_transform(desk):
    moved = np.eye(4)
    moved[:3, 3] = (3.0, -2.0, 4.0)
    parent_transform(desk.scene, desk.segmentation, moved)
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        parameters = writer.editor.GetSegmentEditorNode()
        parameters.SetSourceVolumeIntensityMask(True)
        parameters.SetSourceVolumeIntensityMaskRange(50, 200)
        (result,) = writer.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])
    assert result.added == 3 * 3 * 3


def test_an_engine_that_takes_nothing_is_noticed(desk):
    with writer_on(desk) as writer:
        segment = writer.add_segment("A", RED)
        deaf = LogicSegmentWriter(DeafEditor(desk), desk.segmentation)
        with pytest.raises(SegmentWriteError, match="did not take the mask"):
            deaf.write([SegmentEdit(segment, block(desk.volume.geometry, *PLACE))])


class DeafEditor:
    """An engine that refuses every write, as the real one does where geometries differ."""

    ModificationModeAdd, ModificationModeRemove = "add", "remove"

    def __init__(self, desk):
        self._parameters = desk.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")

    def GetSegmentEditorNode(self):  # noqa: N802
        return self._parameters

    def SaveStateForUndo(self): ...  # noqa: N802

    def SetCurrentSegmentID(self, _segment_id): ...  # noqa: N802

    def ModifySegmentByLabelmap(self, *_arguments): ...  # noqa: N802
