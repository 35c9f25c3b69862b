"""DICOM as scanners write it: where its voxels lie, what they are worth, and what is refused.

The right places and values come from the tags by the standard's formula (PS3.3 C.7.6.2.1.1), and from 3D Slicer's own
storage node where that reads them right.
"""

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    OphthalmicTomographyImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.volume_files import read_volume
from support.dicom_files import AXIAL, COLUMN_MM, ROW_MM, ball, multi_frame, places, write, write_slices
from support.files import roi_markup, write_rois
from support.slicer_volume import slicer_reads

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, -0.8)
SHAPE = (24, 20)
DEPTHS = [2.0 * n for n in range(10)]
ENHANCED = (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    BreastTomosynthesisImageStorage,
    OphthalmicTomographyImageStorage,
)


def ball_center(axes) -> np.ndarray:
    row, column = np.array(axes).reshape(2, 3)
    return places([9.0], axes)[0] + 10 * COLUMN_MM * row + 12 * ROW_MM * column


def stored_ball(positions, axes) -> np.ndarray:
    return (1024 + 100 * ball(positions, axes, SHAPE, ball_center(axes), 4.5)).astype(np.uint16)


def assert_ball_is_in_place(volume, axes) -> None:
    """Every voxel has the value that its own place in the world asks for."""
    kji = np.indices(volume.geometry.shape_kji).reshape(3, -1).T
    ras = (volume.geometry.ijk_to_ras @ np.column_stack([kji[:, ::-1], np.ones(len(kji))]).T)[:3].T
    inside = np.linalg.norm(ras * (-1, -1, 1) - ball_center(axes), axis=1)
    values = volume.voxels_kji.reshape(-1)
    assert (values > 50).sum() > 100
    np.testing.assert_array_equal(values[np.abs(inside - 4.5) > 1e-3] > 50, inside[np.abs(inside - 4.5) > 1e-3] <= 4.5)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, CORONAL, OBLIQUE])
@pytest.mark.parametrize("kind", ["slices", "frames"])
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_slices_in_any_order_lie_where_the_tags_say(tmp_path, axes, kind, tilt):
    positions = places(DEPTHS, axes, tilt)[np.random.default_rng(3).permutation(len(DEPTHS))]
    stored = stored_ball(positions, axes)
    if kind == "slices":
        write_slices(tmp_path, stored, positions, axes, RescaleIntercept=-1024, RescaleSlope=1)
        volume = read_volume(tmp_path)
    else:
        volume = read_volume(write(multi_frame(stored, positions, axes), tmp_path / "frames.dcm"))
    assert_ball_is_in_place(volume, axes)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("shared", [True, False])
def test_frames_in_order_are_read_as_3d_slicer_reads_them(tmp_path, axes, shared):
    positions = places(DEPTHS, axes)
    stored = stored_ball(positions, axes)
    path = write(multi_frame(stored, positions, axes, shared=shared), tmp_path / "frames.dcm")
    matrix, voxels = slicer_reads(path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, matrix, atol=1e-4)
    np.testing.assert_array_equal(volume.voxels_kji, voxels)


def test_slices_are_read_as_3d_slicer_reads_them(tmp_path):
    positions = places(DEPTHS, OBLIQUE)
    paths = write_slices(tmp_path, stored_ball(positions, OBLIQUE), positions, OBLIQUE, RescaleIntercept=-1024)
    matrix, voxels = slicer_reads(*paths)
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, matrix, atol=1e-4)
    np.testing.assert_array_equal(volume.voxels_kji, voxels)


def test_frames_that_3d_slicer_does_not_sort_are_sorted_and_the_user_is_warned(tmp_path):
    positions = places([4.0, 0.0, 6.0, 2.0])
    notes: list[str] = []
    path = write(multi_frame(stored_ball(positions, AXIAL), positions), tmp_path / "frames.dcm")
    read_volume(path, note=notes.append)
    assert len(notes) == 1
    assert "sorted" in notes[0]


