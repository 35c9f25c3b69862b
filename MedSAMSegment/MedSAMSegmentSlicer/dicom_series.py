"""A DICOM series from a folder or from one of its files, and the ways in which one is not a volume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.dicom_headers import DicomImage, is_dicom, read_header, series_uid_of
from MedSAMSegmentSlicer.dicom_volume import Note, read_images

if TYPE_CHECKING:
    import SimpleITK as sitk

_MAX_FILES = 200_000
"""In a folder and those below it: more are no patient's disc."""


def read_series(folder: Path, series_uid: str | None, note: Note) -> sitk.Image:
    """Read the slices of a series, in the order of their positions.

    Where the folder itself has no DICOM images, those below it count.

    Args:
        folder: with the files, in any order and under any names, and with other files beside them.
        series_uid: which series; None where there is only one.
        note: called with each line that the user should know.

    Raises:
        InvalidImageError: there is no series, there are several to choose from (the message lists them), a file is
            damaged, or no regular grid describes the slices.
    """
    series = _series_in(folder, series_uid)
    if series_uid is None and len(series) > 1:
        raise InvalidImageError(
            f"There are {len(series)} series in {folder}. Choose one with --series:\n{_list(series)}"
        )
    uid = next(iter(series)) if series_uid is None else series_uid
    if uid not in series:
        raise InvalidImageError(f"There is no series {uid} in {folder}. Choose one with --series:\n{_list(series)}")
    places = {image.path.parent for image in series[uid]}
    if places != {folder}:
        note(f"The DICOM series lies in {', '.join(sorted(str(place) for place in places))}.")
    return read_images(series[uid], f"The series {uid}", note)


def read_dicom_file(path: Path, series_uid: str | None, note: Note) -> sitk.Image:
    """Read the volume that a DICOM file belongs to: its own frames, or the slices of its series beside it.

    Args:
        path: a file for which `is_dicom` holds.
        series_uid: as given by the user; None if not.
        note: called with each line that the user should know.

    Raises:
        InvalidImageError: the file has no image, is damaged, or no regular grid describes the slices.
    """
    image = read_header(path)
    if image is None:
        if path.name.upper().startswith("DICOMDIR"):
            return read_series(path.parent, series_uid, note)
        raise InvalidImageError(f"The DICOM file {path} has no image. Give the folder with the series' images.")
    if series_uid is not None and series_uid != image.series_uid:
        raise InvalidImageError(f"{path} belongs to the series {image.series_uid}, not to {series_uid}.")
    if image.is_multi_frame or image.frames[0].position_lps is None:
        return read_images([image], str(path), note)
    beside = _images(sorted(path.parent.iterdir()), image.series_uid)
    whole = [other for other in beside if other.series_uid == image.series_uid and not other.is_multi_frame]
    if len(whole) < 2:
        return read_images([image], str(path), note)
    note(f"{path.name} is one of {len(whole)} files of its series in {path.parent}: all of them are read.")
    try:
        return read_images(whole, f"The series of {path.name}", note)
    except InvalidImageError as error:
        raise InvalidImageError(
            f"{error} To segment the one slice {path.name} alone, copy it to a folder of its own."
        ) from error


def _series_in(folder: Path, wanted: str | None) -> dict[str, list[DicomImage]]:
    """The series of a folder; of those below it where it has none, or not the wanted one.

    Raises:
        InvalidImageError: there is none.
    """
    series = _by_uid(_images(sorted(folder.iterdir()), wanted))
    if not series or (wanted is not None and wanted not in series):
        paths = []
        for path in folder.rglob("*"):
            paths.append(path)
            if len(paths) > _MAX_FILES:
                raise InvalidImageError(f"{folder} has more than {_MAX_FILES:,} files. Give the folder of the series.")
        series = _by_uid(_images(sorted(paths), wanted)) or series
    if not series:
        raise InvalidImageError(
            f"There is no DICOM series in the folder {folder} or in those within it. Give the folder with its files."
        )
    return series


def _images(paths: list[Path], wanted: str | None) -> list[DicomImage]:
    """The DICOM images among some files; a damaged one that surely belongs to another series than the wanted is none.

    Raises:
        InvalidImageError: a file is damaged.
    """
    images = []
    for path in paths:
        if not path.is_file() or not is_dicom(path):
            continue
        try:
            image = read_header(path)
        except InvalidImageError:
            if wanted is None or series_uid_of(path) in ("", wanted):
                raise
            continue
        if image is not None:
            images.append(image)
    return images


def _by_uid(images: list[DicomImage]) -> dict[str, list[DicomImage]]:
    series: dict[str, list[DicomImage]] = {}
    for image in images:
        series.setdefault(image.series_uid, []).append(image)
    return series


def _list(series: dict[str, list[DicomImage]]) -> str:
    """UID, number of files, modality and description of each: nothing that says who the patient is."""
    lines = []
    for uid, images in series.items():
        tags = images[0].tags
        words = [str(tags.get(name) or "").strip() for name in ("Modality", "SeriesDescription")]
        lines.append(f"  {uid}  {len(images)} files  {'  '.join(word for word in words if word)}")
    return "\n".join(lines)
