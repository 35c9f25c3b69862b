"""DICOM images to one volume: every slice at its own place, every value with its own rescale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentSlicer.dicom_grid import FrameGrid, regular_grid
from MedSAMSegmentSlicer.dicom_headers import DicomImage, Frame
from MedSAMSegmentSlicer.dicom_scale import scale_note
from MedSAMSegmentSlicer.sitk_errors import reason

if TYPE_CHECKING:
    import SimpleITK as sitk

Note = Callable[[str], None]

_SAME_DIRECTION = 1e-3
"""Difference of unit vectors: they have been rounded when they were written."""


def read_images(images: list[DicomImage], what: str, note: Note) -> sitk.Image:
    """Read the images of one series, or of one file, as one volume.

    Values are float32 where slices differ in rescale or storage, else of the type that GDCM chooses.

    Args:
        images: one or more; slices in any order, or files with several frames.
        what: the series or file, for messages.
        note: called with each line that the user should know.

    Raises:
        InvalidImageError: a file is damaged, or no regular grid describes the slices.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    images = _without_copies(_without_localizers(images, note), note)
    if len(images) > 1 and any(image.is_multi_frame for image in images):
        files = "\n".join(f"  {image.path}" for image in images)
        raise InvalidImageError(f"{what} has {len(images)} files, each a volume of its own. Give one of them:\n{files}")
    frames = [frame for image in images for frame in image.frames]
    if len(frames) == 1:
        return _read_single(images[0], note)
    if any(frame.position_lps is None or frame.axes_lps is None for frame in frames):
        raise InvalidImageError(
            f"{what} has {len(frames)} images that do not say where in the patient they are: they are pictures, not "
            f"slices of one volume. Give one of the files, such as {images[0].path}."
        )
    _check_alike(images, frames, what)
    names = (
        [f"frame {n + 1}" for n in range(len(frames))]
        if images[0].is_multi_frame
        else [f"the slice {image.path.name}" for image in images]
    )
    axes = frames[0].axes_lps
    pixel_mm = frames[0].pixel_mm or (1.0, 1.0)
    assert axes is not None  # noqa: S101
    grid = regular_grid(np.array([frame.position_lps for frame in frames]), axes, min(pixel_mm), names, what)
    if grid.tilt_degrees:
        note(
            f"The gantry was tilted by {grid.tilt_degrees:.1f}°: the slices are where the file says, each shifted "
            "against the one before. An ROI from 3D Slicer fits if acquisition geometry was regularized there."
        )
    if images[0].is_multi_frame and grid.order not in (sorted(grid.order), sorted(grid.order, reverse=True)):
        note(
            "The frames are not stored in the order of their places and have been sorted. 3D Slicer does not sort "
            "them: draw ROIs on a copy with one file per slice."
        )
    image = _multi_frame(images[0], grid) if images[0].is_multi_frame else _slices(images, grid, what)
    return _placed(image, grid, axes, frames[0].pixel_mm)


def _without_localizers(images: list[DicomImage], note: Note) -> list[DicomImage]:
    rest = [image for image in images if not image.is_localizer]
    if not rest or len(rest) == len(images):
        return images
    note(f"{len(images) - len(rest)} localizer images of the series are left out.")
    return rest


def _without_copies(images: list[DicomImage], note: Note) -> list[DicomImage]:
    """The same image under two names has the same SOP Instance UID, and the same place."""
    kept: dict[tuple, DicomImage] = {}
    for n, image in enumerate(images):
        uid, position = str(image.tags.get("SOPInstanceUID", "")), image.frames[0].position_lps
        kept.setdefault((uid or n, None if position is None else tuple(position)), image)
    if len(kept) < len(images):
        note(f"{len(images) - len(kept)} files are copies of others of the series and are left out.")
    return list(kept.values())


def _check_alike(images: list[DicomImage], frames: list[Frame], what: str) -> None:
    """Refuse slices of different sizes, pixel sizes or directions: no grid has them all.

    Raises:
        InvalidImageError: the message says how many there are of each.
    """
    sizes = [image.size for image in images for _ in image.frames]
    kinds: list[tuple[tuple[int, int], Frame, int]] = []
    for size, frame in zip(sizes, frames, strict=True):
        for n, (known_size, known, count) in enumerate(kinds):
            if size == known_size and _alike(frame, known):
                kinds[n] = (known_size, known, count + 1)
                break
        else:
            kinds.append((size, frame, 1))
    if len(kinds) > 1:
        listed = "; ".join(
            f"{count} of {size[0]} × {size[1]} pixels, normal {_normal_text(frame)}" for size, frame, count in kinds[:6]
        )
        raise InvalidImageError(
            f"{what} is no single volume: its slices differ in direction, size or pixel size: {listed}. Export one "
            "kind alone; or load it in 3D Slicer (module DICOM), and save the volume to be segmented."
        )