def test_a_tilted_gantry_is_named(tmp_path):
    positions = places(DEPTHS, AXIAL, tilt=np.tan(np.radians(12.0)))
    write_slices(tmp_path, stored_ball(positions, AXIAL), positions)
    notes: list[str] = []
    read_volume(tmp_path, note=notes.append)
    assert len(notes) == 1
    assert "tilted by 12.0°" in notes[0]


@pytest.mark.parametrize("kind", ["slices", "frames"])
def test_positions_rounded_to_one_decimal_are_one_even_grid(tmp_path, kind):
    positions = places([0.625 * n for n in range(60)], decimals=1)
    stored = np.zeros((60, *SHAPE), np.uint16)
    if kind == "slices":
        write_slices(tmp_path, stored, positions)
        volume = read_volume(tmp_path)
    else:
        volume = read_volume(write(multi_frame(stored, positions), tmp_path / "frames.dcm"))
    last = volume.geometry.ijk_to_ras @ (0, 0, 59, 1)
    np.testing.assert_allclose(last[:3], (-5.0, 7.0, 11.0 + 0.625 * 59), atol=0.06)


@pytest.mark.parametrize("kind", ["slices", "frames"])
@pytest.mark.parametrize(
    ("depths", "words"),
    [
        ([0, 2, 4, 8, 10], "between .* are 4.00 mm, elsewhere 2.00 mm"),
        ([0, 3, 5, 7, 9], "between .* are 3.00 mm, elsewhere 2.00 mm"),
        ([*range(0, 120, 2), 122], "between .* are 4.00 mm"),
        ([0, 1, 2, 4, 8], "not evenly spaced"),
        ([0, 2, 4, 0, 2, 4], "6 slices at only 3 places"),
        ([0, 2, 2, 4], "4 slices at only 3 places"),
    ],
)
def test_slices_that_no_grid_describes_are_refused_with_the_gap(tmp_path, kind, depths, words):
    positions = places(depths)
    stored = np.zeros((len(depths), *SHAPE), np.uint16)
    if kind == "slices":
        write_slices(tmp_path, stored, positions)
    else:
        write(multi_frame(stored, positions), tmp_path / "frames.dcm")
    with pytest.raises(InvalidImageError, match=words) as refused:
        read_volume(tmp_path)
    assert "DOE" not in str(refused.value)


def test_slices_shifted_sideways_are_refused(tmp_path):
    positions = places(DEPTHS)
    positions[4:, 0] += 3.0
    write_slices(tmp_path, np.zeros((10, *SHAPE), np.uint16), positions)
    with pytest.raises(InvalidImageError, match="shifted sideways"):
        read_volume(tmp_path)


def test_frames_of_two_directions_are_refused(tmp_path):
    made = multi_frame(np.zeros((4, *SHAPE), np.uint16), places([0, 2, 4, 6]), shared=False)
    made.PerFrameFunctionalGroupsSequence[3].PlaneOrientationSequence[0] = Dataset()
    made.PerFrameFunctionalGroupsSequence[3].PlaneOrientationSequence[0].ImageOrientationPatient = list(SAGITTAL)
    with pytest.raises(InvalidImageError, match=r"3 of 20 × 24 pixels, normal 0\.00 0\.00 1\.00"):
        read_volume(write(made, tmp_path / "frames.dcm"))


@pytest.mark.parametrize("sop_class", ENHANCED)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_frame_has_its_own_rescale(tmp_path, sop_class, compressed):
    stored = np.tile(np.arange(480, dtype=np.uint16).reshape(SHAPE), (4, 1, 1))
    rescales = [(2.5, -10.0), (1.0, 0.0), (0.0125, 3.5), (300.0, 0.0)]
    made = multi_frame(stored, places([6, 0, 2, 4]), rescales=rescales, sop_class=sop_class)
    if compressed:
        made.compress(RLELossless)
    voxels = read_volume(write(made, tmp_path / "frames.dcm")).voxels_kji
    for layer, (slope, intercept) in zip(voxels, [*rescales[1:], rescales[0]], strict=True):
        np.testing.assert_allclose(layer, stored[0] * slope + intercept, rtol=1e-6)


