"""DICOM as it lies on discs: folders within folders, single files, copies, localizers, damage."""

import shutil

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    UltrasoundImageStorage,
)

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.volume_files import read_volume
from support.dicom_files import AXIAL, dataset, multi_frame, places, write, write_slices

SHAPE = (8, 6)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint16)[:, None, None] + np.zeros(SHAPE, np.uint16)


def write_numbered(folder, count: int = 4, **tags) -> list:
    return write_slices(folder, numbered(count), places([2.0 * n for n in range(count)]), **tags)


def layers(volume) -> list[int]:
    return volume.voxels_kji[:, 0, 0].tolist()


def test_one_file_of_a_series_stands_for_the_series_and_the_user_is_told(tmp_path):
    paths = write_numbered(tmp_path)
    write(dataset(numbered(1)[0], SeriesInstanceUID="1.2.3.77"), tmp_path / "another series")
    notes: list[str] = []
    assert layers(read_volume(paths[2], note=notes.append)) == [0, 1, 2, 3]
    assert len(notes) == 1
    assert "one of 4 files" in notes[0]


def test_a_file_alone_is_a_volume_of_one_slice_in_its_place(tmp_path):
    paths = write_numbered(tmp_path / "series")
    alone = tmp_path / "alone" / "slice"
    alone.parent.mkdir()
    shutil.copy(paths[2], alone)
    volume = read_volume(alone)
    assert layers(volume) == [2]
    np.testing.assert_allclose(volume.geometry.ijk_to_ras[:3, 3], (-5, 7, 15))


def test_a_file_of_an_uneven_series_is_refused_with_a_way_out(tmp_path):
    paths = write_slices(tmp_path, numbered(4), places([0, 2, 4, 8]))
    with pytest.raises(InvalidImageError, match=r"not evenly spaced.*IM0001 alone, copy it"):
        read_volume(paths[1])


def test_a_file_of_another_series_than_the_wanted_one_is_refused(tmp_path):
    paths = write_numbered(tmp_path)
    with pytest.raises(InvalidImageError, match=r"belongs to the series 1\.2\.3\.9, not to 9\.9"):
        read_volume(paths[0], "9.9")


def test_a_series_some_folders_deeper_is_found_and_its_place_told(tmp_path):
    write_numbered(tmp_path / "DICOM" / "PA0" / "ST0" / "SE1")
    notes: list[str] = []
    assert layers(read_volume(tmp_path, note=notes.append)) == [0, 1, 2, 3]
    assert str(tmp_path / "DICOM" / "PA0" / "ST0" / "SE1") in notes[0]


def test_several_series_deeper_are_listed_and_one_can_be_chosen(tmp_path):
    for n in (1, 2):
        write_numbered(
            tmp_path / "disc" / f"SE{n}", 3 + n, SeriesInstanceUID=f"1.2.3.{n}", SeriesDescription=f"Run {n}"
        )
    with pytest.raises(InvalidImageError, match="There are 2 series") as refused:
        read_volume(tmp_path)
    assert "1.2.3.2  5 files  CT  Run 2" in str(refused.value)
    assert "DOE" not in str(refused.value)
    assert layers(read_volume(tmp_path, "1.2.3.2")) == [0, 1, 2, 3, 4]


def test_a_dicomdir_leads_to_the_series_of_its_disc(tmp_path):
    paths = write_numbered(tmp_path / "in", StudyDate="20200101", StudyTime="101010", StudyID="1", SeriesNumber=1)
    disc = FileSet()
    for path in paths:
        disc.add(path)
    disc.write(tmp_path / "disc")
    assert layers(read_volume(tmp_path / "disc" / "DICOMDIR")) == [0, 1, 2, 3]
    assert layers(read_volume(tmp_path / "disc")) == [0, 1, 2, 3]


def test_reports_and_other_files_beside_a_series_do_not_count(tmp_path):
    write_numbered(tmp_path)
    report = dataset(numbered(1)[0], "SR", BasicTextSRStorage, SeriesInstanceUID="1.2.3.55")
    for name in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        delattr(report, name)
    write(report, tmp_path / "report.dcm")
    (tmp_path / "README.TXT").write_text("Viewer: start VIEWER.EXE")
    (tmp_path / "empty").touch()
    assert layers(read_volume(tmp_path)) == [0, 1, 2, 3]
    with pytest.raises(InvalidImageError, match="no image"):
        read_volume(tmp_path / "report.dcm")


