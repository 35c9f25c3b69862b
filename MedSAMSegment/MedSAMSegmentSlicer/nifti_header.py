"""What the header of a NIfTI file says: where the image lies, twice, and how its voxels are stored."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError

GZIP_MAGIC = b"\x1f\x8b"

_SIZES = {348: 1, 540: 2}
"""Bytes of the header, which are its first number, by version of the format."""

_FIELDS = {
    1: {
        "dim": ("i2", 40, 8),
        "datatype": ("i2", 70, 1),
        "bitpix": ("i2", 72, 1),
        "pixdim": ("f4", 76, 8),
        "vox_offset": ("f4", 108, 1),
        "scale": ("f4", 112, 2),
        "units": ("u1", 123, 1),
        "codes": ("i2", 252, 2),
        "quatern": ("f4", 256, 3),
        "qoffset": ("f4", 268, 3),
        "srow": ("f4", 280, 12),
    },
    2: {
        "datatype": ("i2", 12, 1),
        "bitpix": ("i2", 14, 1),
        "dim": ("i8", 16, 8),
        "pixdim": ("f8", 104, 8),
        "vox_offset": ("i8", 168, 1),
        "scale": ("f8", 176, 2),
        "codes": ("i4", 344, 2),
        "quatern": ("f8", 352, 3),
        "qoffset": ("f8", 376, 3),
        "srow": ("f8", 400, 12),
        "units": ("i4", 500, 1),
    },
}
"""Type, position and count of the fields that matter, from ``nifti1.h`` and ``nifti2.h`` (nifti.nimh.nih.gov)."""

_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Metre, millimetre, micrometre; a file that does not say means millimetres."""

_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_COLOURS = {128: 3, 2304: 4}
"""Number of bytes of a voxel's colours, by datatype: RGB and RGBA."""


@dataclass(frozen=True)
class NiftiHeader:
    """The fields that matter of a NIfTI-1 or NIfTI-2 header.

    Attributes:
        version: 1 or 2.
        shape_ijk: number of voxels along each of the file's dimensions, two of them at least; beyond the third, up to
            the last that has more than one.
        datatype: NIfTI's number of the voxels' type.
        bitpix: bits of a voxel, all its components together.
        byte_order: ``<`` or ``>``.
        vox_offset: where the voxels begin, in bytes of the unpacked file.
        slope: stored voxels are multiplied with it; 0 stands for 1 without an intercept.
        intercept: and this is added.
        qform: (4, 4) IJK → RAS mm from the quaternion; None without one.
        sform: (4, 4) IJK → RAS mm from the three rows; None without them.
        fallback: (4, 4) IJK → RAS mm where there is neither: spacing alone, with the first two axes towards L and P, as
            ITK and 3D Slicer have it.
    """

    version: int
    shape_ijk: tuple[int, ...]
    datatype: int
    bitpix: int
    byte_order: Literal["<", ">"]
    vox_offset: int
    slope: float
    intercept: float
    qform: npt.NDArray[np.float64] | None
    sform: npt.NDArray[np.float64] | None
    fallback: npt.NDArray[np.float64]

    @property
    def forms_differ(self) -> bool:
        """Whether the two forms put a corner of the image more than a tenth of a voxel apart."""
        if self.qform is None or self.sform is None:
            return False
        return not same_place(self.qform, self.sform, self.shape_ijk)

    @property
    def ijk_to_ras(self) -> npt.NDArray[np.float64]:
        """(4, 4): the sform if there is one, else the qform, else the fallback, as nibabel has it.

        A third axis of no length, in files of one slice, becomes 1 mm across the slice.
        """
        form = next((form for form in (self.sform, self.qform) if form is not None), self.fallback)
        if len(self.shape_ijk) == 2 and not form[:3, 2].any():
            form = form.copy()
            normal = np.cross(form[:3, 0], form[:3, 1])
            form[:3, 2] = normal / (float(np.linalg.norm(normal)) or 1.0)
        return form

    @property
    def shape_kji(self) -> tuple[int, ...]:
        """In numpy's order, three of them at least."""
        return (*(1,) * (3 - len(self.shape_ijk)), *self.shape_ijk[::-1])

    @property
    def size_bytes(self) -> int:
        """Of the whole file, unpacked."""
        voxels = 1
        for size in self.shape_ijk:  # Python's integers: a damaged file may claim more than fits 64 bits
            voxels *= size
        return self.vox_offset + voxels * self.bitpix // 8


def same_place(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], shape_ijk: tuple[int, ...], tolerance: float = 0.1
) -> bool:
    """Whether two IJK → RAS matrices put no corner of a grid further apart than a share of a voxel."""
    last = np.array([*(max(size - 1, 1) for size in shape_ijk[:3]), 1, 1, 1])[:3]
    corners = np.array([(i, j, k, 1.0) for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])])
    shift = np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max()
    return bool(shift <= tolerance * np.linalg.norm(other[:3, :3], axis=0).min())


