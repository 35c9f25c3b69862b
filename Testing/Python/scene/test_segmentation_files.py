"""What is written comes back: in Slicer's core, and in readers that know nothing of this project."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOutputError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentSlicer.atomic_output import check_output, written_whole
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.provenance import (
    Provenance,
    describe_box,
    describe_window,
    identity_fields,
    read_tags,
    tag_segment,
)
from MedSAMSegmentSlicer.segment_writer import SegmentEdit, reference_grid
from MedSAMSegmentSlicer.segmentation_files import check_same_place, read_segmentation, write_segmentation
from support.mrml import block, filled, parent_transform, shift_reference_grid

SHAPE = (8, 10, 12)
LEFT, RIGHT = (slice(2, 5), slice(1, 4), slice(0, 5)), (slice(1, 8), slice(5, 9), slice(6, 11))
PROVENANCE = Provenance(
    **identity_fields(ModelIdentity("lite-medsam", "0.1.1", "ab" * 32, "lite-medsam")),
    prompt=describe_box(OrientedBox.from_bounds((0, 0, 0), (5, 5, 5))),
    plane="axial",
    window=describe_window(Window(-160, 240, "soft-tissue")),
    level="fast",
    predicted_iou="0.912",
)


@pytest.fixture
def two_segments(desk):
    """A segmentation with two named, coloured and tagged segments."""
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        for name, color, place in (("Left | lung", (0.1, 0.6, 0.9), LEFT), ("Läsion; №2", (0.9, 0.3, 0.1), RIGHT)):
            segment_id = writer.add_segment(name, color)
            writer.write([SegmentEdit(segment_id, block(desk.volume.geometry, *place))])
            tag_segment(desk.segmentation.GetSegmentation().GetSegment(segment_id), PROVENANCE)
    return desk


def test_slicers_core_reads_back_voxels_names_colours_and_tags(two_segments, scene, tmp_path):
    path = tmp_path / "out.seg.nrrd"
    write_segmentation(two_segments.segmentation, path)
    read = read_segmentation(scene.mrml, path).GetSegmentation()
    found = [read.GetNthSegment(n) for n in range(read.GetNumberOfSegments())]
    assert [segment.GetName() for segment in found] == ["Left | lung", "Läsion; №2"]
    assert found[0].GetColor() == pytest.approx((0.1, 0.6, 0.9), abs=0.01)
    assert [read_tags(segment) for segment in found] == [PROVENANCE, PROVENANCE]


def test_an_independent_reader_finds_the_same_voxels_names_and_tags(two_segments, tmp_path):
    path = tmp_path / "out.seg.nrrd"
    write_segmentation(two_segments.segmentation, path)
    segmentation = slicerio.read_segmentation(str(path))
    for segment, color in zip(segmentation["segments"], ((0.1, 0.6, 0.9), (0.9, 0.3, 0.1)), strict=True):
        assert segment["color"] == pytest.approx(color, abs=1 / 255)
    # pynrrd, beneath slicerio, drops what is not ASCII.
    assert [segment["name"] for segment in segmentation["segments"]] == ["Left | lung", "Lsion; 2"]
    on_grid = sitk.Resample(
        sitk.ReadImage(str(path)), _grid_image(two_segments.volume), sitk.Transform(), sitk.sitkNearestNeighbor
    )
    labels = sitk.GetArrayFromImage(on_grid)
    for segment, place in zip(segmentation["segments"], (LEFT, RIGHT), strict=True):
        np.testing.assert_array_equal(labels == segment["labelValue"], filled(SHAPE, *place))
        assert segment["tags"]["MedSAMSegment.weights_sha256"] == "ab" * 32
        assert segment["tags"]["MedSAMSegment.window"] == "soft-tissue: level 40, width 400"


def _grid_image(volume) -> sitk.Image:
    """The volume's grid as SimpleITK has it, built from its matrix: LPS, so R and A are negated."""
    lps = np.diag([-1, -1, 1, 1]) @ volume.geometry.ijk_to_ras
    image = sitk.GetImageFromArray(volume.voxels_kji)
    image.SetSpacing(volume.geometry.spacing_ijk)
    image.SetDirection((lps[:3, :3] / np.array(volume.geometry.spacing_ijk)).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def test_a_labelmap_has_label_n_for_the_nth_segment_in_place(two_segments, tmp_path):
    path = tmp_path / "out.nii.gz"
    write_segmentation(two_segments.segmentation, path)
    labels = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk.ReadImage(str(path)), _grid_image(two_segments.volume), sitk.Transform(), sitk.sitkNearestNeighbor
        )
    )
    np.testing.assert_array_equal(labels == 1, filled(SHAPE, *LEFT))
    np.testing.assert_array_equal(labels == 2, filled(SHAPE, *RIGHT))