def test_files_without_a_preamble_are_read(tmp_path):
    for path in write_numbered(tmp_path):
        content = pydicom.dcmread(path)
        del content.preamble
        pydicom.dcmwrite(path, Dataset(content), enforce_file_format=False, implicit_vr=True, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    assert layers(read_volume(tmp_path)) == [0, 1, 2, 3]


def test_the_same_slices_twice_under_other_names_count_once(tmp_path):
    for n, path in enumerate(write_numbered(tmp_path)[:2]):
        shutil.copy(path, tmp_path / f"copy {n}")
    notes: list[str] = []
    assert layers(read_volume(tmp_path, note=notes.append)) == [0, 1, 2, 3]
    assert "2 files are copies" in notes[0]


def test_localizers_within_a_series_are_left_out_and_the_user_is_told(tmp_path):
    write_numbered(tmp_path)
    write_slices(tmp_path / "x", numbered(1), places([50]), SAGITTAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (tmp_path / "x" / "IM0000").rename(tmp_path / "scout")
    notes: list[str] = []
    assert layers(read_volume(tmp_path, note=notes.append)) == [0, 1, 2, 3]
    assert "1 localizer" in notes[0]


def test_a_series_of_several_directions_is_refused_with_the_count_of_each(tmp_path):
    write_numbered(tmp_path)
    write_slices(tmp_path / "x", numbered(2), places([50, 52]), SAGITTAL)
    for n in (0, 1):
        (tmp_path / "x" / f"IM000{n}").rename(tmp_path / f"sagittal {n}")
    with pytest.raises(InvalidImageError, match=r"4 of 6 × 8 pixels.*2 of 6 × 8 pixels"):
        read_volume(tmp_path)


def test_two_echoes_at_the_same_places_are_refused(tmp_path):
    positions = places([0, 2, 4, 0, 2, 4])
    write_slices(tmp_path, numbered(6), positions, modality="MR", sop_class=MRImageStorage)
    with pytest.raises(InvalidImageError, match="6 slices at only 3 places"):
        read_volume(tmp_path)


def test_pictures_without_a_place_are_no_volume_but_each_can_be_read(tmp_path):
    for n in range(3):
        write(dataset(numbered(3)[n], "US", UltrasoundImageStorage), tmp_path / f"picture{n}.dcm")
    with pytest.raises(InvalidImageError, match=r"pictures, not slices.*picture0"):
        read_volume(tmp_path)
    assert layers(read_volume(tmp_path / "picture1.dcm")) == [1]


def test_several_multi_frame_files_of_a_series_are_listed(tmp_path):
    for name in ("first", "second"):
        write(multi_frame(numbered(3), places([0, 2, 4])), tmp_path / name)
    with pytest.raises(InvalidImageError, match="each a volume of its own") as refused:
        read_volume(tmp_path)
    assert str(tmp_path / "second") in str(refused.value)
    assert layers(read_volume(tmp_path / "second")) == [-1024, -1023, -1022]


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 60000, "Columns": 60000},
        {"NumberOfFrames": 2**31 - 1},
        {"NumberOfFrames": -3},
        {"SamplesPerPixel": 60000},
        {"BitsAllocated": 60000},
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_an_image_larger_than_its_file_can_hold_is_refused_before_it_is_decoded(tmp_path, tags, compressed):
    made = dataset(numbered(1)[0], "CR", ComputedRadiographyImageStorage)
    if compressed:
        made.file_meta.TransferSyntaxUID = JPEG2000Lossless
        made.PixelData = pydicom.encaps.encapsulate([made.PixelData])
        made["PixelData"].is_undefined_length = True
    for name, value in tags.items():
        setattr(made, name, value)
    path = write(made, tmp_path / "claims.dcm")
    for place in (path, tmp_path):
        with pytest.raises(InvalidImageError, match="damaged"):
            read_volume(place)


def test_a_truncated_slice_is_named(tmp_path):
    paths = write_numbered(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-20])
    with pytest.raises(InvalidImageError, match=r"IM0002 is damaged: the element 7fe0,0010 goes beyond the end"):
        read_volume(tmp_path)


