"""Volumes as they come: what is read, where it lies, and what is refused."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.volume_files import read_volume
from support.files import SPHERE_CENTER_LPS, sphere_image

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha", ".mhd")


def centroid_ras(volume) -> np.ndarray:
    kji = np.argwhere(volume.voxels_kji > 50).mean(axis=0)
    return (volume.geometry.ijk_to_ras @ [*kji[::-1], 1.0])[:3]


def oblique_image() -> sitk.Image:
    image = sphere_image()
    rotation = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.3, -0.2, 0.5)
    image.SetDirection(rotation.GetMatrix())
    image.SetOrigin((10.0, 20.0, -30.0))
    return image


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sphere_lies_where_it_was_saved_in_ras(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sphere_image(), str(path))
    left, posterior, superior = SPHERE_CENTER_LPS
    np.testing.assert_allclose(centroid_ras(read_volume(path)), [-left, -posterior, superior], atol=1e-3)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_a_turned_image_keeps_its_directions(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    image = oblique_image()
    sitk.WriteImage(image, str(path))
    geometry = read_volume(path).geometry
    for ijk in ((0, 0, 0), (10, 0, 0), (0, 20, 0), (3, 5, 7)):
        x, y, z = image.TransformIndexToPhysicalPoint(ijk)
        np.testing.assert_allclose((geometry.ijk_to_ras @ [*ijk, 1.0])[:3], [-x, -y, z], atol=1e-3)


def test_the_voxels_are_those_of_the_file(tmp_path):
    path = tmp_path / "image.nrrd"
    sitk.WriteImage(sphere_image(), str(path))
    np.testing.assert_array_equal(read_volume(path).voxels_kji, sitk.GetArrayFromImage(sphere_image()))


def test_rgb_keeps_its_three_channels_and_loses_its_opacity(tmp_path):
    grey = sitk.Cast(sphere_image(), sitk.sitkUInt8)
    sitk.WriteImage(sitk.Compose(grey, grey, grey), str(tmp_path / "rgb.nrrd"))
    sitk.WriteImage(sitk.Compose(grey, grey, grey, grey), str(tmp_path / "rgba.nrrd"))
    for name in ("rgb.nrrd", "rgba.nrrd"):
        volume = read_volume(tmp_path / name)
        assert volume.is_rgb
        np.testing.assert_array_equal(volume.voxels_kji[..., 2], sitk.GetArrayFromImage(grey))


@pytest.mark.parametrize("name", ["slice.png", "slice.nrrd"])
def test_a_2d_image_is_a_volume_of_one_slice(tmp_path, name):
    sitk.WriteImage(sitk.Cast(sphere_image(), sitk.sitkUInt8)[:, :, 12], str(tmp_path / name))
    assert read_volume(tmp_path / name).geometry.shape_kji == (1, 44, 40)


def test_a_single_slice_of_a_volume_keeps_its_place(tmp_path):
    sitk.WriteImage(sphere_image()[:, :, 12:13], str(tmp_path / "one.nrrd"))
    volume = read_volume(tmp_path / "one.nrrd")
    assert volume.geometry.shape_kji == (1, 44, 40)
    expected = sphere_image().TransformIndexToPhysicalPoint((0, 0, 12))[2]
    assert volume.geometry.ijk_to_ras[2, 3] == pytest.approx(expected)


def test_some_voxels_without_a_finite_value_pass(tmp_path):
    voxels = sitk.GetArrayFromImage(sphere_image()).astype(np.float32)
    voxels[0, 0, :2] = (np.nan, np.inf)
    image = sitk.GetImageFromArray(voxels)
    sitk.WriteImage(image, str(tmp_path / "some.nrrd"))
    assert np.isnan(read_volume(tmp_path / "some.nrrd").voxels_kji[0, 0, 0])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_refused_whatever_its_format(tmp_path, suffix, compressed):
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sphere_image(), str(path), useCompression=compressed)
    data = next((p for p in (path.with_suffix(".raw"), path.with_suffix(".zraw")) if p.exists()), path)
    data.write_bytes(data.read_bytes()[: data.stat().st_size * 2 // 3])
    with pytest.raises(InvalidImageError, match="image"):
        read_volume(path)


def test_a_missing_file_an_empty_one_and_text_are_refused_by_name(tmp_path):
    (tmp_path / "empty.nrrd").touch()
    (tmp_path / "text.nii").write_text("not an image")
    for name, words in (("gone.nrrd", "no file"), ("empty.nrrd", "empty"), ("text.nii", "cannot be read")):
        with pytest.raises(InvalidImageError, match=words) as refused:
            read_volume(tmp_path / name)
        assert name in str(refused.value)


def test_a_time_series_is_refused_with_its_dimensions(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([sphere_image(), sphere_image()]), str(tmp_path / "four.nrrd"))
    with pytest.raises(InvalidImageError, match="4 dimensions"):
        read_volume(tmp_path / "four.nrrd")


def test_two_components_are_refused(tmp_path):
    sitk.WriteImage(sitk.Compose(sphere_image(), sphere_image()), str(tmp_path / "vector.nrrd"))
    with pytest.raises(InvalidImageError, match="2 components"):
        read_volume(tmp_path / "vector.nrrd")


def test_an_image_without_a_finite_voxel_is_refused(tmp_path):
    image = sitk.GetImageFromArray(np.full((2, 3, 4), np.nan, np.float32))
    sitk.WriteImage(image, str(tmp_path / "nan.nrrd"))
    with pytest.raises(InvalidImageError, match="finite"):
        read_volume(tmp_path / "nan.nrrd")


def write_series(folder: Path, positions_mm, *, uid: str | None = None, tilt: float = 0.0) -> str:
    """A CT series with the sphere image's slices at some positions along S, under names in random order."""
    uid = uid or generate_uid()
    image = sphere_image()
    voxels = sitk.GetArrayFromImage(image)
    folder.mkdir(exist_ok=True)
    for n, position in enumerate(positions_mm):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.SeriesInstanceUID, dataset.Modality, dataset.SeriesDescription = uid, "CT", "Thorax"
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.3.4"
        dataset.PatientName, dataset.PatientID = "DOE^JANE", "4711"
        dataset.Rows, dataset.Columns = voxels.shape[1:]
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.0, 1.0], [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [*image.GetOrigin()[:2], position]
        dataset.ImagePositionPatient[1] += tilt * position
        dataset.InstanceNumber, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = n + 1, 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (voxels[n % len(voxels)] + 1024).astype(np.int16).tobytes()
        pydicom.dcmwrite(folder / f"{(n * 7) % 101:03d}-{uid[-6:]}", dataset, enforce_file_format=True)
    return uid


def test_a_dicom_series_is_sorted_by_position_rescaled_and_placed(tmp_path):
    image = sphere_image()
    first = image.GetOrigin()[2]
    write_series(tmp_path / "series", [first + 2.0 * n for n in range(image.GetSize()[2])])
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.voxels_kji, sitk.GetArrayFromImage(image))
    left, posterior, superior = SPHERE_CENTER_LPS
    np.testing.assert_allclose(centroid_ras(volume), [-left, -posterior, superior], atol=1e-3)


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path):
    first = write_series(tmp_path / "dicom", [0.0, 2.0, 4.0])
    second = write_series(tmp_path / "dicom", [0.0, 2.0, 4.0, 6.0])
    with pytest.raises(InvalidImageError, match="--series") as refused:
        read_volume(tmp_path / "dicom")
    assert first in str(refused.value)
    assert second in str(refused.value)
    assert "DOE" not in str(refused.value)
    assert read_volume(tmp_path / "dicom", second).geometry.shape_kji[0] == 4
    with pytest.raises(InvalidImageError, match=r"no series 9\.9"):
        read_volume(tmp_path / "dicom", "9.9")


def test_a_series_with_a_missing_slice_is_refused_because_masks_would_be_misplaced(tmp_path):
    write_series(tmp_path / "gap", [0.0, 2.0, 4.0, 8.0, 10.0])
    with pytest.raises(InvalidImageError, match="not evenly spaced"):
        read_volume(tmp_path / "gap")


def test_a_folder_without_dicom_is_refused(tmp_path):
    with pytest.raises(InvalidImageError, match="no DICOM series"):
        read_volume(tmp_path)