def _alike(one: Frame, other: Frame) -> bool:
    assert one.axes_lps is not None and other.axes_lps is not None  # noqa: S101
    if np.abs(one.axes_lps - other.axes_lps).max() > _SAME_DIRECTION:
        return False
    return one.pixel_mm is None or other.pixel_mm is None or bool(np.allclose(one.pixel_mm, other.pixel_mm, rtol=1e-3))


def _normal_text(frame: Frame) -> str:
    assert frame.axes_lps is not None  # noqa: S101
    left, posterior, superior = np.cross(*frame.axes_lps)
    return f"{left:.2f} {posterior:.2f} {superior:.2f} (L P S)"


def _read_single(image: DicomImage, note: Note) -> sitk.Image:
    """One image, or frames that have no places: as GDCM lays them out, and so 3D Slicer."""
    read = _read(image.path)
    spacing = read.GetSpacing()
    scale = None if image.frames[0].position_lps is not None else scale_note(image.tags, (spacing[1], spacing[0]))
    if scale is not None:
        note(scale)
    if read.GetDimension() == 3 and read.GetSize()[2] > 1:
        note(
            f"The {read.GetSize()[2]} frames of {image.path.name} do not say where in the patient they are: they are "
            f"laid {spacing[2]:.4g} mm apart."
        )
    return read


def _read(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise InvalidImageError(
            f"The DICOM file {path} cannot be read: it is damaged, or compressed in a way that is not known here "
            f"({reason(error)}). Copy or export it again."
        ) from error


def _slices(images: list[DicomImage], grid: FrameGrid, what: str) -> sitk.Image:
    """The slices of files with one image each; GDCM applies each file's own rescale."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(images[n].path) for n in grid.order])
    if len({image.storage for image in images}) > 1 and images[0].tags.get("SamplesPerPixel") == 1:
        # ITK takes the first slice's type for all of them, and cuts off what does not fit in there.
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return reader.Execute()
    except RuntimeError as error:
        for image in images:
            _read(image.path)  # says which of them is damaged
        raise InvalidImageError(
            f"{what} cannot be read: its files are not slices of one volume ({reason(error)}). Export the series again."
        ) from error


def _multi_frame(image: DicomImage, grid: FrameGrid) -> sitk.Image:
    """The frames of one file in the grid's order; GDCM applies one rescale to all frames, which is taken back."""
    import SimpleITK as sitk

    read = _read(image.path)
    values = sitk.GetArrayViewFromImage(read)
    if len(values) != len(image.frames) or read.GetDimension() != 3:
        raise InvalidImageError(
            f"The DICOM file {image.path} is damaged: it announces {len(image.frames)} frames and has {len(values)}."
        )
    slope, intercept = image.rescale_of_gdcm
    rescales = [image.frames[n].rescale for n in grid.order]
    if all(own == (slope, intercept) for own in rescales) or read.GetNumberOfComponentsPerPixel() > 1:
        ordered = values[grid.order]
    else:
        ordered = np.empty(values.shape, np.float32)
        for n, (own_slope, own_intercept), out in zip(grid.order, rescales, ordered, strict=True):
            stored = (values[n].astype(np.float64) - intercept) / slope
            out[...] = stored * own_slope + own_intercept
    return sitk.GetImageFromArray(ordered, isVector=read.GetNumberOfComponentsPerPixel() > 1)


def _placed(
    image: sitk.Image, grid: FrameGrid, axes_lps: npt.NDArray[np.float64], pixel_mm: tuple[float, float] | None
) -> sitk.Image:
    rows_mm, columns_mm = (image.GetSpacing()[1], image.GetSpacing()[0]) if pixel_mm is None else pixel_mm
    distance = float(np.linalg.norm(grid.step_lps))
    image.SetSpacing((columns_mm, rows_mm, distance))
    image.SetOrigin(grid.origin_lps.tolist())
    image.SetDirection(np.column_stack([*axes_lps, grid.step_lps / distance]).ravel().tolist())
    return image