def test_a_damaged_file_of_another_series_does_not_matter(tmp_path):
    paths = write_numbered(tmp_path / "mine")
    other = write_numbered(tmp_path / "other", SeriesInstanceUID="1.2.3.44")
    for path in other:
        path.rename(tmp_path / "mine" / f"other {path.name}")
    damaged = tmp_path / "mine" / "other IM0001"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert layers(read_volume(tmp_path / "mine", "1.2.3.9")) == [0, 1, 2, 3]
    assert layers(read_volume(paths[0])) == [0, 1, 2, 3]
    for series in ("1.2.3.44", None):
        with pytest.raises(InvalidImageError, match="other IM0001 is damaged"):
            read_volume(tmp_path / "mine", series)


def test_a_slice_whose_compressed_pixels_are_damaged_is_named(tmp_path):
    paths = write_numbered(tmp_path)
    made = pydicom.dcmread(paths[2])
    made.compress(RLELossless)
    made.PixelData = pydicom.encaps.encapsulate([b"no RLE segments at all" * 8])
    write(made, paths[2])
    with pytest.raises(InvalidImageError, match="IM0002 cannot be read") as refused:
        read_volume(tmp_path)
    assert "0x" not in str(refused.value)


@pytest.mark.parametrize(
    "start", [b"\x0f\xca\x0f\xcb", b"\xfe\xff\x00\xe0\x08\x00\x00\x00", b"\x08\x00\x05\x00CS\xff\xff"]
)
def test_what_is_no_element_is_refused_before_a_decoder_searches_it(tmp_path, start):
    path = write_numbered(tmp_path)[1]
    path.write_bytes(path.read_bytes() + start * 20)
    with pytest.raises(InvalidImageError, match="IM0001 is damaged"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_every_way_to_write_elements_is_read(tmp_path, syntax):
    """Nested sequences with and without a length, private elements of unknown type, and zeros behind the last one."""
    made = multi_frame(numbered(4), places([0, 2, 4, 6]), rescales=[(1, 0)] * 4)
    made.private_block(0x11, "MAKER", create=True).add_new(1, "UN", b"\1\2\3\4")
    for frame in made.PerFrameFunctionalGroupsSequence[::2]:
        frame.is_undefined_length_sequence_item = True
    made["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    if syntax == RLELossless:
        made.compress(syntax)
    elif syntax == ExplicitVRBigEndian:
        made.PixelData = numbered(4).byteswap().tobytes()
    made.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "frames.dcm"
    is_little, is_implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(path, made, little_endian=is_little, implicit_vr=is_implicit)
    if is_little:  # GDCM does not take them in the other byte order
        path.write_bytes(path.read_bytes() + b"\0" * 64)
    assert layers(read_volume(path)) == [0, 1, 2, 3]


def test_frames_without_places_for_all_are_refused(tmp_path):
    made = multi_frame(numbered(4), places([0, 2, 4, 6]))
    del made.PerFrameFunctionalGroupsSequence[3]
    with pytest.raises(InvalidImageError, match="4 frames, but places for 3"):
        read_volume(write(made, tmp_path / "frames.dcm"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        ("ImagePositionPatient", [1, 2]),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path, name, value):
    write_slices(tmp_path, numbered(2), places([0, 2]), each=[{name: value}, {}])
    with pytest.raises(InvalidImageError, match="damaged"):
        read_volume(tmp_path)


def test_nothing_but_the_answer_is_printed(tmp_path, capfd, recwarn):
    write_slices(tmp_path, numbered(4), places([0, 2, 4, 8]), AXIAL)
    broken = tmp_path / "IM0003"
    broken.write_bytes(broken.read_bytes().replace(b"MONOCHROME2 ", b"MONOCHROMEX "))
    with pytest.raises(InvalidImageError):
        read_volume(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
