"""What is wrong with the header of an NRRD or MetaImage file, before a reader sees it that would hang or crash."""

from __future__ import annotations

import math
import re
from pathlib import Path

from MedSAMSegmentLib.errors import InvalidImageError

_MOST_HEADER_BYTES = 2**22
_LONGEST_FIELD = 1000
"""Characters of a field that the format defines; what programs add to a file (``key:=value``) may be longer."""
_MOST_DIMENSIONS = 10
_MOST_VOXELS = 2**36
_FARTHEST = 1e7
"""In mm: ten kilometres; and in voxels."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE)
_NRRD_PLACES = ("space origin", "space directions", "spacings", "axis mins", "axis maxs", "measurement frame")
_META_PLACES = (
    "Offset",
    "Position",
    "Origin",
    "TransformMatrix",
    "Rotation",
    "Orientation",
    "ElementSpacing",
    "ElementSize",
    "CenterOfRotation",
)


def check_image_header(path: Path) -> None:
    """Refuse an NRRD or MetaImage file whose header holds what cannot be; other formats are passed over.

    Raises:
        InvalidImageError: a field is longer, or a number larger, than any image's; or the voxels are packed in a way
            that is not read here.
    """
    with path.open("rb") as file:
        raw = file.read(_MOST_HEADER_BYTES)
    if raw.startswith(b"NRRD"):
        _check_nrrd(raw, path)
    elif path.name.lower().endswith((".mha", ".mhd")):
        _check_meta(raw, path)


def _check_nrrd(raw: bytes, path: Path) -> None:
    end = min((at for at in (raw.find(b"\n\n"), raw.find(b"\n\r\n")) if at >= 0), default=len(raw))
    if end == _MOST_HEADER_BYTES:
        _refuse(path, "header", "longer than any")
    fields = {}
    for line in raw[:end].decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if line.startswith("#") or not colon:
            continue
        if value.startswith("="):
            if "Extent" in name:  # of a segmentation or its segments, in voxels
                _check_numbers(name, value, path)
            continue
        if len(line) > _LONGEST_FIELD and name != "content":
            _refuse(path, name[:40], f"{len(line)} characters long")
        if name.strip().lower() in fields:
            _refuse(path, name.strip(), "there twice")
        fields[name.strip().lower()] = value.strip()
    _check_shape(fields.get("dimension"), fields.get("sizes"), path)
    for name in _NRRD_PLACES:
        _check_numbers(name, fields.get(name, ""), path)
    encoding = fields.get("encoding", "raw").lower()
    if encoding in ("bzip2", "bz2"):
        raise InvalidImageError(f"{path} is packed with bzip2, which is not read. Save it with gzip, or not packed.")


def _check_meta(raw: bytes, path: Path) -> None:
    fields = {}
    for line in raw.split(b"\n"):
        name, equals, value = line.decode("latin-1").partition("=")
        if not equals or len(name) > 100:
            break
        if len(line) > _LONGEST_FIELD:
            _refuse(path, name.strip(), f"{len(line)} characters long")
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    _check_shape(fields.get("NDims"), fields.get("DimSize"), path)
    for name in _META_PLACES:
        _check_numbers(name, fields.get(name, ""), path)


def _check_shape(dimensions: str | None, sizes: str | None, path: Path) -> None:
    try:
        count = int(dimensions or 0)
        shape = [int(size) for size in (sizes or "").split()]
    except ValueError:
        _refuse(path, "sizes", f"{dimensions} and {sizes}")
        return
    voxels = math.prod(shape)
    if not 1 <= count <= _MOST_DIMENSIONS or count != len(shape) or min(shape) < 1 or voxels > _MOST_VOXELS:
        _refuse(path, "sizes", f"{shape} in {dimensions} dimensions")


def _check_numbers(name: str, text: str, path: Path) -> None:
    for word in _NUMBER.findall(text):
        number = float(word)
        # Spacings of axes that have none are nan.
        if abs(number) > _FARTHEST or (0 < abs(number) < 1e-300):
            _refuse(path, name, word)


def _refuse(path: Path, field: str, value: str) -> None:
    text = value if len(value) < 80 else value[:80] + "…"
    raise InvalidImageError(f"{path} is damaged: its {field} is {text}. Copy or export the volume again.")
