"""Volumes from files: NRRD, NIfTI, MetaImage and DICOM series, by SimpleITK."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.dicom_headers import is_dicom
from MedSAMSegmentSlicer.dicom_series import read_dicom_file, read_series
from MedSAMSegmentSlicer.image_headers import check_image_header
from MedSAMSegmentSlicer.matrices import LPS_TO_RAS
from MedSAMSegmentSlicer.nifti_header import (
    GZIP_MAGIC,
    NiftiHeader,
    open_unpacked,
    read_nifti_header,
    read_nifti_voxels,
    same_place,
)
from MedSAMSegmentSlicer.sitk_errors import reason

if TYPE_CHECKING:
    import SimpleITK as sitk

VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".dcm")
_CHUNK = 2**22


def read_volume(path: Path, series_uid: str | None = None, note: Callable[[str], None] | None = None) -> Volume:
    """Read a volume from a file, or a DICOM series from a folder or from one of its files.

    A 2D image becomes a volume of one slice. RGB is kept, an opacity channel dropped. A NIfTI file says twice where it
    lies; where the two differ, the one counts that counts in 3D Slicer.

    Args:
        path: a file (`VOLUME_SUFFIXES`, or what else SimpleITK reads) or a folder.
        series_uid: which series of the folder; needed where there are several.
        note: called with each line that the user should know: what was chosen, what was left out.

    Raises:
        InvalidImageError: missing, empty, damaged, not an image, not 2D or 3D, other components than grey or RGB, or no
            voxel with a finite value.
    """
    if not path.exists():
        raise InvalidImageError(f"There is no file or folder {path}. Check the path of the volume.")
    say = note or (lambda text: None)
    if path.is_dir():
        image = read_series(path, series_uid, say)
    else:
        if path.stat().st_size == 0:
            raise InvalidImageError(f"{path} is empty. Copy or export the volume again.")
        check_image_header(path)
        header = read_nifti_header(path)
        if header is not None:
            return _read_nifti(path, header, say)
        image = read_dicom_file(path, series_uid, say) if is_dicom(path) else _read_file(path)
    return _volume(image, path)


def _read_nifti(path: Path, header: NiftiHeader, note: Callable[[str], None]) -> Volume:
    """ITK reads NIfTI as 3D Slicer does; what ITK cannot read, or places without its third axis, is read here."""
    _check_nifti_is_whole(path, header)
    if header.version == 2 or len(header.shape_ijk) == 2:
        form = header.ijk_to_ras
        if header.forms_differ:
            note(f"{path.name}: its qform and its sform put it in different places. Its sform is used.")
        if len(header.shape_ijk) == 2 and abs(form[2, 3]) > 1e-3:
            note(
                f"{path.name} is a 2D image at S = {form[2, 3]:.1f} mm, where it is segmented. 3D Slicer shows "
                "2D NIfTI files at S = 0: save it there as a 3D volume to draw an ROI on it."
            )
        return _checked_volume(read_nifti_voxels(header, path), form, path)
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    if packed and not path.name.lower().endswith(".gz"):
        raise InvalidImageError(f"{path} is compressed, which its name does not say. Rename it to {path.name}.gz.")
    if header.qform is None and header.sform is not None and _is_sheared(header.sform):
        raise InvalidImageError(
            f"{path} has a grid with axes that are not at right angles (such as of a tilted gantry), which 3D Slicer "
            "does not read from NIfTI either. Resample it, or save it as NRRD."
        )
    volume = _volume(_read_file(path), path)
    if header.forms_differ and header.qform is not None and header.sform is not None:
        is_sform = same_place(volume.geometry.ijk_to_ras, header.sform, header.shape_ijk)
        used, other = ("sform", "qform") if is_sform else ("qform", "sform")
        note(
            f"{path.name}: its qform and its sform put it in different places. Its {used} is used, as in 3D Slicer; "
            f"other programs may use its {other}."
        )
    return volume


def _is_sheared(ijk_to_ras: npt.NDArray[np.float64]) -> bool:
    axes = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return bool((np.abs(axes.T @ axes - np.eye(3)) > 1e-3).any())


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
    # A view of the image's memory would not keep it alive.
    return _checked_volume(sitk.GetArrayFromImage(image), _ijk_to_ras(image), path)


def _checked_volume(voxels: npt.NDArray, ijk_to_ras: npt.NDArray[np.float64], path: Path) -> Volume:
    components = voxels.shape[3] if voxels.ndim == 4 else 1
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
    return Volume(voxels, VolumeGeometry(voxels.shape[:3], ijk_to_ras))


def _ijk_to_ras(image: sitk.Image) -> npt.NDArray[np.float64]:
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ ijk_to_lps


def _check_nifti_is_whole(path: Path, header: NiftiHeader) -> None:
    """ITK's NIfTI reader fills up what a truncated file lacks, without a word.

    Raises:
        InvalidImageError: the file ends before its last voxel.
    """
    there = 0
    try:
        with open_unpacked(path) as file:
            while there <= header.size_bytes and (chunk := file.read(_CHUNK)):
                there += len(chunk)
    except (EOFError, OSError, zlib.error):
        there = 0
    if there < header.size_bytes:
        raise InvalidImageError(f"{path} is truncated: it ends before its last voxel. Copy or export the volume again.")
