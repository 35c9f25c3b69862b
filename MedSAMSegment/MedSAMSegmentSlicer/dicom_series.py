"""A DICOM series from a folder, and the ways in which one is not a volume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.sitk_errors import reason

if TYPE_CHECKING:
    import SimpleITK as sitk

_MODALITY, _DESCRIPTION, _POSITION = "0008|0060", "0008|103e", "0020|0032"

_POSITION_TOLERANCE = 0.05
"""Of the distance of neighbouring slices: positions are rounded when they are written."""


def read_series(folder: Path, series_uid: str | None) -> sitk.Image:
    """Read the slices of a series, in the order of their positions.

    Args:
        folder: with the files, in any order and under any names.
        series_uid: which series; None where there is only one.

    Raises:
        InvalidImageError: there is no series, there are several to choose from (the message lists them), a file is
            damaged, a slice is missing, or the gantry was tilted.
    """
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
    reader.MetaDataDictionaryArrayUpdateOn()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InvalidImageError(
            f"The series {uid} in {folder} cannot be read: a file is damaged, or they are not slices of one volume "
            f"({reason(error)}). Export the series again."
        ) from error
    _check_positions(_positions(reader, image), image, uid)
    return image


def _positions(reader: sitk.ImageSeriesReader, image: sitk.Image) -> npt.NDArray[np.float64]:
    """(n, 3) LPS mm of the slices' first pixels, in the order of the slices; empty where the files do not say."""
    count = image.GetSize()[2] if image.GetDimension() == 3 else 1
    if count != len(reader.GetFileNames()) or not all(reader.HasMetaDataKey(n, _POSITION) for n in range(count)):
        return np.empty((0, 3))
    return np.array([[float(x) for x in reader.GetMetaData(n, _POSITION).split("\\")] for n in range(count)])


def _check_positions(positions: npt.NDArray[np.float64], image: sitk.Image, uid: str) -> None:
    """ITK lays slices out evenly along their normal, wherever they were: a mask would then be in the wrong place."""
    if len(positions) < 2:
        return
    steps = np.diff(positions, axis=0)
    step = np.median(steps, axis=0)
    distance = float(np.linalg.norm(step))
    uneven = np.flatnonzero(np.linalg.norm(steps - step, axis=1) > _POSITION_TOLERANCE * distance)
    if uneven.size or distance == 0.0:
        first = int(uneven[0]) if uneven.size else 0
        raise InvalidImageError(
            f"The slices of the series {uid} are not evenly spaced: between slice {first + 1} and {first + 2} are "
            f"{np.linalg.norm(steps[first]):.2f} mm, elsewhere {distance:.2f} mm. A slice is missing or there twice: "
            "export the series again, or load it in 3D Slicer (module DICOM), which can resample it."
        )
    normal = np.array(image.GetDirection()).reshape(3, 3)[:, 2]
    if abs(float(normal @ step)) < (1 - 1e-4) * distance:
        raise InvalidImageError(
            f"The series {uid} was taken with a tilted gantry. Load it in 3D Slicer (module DICOM, acquisition "
            "geometry regularization) and save the volume."
        )


def _series_list(folder: Path, uids: tuple[str, ...]) -> str:
    """UID, number of files, modality and description of each: nothing that says who the patient is."""
    import SimpleITK as sitk

    lines = []
    for uid in uids:
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        reader = sitk.ImageFileReader()
        reader.SetFileName(files[0])
        reader.ReadImageInformation()
        tags = [reader.GetMetaData(tag).strip() for tag in (_MODALITY, _DESCRIPTION) if reader.HasMetaDataKey(tag)]
        lines.append(f"  {uid}  {len(files)} files  {'  '.join(tags)}")
    return "\n".join(lines)
