"""Volumes from files: NRRD, NIfTI, MetaImage and DICOM series, by SimpleITK."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.dicom_series import read_series
from MedSAMSegmentSlicer.matrices import LPS_TO_RAS
from MedSAMSegmentSlicer.sitk_errors import reason

if TYPE_CHECKING:
    import SimpleITK as sitk

VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".dcm")
_CHUNK = 2**22


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
        image = read_series(path, series_uid)
    else:
        if path.stat().st_size == 0:
            raise InvalidImageError(f"{path} is empty. Copy or export the volume again.")
        image = _read_file(path)
    return _volume(image, path)


def _read_file(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InvalidImageError(
            f"{path} cannot be read as an image: it is damaged, or of another format ({reason(error)}). Use one of: "
            f"{', '.join(VOLUME_SUFFIXES)}, or a folder with a DICOM series."
        ) from error
    if path.name.lower().endswith((".nii", ".nii.gz")) and image.HasMetaDataKey("vox_offset"):
        _check_nifti_is_whole(path, image)
    return image


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


def _check_nifti_is_whole(path: Path, image: sitk.Image) -> None:
    """ITK's NIfTI reader fills up what a truncated file lacks, without a word.

    Raises:
        InvalidImageError: the file ends before its last voxel.
    """
    voxels = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel()
    needed = int(float(image.GetMetaData("vox_offset"))) + voxels * int(image.GetMetaData("bitpix")) // 8
    if path.suffix == ".gz":
        try:
            with gzip.open(path) as file:
                there = sum(len(chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))
        except (EOFError, OSError, zlib.error):
            there = 0
    else:
        there = path.stat().st_size
    if there < needed:
        raise InvalidImageError(f"{path} is truncated: it ends before its last voxel. Copy or export the volume again.")