def open_unpacked(path: Path) -> BinaryIO:
    """A file's content, unpacked if it is compressed with gzip, whatever its name says."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def read_nifti_header(path: Path) -> NiftiHeader | None:
    """The header of a NIfTI file, compressed or not; None if it is no single-file NIfTI.

    Raises:
        InvalidImageError: it is one, and its header makes no sense.
    """
    try:
        with open_unpacked(path) as file:
            raw = file.read(540)
    except (OSError, EOFError, zlib.error):
        return None
    orders: tuple[Literal["<"], Literal[">"]] = ("<", ">")
    for order in orders:
        size = int(np.frombuffer(raw[:4], f"{order}i4")[0]) if len(raw) >= 4 else 0
        version = _SIZES.get(size)
        magic = (raw[344:347] if version == 1 else raw[4:7]) if version else b""
        if version and len(raw) >= size and magic in (b"n+1", b"n+2"):
            return _parsed(raw, version, order, path)
    return None


def copy_forms(source: Path, target: Path) -> None:
    """Give a NIfTI file the place that another one has, its qform and its sform, so that every reader lays both alike.

    Args:
        source: NIfTI-1 or NIfTI-2.
        target: little-endian NIfTI-1, compressed; of the same shape. Changed.

    Raises:
        InvalidImageError: the source's header makes no sense.
    """
    header = read_nifti_header(source)
    if header is None:
        raise InvalidImageError(f"{source} is no NIfTI file any more. Do not change it meanwhile.")
    with open_unpacked(source) as file:
        raw = file.read(540)
    with open_unpacked(target) as file:
        content = bytearray(file.read())
    for name in ("pixdim", "units", "codes", "quatern", "qoffset", "srow"):
        dtype, start, count = _FIELDS[header.version][name]
        values = np.frombuffer(raw, np.dtype(dtype).newbyteorder(header.byte_order), count, start)
        dtype, start, count = _FIELDS[1][name]
        packed = values.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
        content[start : start + len(packed)] = packed
    with gzip.open(target, "wb") as file:
        file.write(content)


def read_nifti_voxels(header: NiftiHeader, path: Path) -> npt.NDArray:
    """The voxels of a file, (K, J, I), or (K, J, I, 3 or 4) of red, green, blue and opacity; a new array.

    Raises:
        InvalidImageError: there is more than one time point, the voxels are of another type, or the file ends before
            its last one.
    """
    colours = _COLOURS.get(header.datatype, 1)
    if header.datatype not in (*_DTYPES, *_COLOURS) or len(header.shape_ijk) > 3:
        raise InvalidImageError(
            f"{path} has the dimensions {header.shape_ijk} and voxels of NIfTI's type {header.datatype}. Give a 3D "
            "volume, a single time point, of grey values or red, green and blue."
        )
    dtype = np.dtype("u1" if colours > 1 else _DTYPES[header.datatype]).newbyteorder(header.byte_order)
    with open_unpacked(path) as file:
        file.read(header.vox_offset)
        raw = file.read(header.size_bytes - header.vox_offset)
    shape_kji = header.shape_kji
    stored = np.frombuffer(raw, dtype).reshape(shape_kji if colours == 1 else (*shape_kji, colours))
    if colours > 1 or (header.slope in (0.0, 1.0) and header.intercept == 0.0):
        return stored.astype(dtype.newbyteorder("="))
    return (stored * (header.slope or 1.0) + header.intercept).astype(np.float64 if dtype.itemsize > 4 else np.float32)


def _parsed(raw: bytes, version: int, order: Literal["<", ">"], path: Path) -> NiftiHeader:
    def field(name: str) -> npt.NDArray:
        dtype, start, count = _FIELDS[version][name]
        return np.frombuffer(raw, np.dtype(dtype).newbyteorder(order), count, start)

    dim = [int(size) for size in field("dim")]
    if not 1 <= dim[0] <= 7 or any(size < 1 for size in dim[1 : dim[0] + 1]):
        raise InvalidImageError(f"{path} is damaged: its dimensions are {dim[1:]}. Copy or export the volume again.")
    shape = dim[1 : dim[0] + 1]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) == 1:
        shape.append(1)
    mm = _MM_PER_UNIT.get(int(field("units")[0]) & 7, 1.0)
    pixdim, offset = field("pixdim").astype(float), float(field("vox_offset")[0])
    slope, intercept = (float(value) for value in field("scale"))
    numbers = [*pixdim[:4], *field("qoffset"), *field("quatern"), *field("srow"), offset]
    if not np.isfinite(numbers).all() or not 0 <= offset < 2**40:
        raise InvalidImageError(f"{path} is damaged: its header holds numbers that are none. Export the volume again.")
    qcode, scode = (int(code) for code in field("codes"))
    spacing = np.where(pixdim[1:4] == 0, 1.0, np.abs(pixdim[1:4]))
    to_mm = np.diag([mm, mm, mm, 1.0])
    qform = _from_quaternion(field("quatern").astype(float), pixdim[0], spacing, field("qoffset"))
    sform = np.vstack((field("srow").reshape(3, 4).astype(float), (0, 0, 0, 1)))
    fallback = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    return NiftiHeader(
        version=version,
        shape_ijk=tuple(shape),
        datatype=int(field("datatype")[0]),
        bitpix=int(field("bitpix")[0]),
        byte_order=order,
        vox_offset=int(offset),
        slope=slope if np.isfinite(slope) else 0.0,
        intercept=intercept if np.isfinite(intercept) else 0.0,
        qform=to_mm @ qform if qcode > 0 else None,
        sform=to_mm @ sform if scode > 0 else None,
        fallback=to_mm @ fallback,
    )


def _from_quaternion(
    bcd: npt.NDArray[np.float64], qfac: float, spacing: npt.NDArray[np.float64], offset: npt.NDArray
) -> npt.NDArray[np.float64]:
    """Method 2 of ``nifti1.h``: a unit quaternion's last three numbers, the third axis mirrored where qfac is -1."""
    squared = 1.0 - float(bcd @ bcd)
    if squared < 1e-7:  # a half turn, rounded: as nifti1_io.c has it
        bcd, squared = bcd / np.linalg.norm(bcd), 0.0
    a = float(np.sqrt(squared))
    b, c, d = bcd
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ]
    matrix[:3, :3] *= spacing * (1.0, 1.0, -1.0 if qfac < 0 else 1.0)
    matrix[:3, 3] = offset
    return matrix
