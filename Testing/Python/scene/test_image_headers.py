"""Headers that would end or hang a reader are refused before it sees them, with the field and its value."""

import numpy as np
import pytest
import SimpleITK as sitk

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.segmentation_files import read_segmentation
from MedSAMSegmentSlicer.volume_files import read_volume


def changed(path, old: bytes, new: bytes):
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5)), str(path))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


NRRD = [
    (b"space: left-posterior-superior", b"space: " + b"x" * 5000, "space"),
    (b"encoding: raw", b"encoding: " + b"x" * 5000, "encoding"),
    (b"sizes: 5 4 3", b"sizes: 9000000000000000000 4 3", "sizes"),
    (b"sizes: 5 4 3", b"sizes: 5 4", "sizes"),
    (b"sizes: 5 4 3", b"sizes: 5 -4 3", "sizes"),
    (b"sizes: 5 4 3", b"sizes: five", "sizes"),
    (b"dimension: 3", b"dimension: 99", "sizes"),
    (b"space origin: (0,0,0)", b"space origin: (9e18,0,0)", "space origin"),
    (b"space origin: (0,0,0)", b"space origin: (inf,0,0)", "space origin"),
    (b"(1,0,0)", b"(1e-320,0,0)", "space directions"),
    (b"encoding: raw", b"encoding: bzip2", "bzip2"),
]
META = [
    (b"NDims = 3", b"NDims = 2147483648", "sizes"),
    (b"NDims = 3", b"NDims = 100", "sizes"),
    (b"NDims = 3", b"NDims = -1", "sizes"),
    (b"DimSize = 5 4 3", b"DimSize = 500000 400000 300000", "sizes"),
    (b"Offset = 0 0 0", b"Offset = 9e18 0 0", "Offset"),
    (b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1e-320 1", "ElementSpacing"),
    (b"AnatomicalOrientation = RAI", b"AnatomicalOrientation = " + b"R" * 5000, "AnatomicalOrientation"),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [("a.nrrd", *case) for case in NRRD] + [("a.mha", *case) for case in META],
)
def test_a_value_that_no_image_has_is_refused_with_its_field(tmp_path, name, old, new, word):
    with pytest.raises(InvalidImageError, match=word) as refused:
        read_volume(changed(tmp_path / name, old, new))
    assert name in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "line",
    [b"space: " + b"x" * 5000, b"Segment0_Extent:=0 9000000000000000000 0 3 0 2", b"space origin: (9e18,0,0)"],
)
def test_a_segmentation_is_checked_likewise(scene, tmp_path, line):
    path = changed(tmp_path / "a.seg.nrrd", b"encoding: raw", line + b"\nencoding: raw")
    with pytest.raises(InvalidImageError, match=r"a\.seg\.nrrd is damaged"):
        read_segmentation(scene.mrml, path)


@pytest.mark.parametrize("line", [b"content: " + b"x" * 5000, b"key:=" + b"9" * 5000, b"# " + b"x" * 5000])
def test_long_texts_of_other_programs_are_no_damage(tmp_path, line):
    path = changed(tmp_path / "a.nrrd", b"encoding: raw", line + b"\nencoding: raw")
    np.testing.assert_array_equal(read_volume(path).voxels_kji.ravel(), np.arange(60))
