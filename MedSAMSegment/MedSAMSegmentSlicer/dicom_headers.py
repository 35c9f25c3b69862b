"""What DICOM files say about their images: size, place, pixel size, rescale. Pixels are not read here."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.dicom_structure import check_structure

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PREAMBLE = 128
_FIRST_GROUPS, _MAX_FIRST_LENGTH = (b"\x02\x00", b"\x08\x00"), 256
_DICOMDIR = "1.2.840.10008.1.3.10"
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_MAX_RATIO, _RATIO_FROM_BYTES, _MAX_BYTES = 1000, 2**31, 2**35
"""No compressed image is smaller by more than this, if it is large; none is larger than this."""

_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesDescription",
    "ImageType",
    "InstanceNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "EstimatedRadiographicMagnificationFactor",
    "SequenceOfUltrasoundRegions",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "GridFrameOffsetVector",
]

_WITH_FUNCTIONAL_GROUPS = (
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
    "1.2.840.10008.5.1.4.1.1.130",  # Enhanced PET
    "1.2.840.10008.5.1.4.1.1.128.1",  # Legacy Converted Enhanced PET
    "1.2.840.10008.5.1.4.1.1.13.1.1",  # X-Ray 3D Angiographic
    "1.2.840.10008.5.1.4.1.1.13.1.2",  # X-Ray 3D Craniofacial
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis
)
"""SOP classes of which GDCM (gdcmImageHelper) takes the rescale from the functional groups."""

Rescale = tuple[float, float]
"""Slope and intercept: value = slope × stored + intercept."""


@dataclass(frozen=True)
class Frame:
    """One image plane of a file.

    Attributes:
        position_lps: (3,) mm, the centre of its first pixel; None where the file does not say.
        axes_lps: (2, 3) unit vectors, along a row and along a column; None where the file does not say.
        pixel_mm: distance of rows and of columns; None where the file does not say.
        rescale: its own slope and intercept.
    """

    position_lps: npt.NDArray[np.float64] | None
    axes_lps: npt.NDArray[np.float64] | None
    pixel_mm: tuple[float, float] | None
    rescale: Rescale


@dataclass(frozen=True)
class DicomImage:
    """One DICOM file with an image."""

    path: Path
    tags: Dataset
    frames: tuple[Frame, ...]

    @property
    def series_uid(self) -> str:
        return str(self.tags.get("SeriesInstanceUID", ""))

    @property
    def is_multi_frame(self) -> bool:
        return len(self.frames) > 1 or int(self.tags.get("NumberOfFrames") or 1) > 1

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return int(self.tags.Columns), int(self.tags.Rows)

    @property
    def is_localizer(self) -> bool:
        image_type = self.tags.get("ImageType") or ()
        return any(str(value).upper() in ("LOCALIZER", "SCOUT") for value in image_type)

    @cached_property
    def storage(self) -> tuple:
        """How its values are stored: slices of different storage have no common type of integers."""
        names = ("BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel")
        return (*(self.tags.get(name) for name in names), self.frames[0].rescale)

    @property
    def rescale_of_gdcm(self) -> Rescale:
        """The one that GDCM applies to all frames: the shared one, else the first frame's, else the file's own."""
        if str(self.tags.get("SOPClassUID", "")) in _WITH_FUNCTIONAL_GROUPS:
            for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
                group = _macro(self.tags.get(name), 0, "PixelValueTransformationSequence")
                if group is not None:
                    return _rescale(group)
        return _rescale(self.tags)


def is_dicom(path: Path) -> bool:
    """Whether a file looks like DICOM, with or without the preamble. Reads its first 132 bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(_PREAMBLE + 4)
    except OSError:
        return False
    if start[_PREAMBLE:] == b"DICM":
        return True
    # Without a preamble: a first element of group 2 or 8, as GDCM takes it, with its type or a length.
    has_type, length = start[4:6].isalpha() and start[4:6].isupper(), int.from_bytes(start[4:8], "little")
    return start[:2] in _FIRST_GROUPS and start[3:4] == b"\0" and (has_type or 0 < length < _MAX_FIRST_LENGTH)


def read_header(path: Path) -> DicomImage | None:
    """Read what a file says about its image; None if it has none (reports, contours, directories).

    Raises:
        InvalidImageError: the file is damaged, or its image is larger than it can be.
    """
    tags = _read(path)
    try:
        if not tags.get("Rows") or not tags.get("Columns") or not tags.get("BitsAllocated"):
            if str(tags.get("SeriesInstanceUID", "")) or _has_other_content(tags):
                return None
            raise ValueError("it ends before it says what it is")
        _check_size(path, tags)
        check_structure(path, _transfer_syntax(tags))
        return DicomImage(path, tags, _frames(tags))
    except InvalidImageError:
        raise
    except Exception as error:  # a damaged value raises whatever its conversion raises
        raise InvalidImageError(
            f"The DICOM file {path} is damaged: {_short(error)}. Copy or export it again."
        ) from error


def series_uid_of(path: Path) -> str:
    """The series that a file says it belongs to, damaged or not; empty where it does not say."""
    try:
        return str(_read(path).get("SeriesInstanceUID", ""))
    except Exception:  # a damaged value raises whatever its conversion raises
        return ""


def _read(path: Path) -> Dataset:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*_TAGS])
    except Exception as error:
        raise InvalidImageError(
            f"The DICOM file {path} is damaged: its header cannot be read ({_short(error)}). Copy or export it again."
        ) from error


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _has_other_content(tags: Dataset) -> bool:
    """DICOMDIR, the table of contents of a disc, belongs to no series."""
    return str(getattr(getattr(tags, "file_meta", None), "MediaStorageSOPClassUID", "")) == _DICOMDIR


