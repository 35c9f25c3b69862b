"""What is said about the pixel size of a DICOM image without a place in the patient: radiographs, ultrasound.

The size itself is the one that GDCM takes, and 3D Slicer with it: an ROI drawn there lies in the same place here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SIZES = {
    "Imager Pixel Spacing": "ImagerPixelSpacing",
    "Pixel Spacing": "PixelSpacing",
    "Nominal Scanned Pixel Spacing": "NominalScannedPixelSpacing",
}
_CENTIMETRES = 3
_TOLERANCE = 1e-4


def scale_note(tags: Dataset, taken_mm: tuple[float, float]) -> str | None:
    """One line where the file has another pixel size than the one that is used; None where there is no doubt.

    Args:
        tags: of the file.
        taken_mm: distance of rows and of columns, as the image was read.
    """
    sizes = {name: (float(value[0]), float(value[1])) for name, tag in _SIZES.items() if (value := tags.get(tag))}
    region = _region_mm(tags)
    if region is not None:
        sizes["the ultrasound region's scale"] = region
    used = [name for name, size in sizes.items() if _same(size, taken_mm)]
    others = [f"{name} ({_mm(size)})" for name, size in sizes.items() if not _same(size, taken_mm)]
    if not others:
        return None
    if used:
        return f"Pixel size {_mm(taken_mm)}: {used[0]}, as in 3D Slicer. Not used: {', '.join(others)}."
    return (
        f"Pixel size {_mm(taken_mm)}, as in 3D Slicer, which does not use {' or '.join(others)} of this kind of image: "
        "ROIs fit, but volumes and diameters are not those of the patient."
    )


def _region_mm(tags: Dataset) -> tuple[float, float] | None:
    """The first region with a scale in cm (PS3.3 C.8.5.5): distance of rows and of columns in mm."""
    for region in tags.get("SequenceOfUltrasoundRegions") or ():
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        if units == (_CENTIMETRES, _CENTIMETRES) and region.get("PhysicalDeltaX") and region.get("PhysicalDeltaY"):
            return 10 * abs(float(region.PhysicalDeltaY)), 10 * abs(float(region.PhysicalDeltaX))
    return None


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= _TOLERANCE * max(a, b) for a, b in zip(one, other, strict=True))


def _mm(size: tuple[float, float]) -> str:
    """Width × height, as a radiologist writes it."""
    return f"{size[1]:.4g} × {size[0]:.4g} mm"