@pytest.mark.parametrize("slopes", [[0.5, 0.25, 2.5], [1, 0.25, 2.5], [3, 1, 2], [1, 300, 5]])
@pytest.mark.parametrize("first_is_empty", [False, True])
def test_every_pet_slice_has_its_own_rescale_as_in_3d_slicer(tmp_path, slopes, first_is_empty):
    stored = np.tile(np.arange(480, dtype=np.int16).reshape(SHAPE) * 68, (3, 1, 1))
    if first_is_empty:
        stored[0] = 0
    positions = places([0, 3, 6])
    paths = write_slices(
        tmp_path,
        stored,
        positions,
        each=[{"RescaleSlope": slope, "RescaleIntercept": 0} for slope in slopes],
        modality="PT",
        sop_class=PositronEmissionTomographyImageStorage,
    )
    voxels = read_volume(tmp_path).voxels_kji
    np.testing.assert_allclose(voxels, stored * np.array(slopes)[:, None, None], rtol=1e-6)
    np.testing.assert_allclose(voxels, slicer_reads(*paths)[1], rtol=1e-6)


def test_slices_stored_with_and_without_sign_keep_their_values(tmp_path):
    stored = np.tile(np.arange(480, dtype=np.uint16).reshape(SHAPE) * 130, (3, 1, 1))
    positions = places([0, 3, 6])
    write_slices(tmp_path, stored, positions)
    signed = (stored[0] // 4).astype(np.int16) - 5000
    write_slices(tmp_path / "other", signed[None], positions[:1])
    (tmp_path / "other" / "IM0000").rename(tmp_path / "IM0000")
    np.testing.assert_array_equal(read_volume(tmp_path).voxels_kji, [signed, stored[1], stored[2]])


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_the_mask_of_frames_in_any_order_with_their_own_rescale_lies_on_the_structure(
    medsam_segment, case_folder, tilt
):
    positions = places(DEPTHS, AXIAL, tilt)[np.random.default_rng(5).permutation(len(DEPTHS))]
    inside = stored_ball(positions, AXIAL) > 1024
    slopes = 1.0 + np.arange(len(DEPTHS))
    stored = (inside * 2520 / slopes[:, None, None]).astype(np.uint16)  # 2520 is a multiple of 1 … 10
    rescales = [(float(slope), 0.0) for slope in slopes]
    write(multi_frame(stored, positions, rescales=rescales), case_folder / "frames.dcm")
    write_rois(case_folder / "Lesion.mrk.json", roi_markup(ball_center(AXIAL).tolist(), (11, 11, 11)))
    command = ("segment", "frames.dcm", "--roi", "Lesion.mrk.json", "--output", "out.seg.nrrd")
    outcome = medsam_segment(*command, "--window", "1260,2520", "--level", "fast")
    assert outcome.code == 0, outcome.err
    assert "sorted" in outcome.err
    assert ("tilted" in outcome.err) == (tilt != 0)
    written = sitk.ReadImage("out.seg.nrrd")
    marked = [
        np.linalg.norm(np.array(written.TransformIndexToPhysicalPoint(tuple(map(int, kji[::-1])))) - ball_center(AXIAL))
        for kji in np.argwhere(sitk.GetArrayFromImage(written) > 0)
    ]
    # The boxes of a tilted volume's slices are estimated: some of the outermost pixels are beyond them.
    assert len(marked) == pytest.approx(inside.sum(), rel=0.0 if tilt == 0 else 0.03)
    assert max(marked) <= 4.5 + 1e-3