def _transfer_syntax(tags: Dataset) -> str:
    return str(getattr(getattr(tags, "file_meta", None), "TransferSyntaxUID", _UNCOMPRESSED[0]))


def _check_size(path: Path, tags: Dataset) -> None:
    """Compare the size that the tags claim with the file's: decoders believe the tags.

    Raises:
        InvalidImageError: the file cannot hold such an image.
    """
    frames = int(tags.get("NumberOfFrames") or 1)
    samples, bits = int(tags.get("SamplesPerPixel") or 1), int(tags.BitsAllocated)
    needed = int(tags.Rows) * int(tags.Columns) * frames * samples * bits // 8
    there = path.stat().st_size
    syntax = _transfer_syntax(tags)
    if frames < 1 or samples < 1 or bits not in (1, 8, 12, 16, 32, 64):
        raise InvalidImageError(
            f"The DICOM file {path} is damaged: {frames} frames of {samples} samples of {bits} bits. Export it again."
        )
    too_large = needed > there if syntax in _UNCOMPRESSED else needed > max(_RATIO_FROM_BYTES, _MAX_RATIO * there)
    if too_large or needed > _MAX_BYTES:
        raise InvalidImageError(
            f"The DICOM file {path} is truncated or damaged: its image of {tags.Columns} × {tags.Rows} pixels and "
            f"{frames} frames needs {needed:,} bytes, the file has {there:,}. Copy or export it again."
        )


def _frames(tags: Dataset) -> tuple[Frame, ...]:
    count = int(tags.get("NumberOfFrames") or 1)
    groups = tags.get("PerFrameFunctionalGroupsSequence")
    if groups:
        if len(groups) != count:
            raise ValueError(f"{count} frames, but places for {len(groups)}")
        shared = tags.get("SharedFunctionalGroupsSequence")
        return tuple(_functional_frame(tags, shared, groups, n) for n in range(count))
    frame = Frame(
        _numbers(tags.get("ImagePositionPatient"), 3),
        _axes(tags.get("ImageOrientationPatient")),
        _pixel_mm(tags),
        _rescale(tags),
    )
    offsets = tags.get("GridFrameOffsetVector")
    if count > 1 and offsets and frame.position_lps is not None and frame.axes_lps is not None:
        return _dose_frames(frame, np.array([float(offset) for offset in offsets]), count)
    return (frame,)


def _dose_frames(frame: Frame, offsets: npt.NDArray[np.float64], count: int) -> tuple[Frame, ...]:
    """The planes of an RT Dose (PS3.3 C.8.8.3.2): offsets along the normal, relative, or absolute along the axis."""
    assert frame.position_lps is not None and frame.axes_lps is not None  # noqa: S101
    if len(offsets) != count:
        raise ValueError(f"{count} frames, but offsets for {len(offsets)}")
    normal = np.cross(*frame.axes_lps)
    places = frame.position_lps + np.outer(offsets - offsets[0], normal)
    return tuple(Frame(place, frame.axes_lps, frame.pixel_mm, frame.rescale) for place in places)


def _functional_frame(tags: Dataset, shared: Sequence | None, groups: Sequence, n: int) -> Frame:
    def macro(name: str) -> Dataset | None:
        own = _macro(groups, n, name)
        return _macro(shared, 0, name) if own is None else own

    position, axes = macro("PlanePositionSequence"), macro("PlaneOrientationSequence")
    measures, transformation = macro("PixelMeasuresSequence"), macro("PixelValueTransformationSequence")
    return Frame(
        None if position is None else _numbers(position.get("ImagePositionPatient"), 3),
        None if axes is None else _axes(axes.get("ImageOrientationPatient")),
        None if measures is None else _pixel_mm(measures),
        _rescale(tags if transformation is None else transformation),
    )


def _macro(groups: Sequence | None, n: int, name: str) -> Dataset | None:
    items = groups[n].get(name) if groups and n < len(groups) else None
    return items[0] if items else None


def _rescale(tags: Dataset) -> Rescale:
    """A slope of 0, which some write for an empty slice, would leave nothing: GDCM takes 1."""
    slope, intercept = tags.get("RescaleSlope"), tags.get("RescaleIntercept")
    return float(slope or 1.0), float(intercept or 0.0)


def _pixel_mm(tags: Dataset) -> tuple[float, float] | None:
    spacing = _numbers(tags.get("PixelSpacing"), 2)
    return None if spacing is None or not (spacing > 0).all() else (float(spacing[0]), float(spacing[1]))


def _axes(values: Sequence | None) -> npt.NDArray[np.float64] | None:
    """(2, 3): made exactly perpendicular and of length 1, as the file's digits are rounded."""
    numbers = _numbers(values, 6)
    if numbers is None:
        return None
    row, column = numbers.reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not all(abs(length - 1) < 1e-2 for length in lengths) or abs(float(row @ column)) > 1e-2:
        raise ValueError(f"Image Orientation (Patient) {numbers.tolist()} has no two perpendicular directions")
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _numbers(values: Sequence | None, count: int) -> npt.NDArray[np.float64] | None:
    if values is None or values == "" or len(values) == 0:
        return None
    numbers = np.array([float(value) for value in values])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{count} numbers expected, {numbers.tolist()} found")
    return numbers