def test_a_segmentation_that_was_read_can_be_continued(two_segments, scene, tmp_path):
    path = tmp_path / "out.seg.nrrd"
    write_segmentation(two_segments.segmentation, path)
    read = read_segmentation(scene.mrml, path)
    with logic_segment_writer(scene.mrml, read, two_segments.volume_node, overwrite="none") as writer:
        segment_id = writer.add_segment("Third", (1, 1, 1))
        (result,) = writer.write([SegmentEdit(segment_id, block(two_segments.volume.geometry, *RIGHT))])
    assert result.added == 7 * 4 * 5
    assert read.GetSegmentation().GetNumberOfSegments() == 3


def test_a_segment_of_somebody_else_has_no_provenance(desk):
    segment_id = desk.segmentation.GetSegmentation().AddEmptySegment("a", "a")
    assert read_tags(desk.segmentation.GetSegmentation().GetSegment(segment_id)) is None


@pytest.mark.parametrize("content", [None, b"", b"NRRD0005\ntype: uchar\n"])
def test_a_segmentation_that_cannot_be_read_is_refused_and_leaves_no_node(scene, tmp_path, content):
    path = tmp_path / "in.seg.nrrd"
    if content is not None:
        path.write_bytes(content)
    before = scene.mrml.GetNumberOfNodes()
    with pytest.raises(InvalidImageError, match=r"in\.seg\.nrrd"):
        read_segmentation(scene.mrml, path)
    assert scene.mrml.GetNumberOfNodes() == before


def test_nothing_is_there_until_everything_is(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("old")
    with pytest.raises(RuntimeError), written_whole(first, second) as (one, two):
        one.write_text("new")
        two.write_text("new")
        raise RuntimeError
    assert first.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    with written_whole(first, second) as (one, two):
        one.write_text("new")
        two.write_text("new")
        assert first.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    assert first.read_text() == "new"


def test_a_full_disk_is_told_in_words(tmp_path):
    with (
        pytest.raises(InvalidOutputError, match="no space left"),
        written_whole(tmp_path / "a.txt") as (path,),
    ):
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.stl", "must end with"),
        ("nowhere/out.txt", "no folder"),
        ("in.txt", "is an input"),
        ("folder.txt", "folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_early(tmp_path, name, words):
    (tmp_path / "in.txt").touch()
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InvalidOutputError, match=words):
        check_output(tmp_path / name, (".txt",), (tmp_path / "in.txt",))


def test_an_input_is_recognised_behind_a_link(tmp_path):
    (tmp_path / "in.txt").touch()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "in.txt")
    with pytest.raises(InvalidOutputError, match="is an input"):
        check_output(link, (".txt",), (Path(tmp_path / "in.txt"),))


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """No file of this process grows beyond a number of bytes meanwhile, as on a disk that is full.

    Not for longer than the write itself: the test runner's own output may be such a file.
    """
    resource = pytest.importorskip("resource")  # not on Windows
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit_before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit_before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit_before)
        signal.signal(signal.SIGXFSZ, signal_before)


