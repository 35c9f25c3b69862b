"""Volumes from files: NRRD, NIfTI, MetaImage and DICOM series, by SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.matrices import LPS_TO_RAS

if TYPE_CHECKING:
    import SimpleITK as sitk

VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".dcm")


def read_volume(path: Path, series_uid: str | None = None) -> Volume:
    """Read a volume from a file, or a DICOM series from a folder.

    A 2D image becomes a volume of one slice. RGB is kept, an opacity channel dropped.

    Args:
        path: a file (`VOLUME_SUFFIXES`, or what else SimpleITK reads) or a folder.
        series_uid: which series of the folder; needed where there are several.

    Raises:
        InvalidImageError: missing, empty, damaged, not an image, not 2D or 3D, other components than grey or RGB, or no
            voxel with a finite value.
    """
    if not path.exists():
        raise InvalidImageError(f"There is no file or folder {path}. Check the path of the volume.")
    if path.is_dir():
        image = _read_series(path, series_uid)
    else:
        if path.stat().st_size == 0:
            raise InvalidImageError(f"{path} is empty. Copy or export the volume again.")
        image = _read_file(path)
    return _volume(image, path)


def _read_file(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InvalidImageError(
            f"{path} cannot be read as an image: it is damaged, or of another format ({_reason(error)}). Use one of: "
            f"{', '.join(VOLUME_SUFFIXES)}, or a folder with a DICOM series."
        ) from error


def _read_series(folder: Path, series_uid: str | None) -> sitk.Image:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    found = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not found:
        raise InvalidImageError(f"There is no DICOM series in the folder {folder}. Give the folder with its files.")
    if series_uid is None and len(found) > 1:
        raise InvalidImageError(
            f"There are {len(found)} series in {folder}. Choose one with --series:\n" + _series_list(folder, found)
        )
    uid = found[0] if series_uid is None else series_uid
    if uid not in found:
        raise InvalidImageError(
            f"There is no series {uid} in {folder}. Choose one with --series:\n" + _series_list(folder, found)
        )
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise InvalidImageError(
            f"The series {uid} in {folder} cannot be read: a file is damaged, or they are not slices of one volume "
            f"({_reason(error)}). Export the series again."
        ) from error


def _series_list(folder: Path, uids: tuple[str, ...]) -> str:
    """UID, number of files and modality of each: nothing that says who the patient is."""
    import SimpleITK as sitk

    lines = []
    for uid in uids:
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        reader = sitk.ImageFileReader()
        reader.SetFileName(files[0])
        reader.ReadImageInformation()
        tags = [reader.GetMetaData(tag).strip() for tag in ("0008|0060", "0008|103e") if reader.HasMetaDataKey(tag)]
        lines.append(f"  {uid}  {len(files)} files  {'  '.join(tags)}")
    return "\n".join(lines)


def _volume(image: sitk.Image, path: Path) -> Volume:
    import SimpleITK as sitk

    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() == 2:
        image = sitk.JoinSeries(image)
    if image.GetDimension() != 3:
        raise InvalidImageError(
            f"{path} has {image.GetDimension()} dimensions {image.GetSize()}. Give a 3D volume: a single time point."
        )
    components = image.GetNumberOfComponentsPerPixel()
    # A view of the image's memory would not keep it alive.
    voxels = sitk.GetArrayFromImage(image)
    if components == 4 and voxels.dtype == np.uint8:
        voxels = voxels[..., :3]
    elif components != 1 and not (components == 3 and voxels.dtype == np.uint8):
        raise InvalidImageError(
            f"{path} has {components} components of type {voxels.dtype} a voxel. Give a volume with one, or with red, "
            "green and blue of 8 bits."
        )
    if voxels.dtype.kind == "c":
        raise InvalidImageError(f"{path} has complex voxels. Give their magnitude.")
    if voxels.size == 0 or (voxels.dtype.kind == "f" and not np.isfinite(voxels).any()):
        raise InvalidImageError(f"{path} has no voxel with a finite value. Export the volume again.")
    return Volume(voxels, VolumeGeometry(voxels.shape[:3], _ijk_to_ras(image)))


def _ijk_to_ras(image: sitk.Image) -> npt.NDArray[np.float64]:
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ ijk_to_lps


def _reason(error: RuntimeError) -> str:
    """The last line of SimpleITK's message, which is long and begins with places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
