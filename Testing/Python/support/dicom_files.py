"""DICOM files made with pydicom: single images, series and multi-frame files, with known places and values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ROW_MM, COLUMN_MM = 0.75, 0.5
"""Distance of rows, and of columns."""


def dataset(stored: npt.NDArray, modality: str = "CT", sop_class: str = CTImageStorage, **tags: object) -> FileDataset:
    """A file's content with these stored values, (rows, columns) or (frames, rows, columns)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID, made.StudyInstanceUID, made.FrameOfReferenceUID = "1.2.3.9", "1.2.3", "1.2.3.4"
    made.Modality, made.PatientName, made.PatientID = modality, "DOE^JANE", "4711"
    made.Rows, made.Columns = stored.shape[-2:]
    if stored.ndim == 3:
        made.NumberOfFrames = len(stored)
    bits = stored.dtype.itemsize * 8
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def write(made: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def places(
    depths_mm: Sequence[float], axes: Sequence[float] = AXIAL, tilt: float = 0.0, decimals: int = 6
) -> npt.NDArray[np.float64]:
    """(n, 3) LPS mm of the first pixels of slices at depths along the normal, shifted by ``tilt`` × depth."""
    row, column = np.array(axes).reshape(2, 3)
    along = np.outer(depths_mm, np.cross(row, column) + tilt * column)
    return np.round(np.array([5.0, -7.0, 11.0]) + along, decimals)


def ball(
    positions_lps: npt.NDArray, axes: Sequence[float], shape: tuple[int, int], center_lps, radius_mm
) -> npt.NDArray:
    """(n, rows, columns) bool: which pixels of slices at these places lie in a ball, by their millimetres."""
    row, column = np.array(axes).reshape(2, 3)
    rows, columns = np.indices(shape)
    in_plane = rows[..., None] * ROW_MM * column + columns[..., None] * COLUMN_MM * row
    points = positions_lps[:, None, None] + in_plane
    return np.linalg.norm(points - np.asarray(center_lps), axis=-1) <= radius_mm


def write_slices(
    folder: Path,
    stored: npt.NDArray,
    positions_lps: npt.NDArray,
    axes: Sequence[float] = AXIAL,
    each: Sequence[dict] | None = None,
    **tags: object,
) -> list[Path]:
    """A series with one file per slice, named without an extension."""
    paths = []
    for n, (slice_hw, position) in enumerate(zip(stored, positions_lps, strict=True)):
        own = {} if each is None else each[n]
        made = dataset(slice_hw, **tags)
        made.ImagePositionPatient, made.ImageOrientationPatient = [f"{x:.6f}" for x in position], list(axes)
        made.PixelSpacing, made.InstanceNumber = [ROW_MM, COLUMN_MM], n + 1
        for name, value in own.items():
            setattr(made, name, value)
        paths.append(write(made, folder / f"IM{n:04d}"))
    return paths


def multi_frame(
    stored: npt.NDArray,
    positions_lps: npt.NDArray,
    axes: Sequence[float] = AXIAL,
    rescales: Sequence[tuple[float, float]] | None = None,
    sop_class: str = EnhancedCTImageStorage,
    shared: bool = True,
) -> FileDataset:
    """A multi-frame file with functional groups; those that are the same for all frames shared, or in each frame."""
    made = dataset(stored, sop_class=sop_class)
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [ROW_MM, COLUMN_MM], 2.0
    orientation.ImageOrientationPatient = list(axes)
    common, frames = Dataset(), []
    for n, place in enumerate(positions_lps):
        position, content, frame = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [f"{x:.6f}" for x in place]
        content.StackID, content.InStackPositionNumber = "1", n + 1
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        if rescales is not None:
            frame.PixelValueTransformationSequence = [_transformation(*rescales[n])]
        frames.append(frame)
    for group in [common] if shared else frames:
        group.PixelMeasuresSequence, group.PlaneOrientationSequence = [measures], [orientation]
    if rescales is None:
        common.PixelValueTransformationSequence = [_transformation(1.0, -1024.0)]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [common], frames
    return made


def _transformation(slope: float, intercept: float) -> Dataset:
    made = Dataset()
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = slope, intercept, "HU"
    return made
