"""Segmentations to and from files: Slicer's own .seg.nrrd, and plain labelmaps."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOutputError
from MedSAMSegmentLib.geometry.volume import MaskBlock, VolumeGeometry
from MedSAMSegmentSlicer.image_headers import check_image_header
from MedSAMSegmentSlicer.matrices import LPS_TO_RAS
from MedSAMSegmentSlicer.nifti_header import copy_forms, read_nifti_header, same_place
from MedSAMSegmentSlicer.segment_writer import reference_grid, segment_mask
from MedSAMSegmentSlicer.sitk_errors import reason

SEGMENTATION_SUFFIX = ".seg.nrrd"
LABELMAP_SUFFIX = ".nii.gz"
OUTPUT_SUFFIXES = (SEGMENTATION_SUFFIX, LABELMAP_SUFFIX)

MOST_LABELS = 1024
"""Different values that a plain labelmap may have: whole-body atlases have some hundreds."""

MOST_VOXELS = 2**31
"""Of a grid that holds a segmentation and an image, or four times what the two have: it is made in memory."""

_REFERENCE_GEOMETRY = "Reference image geometry"
_CHUNK = 2**22


def check_grid(path: Path, grid: VolumeGeometry) -> None:
    """Refuse early a grid that the format of a path's ending cannot hold.

    Raises:
        InvalidOutputError: a labelmap of a grid whose axes are not at right angles.
    """
    if path.name.lower().endswith(LABELMAP_SUFFIX) and grid.is_sheared:
        raise InvalidOutputError(
            f"{path} cannot be written: the axes of the image's grid are not at right angles (such as of a tilted "
            f"gantry), and a mask in {LABELMAP_SUFFIX} would lie in the wrong place. Use {SEGMENTATION_SUFFIX}."
        )


def write_segmentation(segmentation: Any, path: Path, source: Path | None = None) -> None:
    """Write a segmentation in the format of the path's ending (`OUTPUT_SUFFIXES`).

    In a labelmap the n-th segment, from 1 on, has the label n; where segments overlap, the later one stands.

    Args:
        segmentation: ``vtkMRMLSegmentationNode`` in a scene.
        path: of a file; one that is there is overwritten. See `written_whole`.
        source: the image. If it is NIfTI with a qform and an sform that differ, a labelmap on its grid gets both, so
            that it lies on the image whichever of them a program uses.

    Raises:
        InvalidOutputError: the file cannot be written, or its format cannot hold the grid.
    """
    if path.name.lower().endswith(LABELMAP_SUFFIX):
        _write_labelmap(segmentation, path, source)
    else:
        _write_seg_nrrd(segmentation, path)


def read_segmentation(scene: Any, path: Path) -> Any:
    """Load a .seg.nrrd, or another file that Slicer reads as a segmentation, into a scene.

    Args:
        scene: ``vtkMRMLScene``.
        path: of the file.

    Returns:
        ``vtkMRMLSegmentationNode``.

    Raises:
        InvalidImageError: it is missing, or not a segmentation.
    """
    if not path.is_file():
        raise InvalidImageError(f"There is no segmentation {path}. Check the path.")
    _check_readable(path)
    return load_segmentation(scene, path)


def load_segmentation(scene: Any, path: Path) -> Any:
    """As `read_segmentation`, of a file that is known to be one: unchecked, a damaged one can end the process.

    Raises:
        InvalidImageError: Slicer cannot read it.
    """
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", path.name.removesuffix(SEGMENTATION_SUFFIX))
    node.CreateDefaultDisplayNodes()
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    node.SetAndObserveStorageNodeID(storage.GetID())
    if not storage.ReadData(node):
        scene.RemoveNode(storage)
        scene.RemoveNode(node)
        raise InvalidImageError(f"{path} cannot be read as a segmentation. Save it again from 3D Slicer.")
    return node


def grids_of(segmentation: Any) -> list[VolumeGeometry]:
    """The grids that a segmentation says to have: its reference geometry, if it has one, and that of its voxels.

    Raises:
        InvalidImageError: a grid cannot be one.
    """
    import slicer

    segments = segmentation.GetSegmentation()
    grids = []
    if segments.GetConversionParameter(_REFERENCE_GEOMETRY):
        grids.append(reference_grid(segmentation))
    voxels = segments.DetermineCommonLabelmapGeometry(slicer.vtkSegmentation.EXTENT_UNION_OF_SEGMENTS, None)
    if voxels:
        segments.SetConversionParameter(_REFERENCE_GEOMETRY, voxels)
        grid = reference_grid(segmentation)
        if math.prod(grid.shape_kji):
            grids.append(grid)
    return grids


def check_same_place(path: Path, grid: VolumeGeometry, volume: VolumeGeometry) -> None:
    """Refuse a segmentation that lies elsewhere than the image: Slicer would make one grid that holds both.

    Args:
        path: of the segmentation.
        grid: of the segmentation.
        volume: the image's grid.

    Raises:
        InvalidImageError: they have no place in common, or a grid that holds both is too large.
    """
    shape_ijk = np.array(grid.shape_kji[::-1])
    corners = np.array(np.meshgrid(*((-0.5, count - 0.5) for count in volume.shape_kji[::-1]))).reshape(3, -1)
    with np.errstate(all="ignore"):
        to_grid = grid.ras_to_ijk @ volume.ijk_to_ras
        on_grid = to_grid[:3, :3] @ corners + to_grid[:3, 3:]
        low, high = on_grid.min(axis=1), on_grid.max(axis=1)
        meet = (high > -0.5).all() and (low < shape_ijk - 0.5).all()
        both = np.prod(np.maximum(high, shape_ijk - 0.5) - np.minimum(low, -0.5))
    most = max(MOST_VOXELS, 4 * (math.prod(grid.shape_kji) + math.prod(volume.shape_kji)))
    if not (meet and both <= most):
        raise InvalidImageError(
            f"{path} lies elsewhere than the image: it is a segmentation of another one, or its header is damaged. "
            "Give the segmentation of this image, or leave out --segmentation."
        )


def _check_readable(path: Path) -> None:
    """Slicer's reader ends the whole process at a damaged file."""
    import SimpleITK as sitk

    check_image_header(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InvalidImageError(
            f"{path} cannot be read as a segmentation ({reason(error)}). Save it again from 3D Slicer."
        ) from error
    if any(key.startswith("Segment0_") for key in image.GetMetaDataKeys()):
        return
    # A plain labelmap, if it is one: of a volume Slicer would make a segment for each of its thousands of values.
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.size and (voxels.dtype.kind not in "iu" or voxels.min() < 0 or len(np.unique(voxels)) > MOST_LABELS):
        raise InvalidImageError(
            f"{path} is not a segmentation: its voxels are not whole numbers from 0 with at most {MOST_LABELS} "
            "different values. Give a segmentation, not the volume."
        )


def _write_seg_nrrd(segmentation: Any, path: Path) -> None:
    scene = segmentation.GetScene()
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    try:
        storage.SetFileName(str(path))
        storage.SetUseCompression(True)
        written = storage.WriteData(segmentation)
    finally:
        scene.RemoveNode(storage)
    # Slicer notices a disk that fills up in the middle of a file, but not when the file's end is flushed.
    if not written or not path.is_file() or _unpacked_size(path, _header_size(path)) == 0:
        raise InvalidOutputError(
            f"Slicer could not write the segmentation {path.name}: is there space left on the disk?"
        )


def _write_labelmap(segmentation: Any, path: Path, source: Path | None) -> None:
    import SimpleITK as sitk

    grid = reference_grid(segmentation)
    check_grid(path, grid)
    depth, height, width = grid.shape_kji
    segments = segmentation.GetSegmentation()
    count = segments.GetNumberOfSegments()
    labels = np.zeros(grid.shape_kji, dtype=np.uint8 if count < 256 else np.uint16)
    everywhere = MaskBlock(np.zeros(grid.shape_kji, dtype=bool), (0, width - 1, 0, height - 1, 0, depth - 1), grid)
    for n in range(count):
        labels[segment_mask(segmentation, segments.GetNthSegmentID(n), everywhere)] = n + 1
    image = sitk.GetImageFromArray(labels)
    ijk_to_lps = LPS_TO_RAS @ grid.ijk_to_ras
    image.SetSpacing(grid.spacing_ijk)
    image.SetDirection((ijk_to_lps[:3, :3] / np.array(grid.spacing_ijk)).ravel().tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:
        raise InvalidOutputError(f"{path.name} cannot be written: is there space left on the disk?") from error
    if source is not None and source.is_file() and _has_two_places(source, grid):
        copy_forms(source, path)
    # ITK's NIfTI writer says nothing when the disk is full.
    if _unpacked_size(path, 0) < labels.nbytes:
        raise InvalidOutputError(f"{path.name} cannot be written whole: is there space left on the disk?")


def _has_two_places(source: Path, grid: VolumeGeometry) -> bool:
    """Whether an image is NIfTI with two forms that differ, and a grid is the image's by one of them."""
    header = read_nifti_header(source)
    if header is None or not header.forms_differ or header.shape_kji != grid.shape_kji:
        return False
    forms = (header.qform, header.sform)
    return any(form is not None and same_place(grid.ijk_to_ras, form, header.shape_ijk) for form in forms)


def _header_size(path: Path) -> int:
    """Where a NRRD file's voxels begin: after the first empty line; the file's whole size if there is none."""
    content = path.read_bytes()
    end = content.find(b"\n\n")
    return len(content) if end < 0 else end + 2


def _unpacked_size(path: Path, start: int) -> int:
    """Number of bytes that a file's compressed part, from a position on, unpacks to; 0 if it is not whole."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            with gzip.open(file) as unpacked:
                return sum(len(chunk) for chunk in iter(lambda: unpacked.read(_CHUNK), b""))
    except (EOFError, OSError, zlib.error):
        return 0
