"""Radiographs and ultrasound: the pixel size is the one that 3D Slicer takes, and the user is told which."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    XRayAngiographicImageStorage,
)

from MedSAMSegmentSlicer.volume_files import read_volume
from support.dicom_files import dataset, write
from support.slicer_volume import slicer_reads

PIXELS = np.arange(120, dtype=np.uint16).reshape(12, 10)
KINDS = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "MG": DigitalMammographyXRayImageStorageForPresentation,
    "XA": XRayAngiographicImageStorage,
    "SC": SecondaryCaptureImageStorage,
    "US": UltrasoundImageStorage,
}
AT_DETECTOR = {"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25}
CALIBRATED = {"PixelSpacing": [0.16, 0.08]}
SCANNED = {"NominalScannedPixelSpacing": [0.4, 0.3]}


def region(delta_x: float, delta_y: float, units: int = 3) -> Dataset:
    made = Dataset()
    made.RegionSpatialFormat, made.RegionDataType, made.RegionFlags = 1, 1, 0
    made.RegionLocationMinX0, made.RegionLocationMinY0, made.RegionLocationMaxX1, made.RegionLocationMaxY1 = 0, 0, 9, 11
    made.PhysicalUnitsXDirection = made.PhysicalUnitsYDirection = units
    made.PhysicalDeltaX, made.PhysicalDeltaY = delta_x, delta_y
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tags", [AT_DETECTOR, CALIBRATED, AT_DETECTOR | CALIBRATED, SCANNED, CALIBRATED | SCANNED, {}])
def test_the_pixel_size_is_that_of_3d_slicer(tmp_path, kind, tags):
    path = write(dataset(PIXELS, kind, KINDS[kind], **tags), tmp_path / "image.dcm")
    matrix, voxels = slicer_reads(path)
    for volume in (read_volume(path), read_volume(tmp_path)):
        np.testing.assert_allclose(volume.geometry.ijk_to_ras, matrix, atol=1e-6)
        np.testing.assert_array_equal(volume.voxels_kji, voxels)


@pytest.mark.parametrize("kind", ["CR", "DX", "MG", "XA"])
def test_of_two_pixel_sizes_of_a_radiograph_the_one_that_counts_is_named(tmp_path, kind):
    path = write(dataset(PIXELS, kind, KINDS[kind], **AT_DETECTOR, **CALIBRATED), tmp_path / "image.dcm")
    notes: list[str] = []
    assert read_volume(path, note=notes.append).geometry.spacing_ijk[:2] == pytest.approx((0.1, 0.2))
    assert notes == [
        "Pixel size 0.1 × 0.2 mm: Imager Pixel Spacing, as in 3D Slicer. Not used: Pixel Spacing (0.08 × 0.16 mm)."
    ]


def test_a_pixel_size_that_3d_slicer_does_not_use_is_named(tmp_path):
    path = write(dataset(PIXELS, "CR", KINDS["CR"], **CALIBRATED), tmp_path / "image.dcm")
    notes: list[str] = []
    read_volume(path, note=notes.append)
    assert len(notes) == 1
    assert "Pixel size 1 × 1 mm" in notes[0]
    assert "Pixel Spacing (0.08 × 0.16 mm)" in notes[0]
    assert "not those of the patient" in notes[0]


def test_nothing_is_said_of_a_pixel_size_without_doubt(tmp_path):
    notes: list[str] = []
    read_volume(write(dataset(PIXELS, "CR", KINDS["CR"], **AT_DETECTOR), tmp_path / "cr.dcm"), note=notes.append)
    read_volume(write(dataset(PIXELS, "SC", KINDS["SC"], **CALIBRATED), tmp_path / "sc.dcm"), note=notes.append)
    assert notes == []


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("units", [3, 4])
def test_ultrasound_lies_as_in_3d_slicer_and_its_region_s_scale_is_named(tmp_path, frames, units):
    pixels = PIXELS if frames == 1 else np.stack([PIXELS] * frames)
    sop_class = UltrasoundImageStorage if frames == 1 else UltrasoundMultiFrameImageStorage
    made = dataset(pixels, "US", sop_class, SequenceOfUltrasoundRegions=[region(0.02, -0.03, units)])
    path = write(made, tmp_path / "us.dcm")
    notes: list[str] = []
    volume = read_volume(path, note=notes.append)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, slicer_reads(path)[0], atol=1e-6)
    # Units of 3 are cm (PS3.3 C.8.5.5.1.15); 4 are seconds, of which there is nothing to say.
    assert any("the ultrasound region's scale (0.2 × 0.3 mm)" in note for note in notes) == (units == 3)
    assert any("The 3 frames" in note for note in notes) == (frames == 3)


def test_ultrasound_with_a_pixel_size_and_a_region_takes_the_pixel_size_as_3d_slicer_does(tmp_path):
    made = dataset(PIXELS, "US", KINDS["US"], SequenceOfUltrasoundRegions=[region(0.02, 0.03)], **CALIBRATED)
    path = write(made, tmp_path / "us.dcm")
    notes: list[str] = []
    volume = read_volume(path, note=notes.append)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, slicer_reads(path)[0], atol=1e-6)
    assert notes == [
        "Pixel size 0.08 × 0.16 mm: Pixel Spacing, as in 3D Slicer. "
        "Not used: the ultrasound region's scale (0.2 × 0.3 mm)."
    ]
