"""NIfTI files byte by byte, with what no library writes: forms that differ, missing dimensions, odd units."""

import gzip
import struct
from pathlib import Path

import numpy as np

TYPES = {"u1": (2, 8), "i2": (4, 16), "i4": (8, 32), "f4": (16, 32), "f8": (64, 64), "u2": (512, 16)}


def write_nifti(
    path: Path,
    voxels_kji: np.ndarray,
    *,
    dim: tuple[int, ...] | None = None,
    pixdim: tuple[float, ...] = (2, 3, 4),
    qfac: float = 1,
    quaternion: tuple[float, float, float] = (0, 0, 0),
    offset: tuple[float, float, float] = (0, 0, 0),
    rows: np.ndarray | None = None,
    codes: tuple[int, int] = (0, 0),
    scale: tuple[float, float] = (1, 0),
    units: int = 2,
    version: int = 1,
    compress: bool | None = None,
) -> Path:
    """Write a file; uint8 with a last axis of 3 or 4 beside ``dim`` is RGB or RGBA.

    Args:
        path: compressed if it ends with .gz, unless ``compress`` says otherwise.
        voxels_kji: last axis of the image first in memory, as NIfTI has it.
        dim: of the header; of the voxels if not given.
        pixdim: spacing along I, J, K.
        qfac: its first number: 1 or -1.
        quaternion: b, c, d.
        offset: of the qform.
        rows: (3, 4) of the sform.
        codes: of the qform and of the sform; 0 stands for absence.
        scale: slope and intercept.
        units: 1 m, 2 mm, 3 µm.
        version: of the format.
        compress: with gzip.
    """
    colours = voxels_kji.shape[-1] if dim is not None and voxels_kji.size != int(np.prod(dim)) else 1
    datatype, bitpix = {3: (128, 24), 4: (2304, 32)}.get(colours) or TYPES[voxels_kji.dtype.str[1:]]
    dim = voxels_kji.shape[::-1] if dim is None else dim
    dims = (len(dim), *dim, *(1,) * (7 - len(dim)))
    pixdims = (qfac, *pixdim, *(1.0,) * (7 - len(pixdim)))
    flat = np.zeros(12) if rows is None else np.asarray(rows, dtype=float).ravel()
    if version == 1:
        header = bytearray(352)
        for form, place, values in (
            ("i", 0, (348,)),
            ("8h", 40, dims),
            ("2h", 70, (datatype, bitpix)),
            ("8f", 76, pixdims),
            ("f", 108, (352,)),
            ("2f", 112, scale),
            ("B", 123, (units,)),
            ("2h", 252, codes),
            ("3f", 256, quaternion),
            ("3f", 268, offset),
            ("12f", 280, flat),
            ("4s", 344, (b"n+1\0",)),
        ):
            struct.pack_into("<" + form, header, place, *values)
    else:
        header = bytearray(544)
        for form, place, values in (
            ("i8s", 0, (540, b"n+2\0\r\n\x1a\n")),
            ("2h", 12, (datatype, bitpix)),
            ("8q", 16, dims),
            ("8d", 104, pixdims),
            ("q", 168, (544,)),
            ("2d", 176, scale),
            ("2i", 344, codes),
            ("3d", 352, quaternion),
            ("3d", 376, offset),
            ("12d", 400, flat),
            ("i", 500, (units,)),
        ):
            struct.pack_into("<" + form, header, place, *values)
    content = bytes(header) + np.ascontiguousarray(voxels_kji).tobytes()
    packed = path.name.endswith(".gz") if compress is None else compress
    path.write_bytes(gzip.compress(content) if packed else content)
    return path