@pytest.mark.parametrize("missing", [1, 9, 100])
@pytest.mark.parametrize("name", ["out.seg.nrrd", "out.nii.gz"])
def test_a_disk_that_is_full_before_a_file_is_whole_is_noticed_and_leaves_nothing(
    two_segments, tmp_path, name, missing
):
    write_segmentation(two_segments.segmentation, tmp_path / name)
    size = (tmp_path / name).stat().st_size
    (tmp_path / name).unlink()
    with (
        files_limited_to(size - missing),
        pytest.raises(InvalidOutputError, match="space left"),
        written_whole(tmp_path / name) as (path,),
    ):
        write_segmentation(two_segments.segmentation, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nothing", [0, 1, 2])
def test_a_segmentation_without_voxels_is_written_with_its_reference_geometry(desk, scene, tmp_path, nothing):
    for n in range(nothing):
        desk.segmentation.GetSegmentation().AddEmptySegment(f"empty{n}", f"empty{n}")
    write_segmentation(desk.segmentation, tmp_path / "empty.seg.nrrd")
    read = read_segmentation(scene.mrml, tmp_path / "empty.seg.nrrd")
    assert read.GetSegmentation().GetNumberOfSegments() == nothing
    assert reference_grid(read).is_same_as(desk.volume.geometry)


def test_the_written_file_holds_the_volumes_grid_not_only_the_segments(two_segments, scene, tmp_path):
    write_segmentation(two_segments.segmentation, tmp_path / "out.seg.nrrd")
    read = read_segmentation(scene.mrml, tmp_path / "out.seg.nrrd")
    assert reference_grid(read).is_same_as(two_segments.volume.geometry)


@pytest.mark.parametrize("odd", ["a|b", "a:b", "two\nlines", "50 %", "a%7Cb", "back\\slash", '"quoted"', "é", "x:=y"])
def test_odd_characters_in_names_and_tags_survive_the_file(desk, scene, tmp_path, odd):
    provenance = replace(PROVENANCE, model=odd, prompt=odd)
    with logic_segment_writer(desk.scene, desk.segmentation, desk.volume_node) as writer:
        segment_id = writer.add_segment(odd, (1, 0, 0))
        writer.write([SegmentEdit(segment_id, block(desk.volume.geometry, *LEFT))])
    tag_segment(desk.segmentation.GetSegmentation().GetSegment(segment_id), provenance)
    write_segmentation(desk.segmentation, tmp_path / "out.seg.nrrd")
    read = read_segmentation(scene.mrml, tmp_path / "out.seg.nrrd").GetSegmentation().GetNthSegment(0)
    assert read.GetName() == odd
    assert read_tags(read) == provenance


def test_a_volume_is_not_taken_for_a_segmentation(scene, tmp_path):
    ct = np.random.default_rng(0).integers(-1000, 1000, (6, 7, 8)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(ct), str(tmp_path / "ct.nrrd"))
    with pytest.raises(InvalidImageError, match="not a segmentation"):
        read_segmentation(scene.mrml, tmp_path / "ct.nrrd")


def test_a_plain_labelmap_can_be_continued(scene, tmp_path):
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[1:3], labels[4] = 1, 4
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "labels.nii.gz"))
    read = read_segmentation(scene.mrml, tmp_path / "labels.nii.gz")
    assert read.GetSegmentation().GetNumberOfSegments() == 2


def test_a_labelmap_has_segments_that_lie_on_a_former_grid_in_their_place(two_segments, tmp_path):
    shift_reference_grid(two_segments, by_columns=-2)
    write_segmentation(two_segments.segmentation, tmp_path / "out.nii.gz")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nii.gz")))
    expected = np.roll(filled(SHAPE, *LEFT), 2, axis=2)  # the grid begins two columns earlier
    np.testing.assert_array_equal(labels == 1, expected)


def test_a_labelmap_lies_where_the_parent_transform_puts_it(two_segments, tmp_path):
    moved = np.eye(4)
    moved[:3, 3] = (30.0, -20.0, 40.0)
    parent_transform(two_segments.scene, two_segments.segmentation, moved)
    write_segmentation(two_segments.segmentation, tmp_path / "out.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    center_ijk = np.argwhere(sitk.GetArrayFromImage(image) == 1).mean(axis=0)[::-1]
    # Columns 0 to 4, rows 1 to 3, slices 2 to 4 of 1 × 1 × 2 mm: their middle is (2, 2, 6) RAS before the transform.
    np.testing.assert_allclose(
        image.TransformContinuousIndexToPhysicalPoint(center_ijk.tolist()), (-32.0, 18.0, 46.0), atol=1e-4
    )


@pytest.mark.parametrize("shift_mm", [500.0, 1e6, 9e18, 1e308])
def test_a_segmentation_of_another_place_is_refused(tmp_path, shift_mm):
    image = VolumeGeometry((10, 20, 30), np.diag([1.0, 1.0, 2.0, 1.0]))
    check_same_place(tmp_path, image, image)
    near, far = np.diag([0.5, 0.5, 0.5, 1.0]), np.diag([1.0, 1.0, 1.0, 1.0])
    near[:3, 3], far[:3, 3] = (29.0, 19.0, 19.0), shift_mm
    check_same_place(tmp_path, VolumeGeometry((5, 5, 5), near), image)  # overlaps at a corner
    with pytest.raises(InvalidImageError, match="elsewhere"):
        check_same_place(tmp_path, VolumeGeometry((5, 5, 5), far), image)


def test_a_segmentation_so_fine_that_one_grid_for_both_would_be_huge_is_refused(tmp_path):
    image = VolumeGeometry((100, 100, 100), np.eye(4))
    with pytest.raises(InvalidImageError, match="elsewhere"):
        check_same_place(tmp_path, VolumeGeometry((5, 5, 5), np.diag([0.01, 0.01, 0.01, 1.0])), image)
