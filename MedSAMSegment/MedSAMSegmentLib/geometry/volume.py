"""A volume's voxels together with their place in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError


@dataclass(frozen=True)
class VolumeGeometry:
    """A voxel grid in the world: shape and IJK → RAS.

    Attributes:
        shape_kji: number of voxels along K, J and I (numpy's axis order).
        ijk_to_ras: (4, 4) float64, voxel centre index (i, j, k, 1) to world millimetres, parent transform included.
            Its columns may have any direction and length; they need not be orthogonal.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.asarray(self.ijk_to_ras, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise InvalidImageError(
                "Where the image's voxels lie cannot be computed: its spacing is zero or not a number, or its axes lie "
                "in one direction. Check its spacing and directions (module Volumes)."
            )
        object.__setattr__(self, "ijk_to_ras", matrix)

    @cached_property
    def ras_to_ijk(self) -> npt.NDArray[np.float64]:
        """(4, 4): world millimetres to voxel index (i, j, k, 1)."""
        return np.linalg.inv(self.ijk_to_ras).astype(np.float64)

    @cached_property
    def spacing_ijk(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along I, J and K, in mm."""
        i, j, k = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @cached_property
    def is_sheared(self) -> bool:
        """Whether no grid with axes at right angles comes within a quarter of a voxel of this one's far corners."""
        axes = self.ijk_to_ras[:3, :3] / self.spacing_ijk
        u, _, v = np.linalg.svd(axes)
        shifts_mm = np.linalg.norm(axes - u @ v, axis=0) * self.spacing_ijk * self.shape_kji[::-1]
        return bool(shifts_mm.sum() > 0.25 * min(self.spacing_ijk))

    @cached_property
    def corners_ras(self) -> npt.NDArray[np.float64]:
        """The eight outer corners of the corner voxels: (8, 3) in RAS mm."""
        depth, height, width = self.shape_kji
        corners_ijk = np.array(
            [(i, j, k, 1.0) for k in (-0.5, depth - 0.5) for j in (-0.5, height - 0.5) for i in (-0.5, width - 0.5)]
        )
        return (corners_ijk @ self.ijk_to_ras.T)[:, :3]

    def is_same_as(self, other: VolumeGeometry) -> bool:
        """Whether two grids have the same voxels: all centres within a thousandth of a voxel of each other."""
        if self is other:
            return True
        if self.shape_kji != other.shape_kji:
            return False
        shift_ijk = np.abs(self.ras_to_ijk @ other.ijk_to_ras - np.eye(4))[:3]
        return bool((shift_ijk @ (*self.shape_kji[::-1], 1.0) < 1e-3).all())

    def crop(self, extent_ijk: tuple[int, int, int, int, int, int]) -> VolumeGeometry:
        """The part of the grid within VTK's inclusive extent (i_min, i_max, j_min, j_max, k_min, k_max)."""
        i_min, i_max, j_min, j_max, k_min, k_max = extent_ijk
        ijk_to_ras = self.ijk_to_ras.copy()
        ijk_to_ras[:3, 3] = (self.ijk_to_ras @ (i_min, j_min, k_min, 1.0))[:3]
        return VolumeGeometry((k_max - k_min + 1, j_max - j_min + 1, i_max - i_min + 1), ijk_to_ras)


_LEAST_PADDED, _GAP, _MOST_PADDINGS = 0.001, 0.25, 3
"""Share of the voxels that padding has at least; its distance from the rest, as a share of the rest's own range; and
how many values of it there may be: one around the scanner's circle, and another around that."""
_LIMIT = 0.75


def padding_of(voxels: npt.NDArray) -> float | None:
    """The value up to which voxels are what a scanner, or a program, filled up, and not what it measured.

    Padding is one value, below zero and below all others, that many voxels share, far below the rest: -2000 or -3024
    around the circle of a CT, whose air is at -1000; the lowest number of a type. Zero is none: it may be what was
    measured. Resampling blends padding with what lies beside it: the limit is three quarters of the way to the rest.

    Args:
        voxels: of a whole image, any shape and real dtype.

    Returns:
        None where there is none.
    """
    rest = voxels.ravel()
    if rest.dtype.kind == "f":
        rest = rest[np.isfinite(rest)]
    least = _LEAST_PADDED * rest.size
    found = None
    for _ in range(_MOST_PADDINGS):
        lowest = rest.min() if rest.size else 0
        if lowest >= 0:
            break
        above = rest[rest > lowest]
        if above.size == 0 or rest.size - above.size < least:
            break
        low, blended, high = (float(value) for value in np.percentile(above, (1.0, 10.0, 99.0)))
        if low - float(lowest) <= _GAP * (high - low):
            break
        found, rest = float(lowest) + _LIMIT * (blended - float(lowest)), above
    return found


_ENOUGH_VOXELS = 8_000_000
"""More than this say nothing new about a percentile."""


@dataclass(frozen=True)
class Volume:
    """Voxels and their geometry. The voxels are never modified.

    Attributes:
        voxels_kji: (K, J, I) of any real dtype, or (K, J, I, 3) uint8 for RGB.
        geometry: the grid that they lie on.
    """

    voxels_kji: npt.NDArray
    geometry: VolumeGeometry

    def __post_init__(self) -> None:
        shape = self.voxels_kji.shape
        if shape[:3] != self.geometry.shape_kji or (len(shape) == 4 and shape[3] != 3) or len(shape) not in (3, 4):
            raise InvalidImageError(
                f"Voxels of shape {shape} do not fit a grid of {self.geometry.shape_kji}: one value, or red, green and "
                "blue, per voxel is needed."
            )

    @property
    def is_rgb(self) -> bool:
        return self.voxels_kji.ndim == 4

    def crop(self, extent_ijk: tuple[int, int, int, int, int, int]) -> Volume:
        """The part within VTK's inclusive extent (i_min, i_max, j_min, j_max, k_min, k_max); a view, not a copy."""
        i_min, i_max, j_min, j_max, k_min, k_max = extent_ijk
        part = self.voxels_kji[k_min : k_max + 1, j_min : j_max + 1, i_min : i_max + 1]
        return Volume(part, self.geometry.crop(extent_ijk))

    @cached_property
    def air_value(self) -> float:
        """What surrounds the volume: its lowest finite voxel, but not below air, -1000 HU; 0 for RGB.

        Scanners pad CT with values such as -2000 or -3024, which would only stretch an intensity range.
        """
        if self.is_rgb:
            return 0.0
        lowest = float(np.fmin.reduce(self.voxels_kji, axis=None))
        if not np.isfinite(lowest):
            finite = self.voxels_kji[np.isfinite(self.voxels_kji)]
            lowest = float(finite.min()) if finite.size else 0.0
        return max(lowest, -1000.0)

    @property
    def is_eight_bit(self) -> bool:
        """Whether these are stored as bytes: a picture, or what somebody has windowed already.

        Wider types are measurements, such as Hounsfield units, even where all of them happen to lie in 0 … 255.
        """
        return bool(self.voxels_kji.dtype == np.uint8)

    @cached_property
    def padding_value(self) -> float | None:
        """The value up to which voxels are no anatomy; see `padding_of`. None without padding, and for RGB."""
        return None if self.is_rgb else padding_of(self.thinned().voxels_kji)

    def thinned(self) -> Volume:
        """A small volume as it is; a regular part, the same from whichever end one counts, of a large one."""
        voxels = self.voxels_kji
        step = 1
        while voxels.size / step**3 > _ENOUGH_VOXELS:
            step += 2
        steps = [step if size >= 4 * step else 1 for size in voxels.shape[:3]]
        # As many voxels before the first one that is taken as behind the last: an odd step has such a first one.
        firsts = [(size - 1) * (along + 1) // 2 % along for size, along in zip(voxels.shape, steps, strict=False)]
        part = voxels[tuple(slice(first, None, along) for first, along in zip(firsts, steps, strict=True))]
        part_to_ijk = np.diag([*steps[::-1], 1.0])
        part_to_ijk[:3, 3] = firsts[::-1]
        shape_kji = (part.shape[0], part.shape[1], part.shape[2])
        return Volume(part, VolumeGeometry(shape_kji, self.geometry.ijk_to_ras @ part_to_ijk))


@dataclass(frozen=True)
class MaskBlock:
    """A boolean mask on a part of a voxel grid: what a segment takes.

    Attributes:
        mask_kji: (k, j, i) bool, only as large as needed.
        extent_ijk: where it lies in ``grid``: VTK's inclusive extent (i_min, i_max, j_min, j_max, k_min, k_max).
        grid: the whole grid.
    """

    mask_kji: npt.NDArray[np.bool_]
    extent_ijk: tuple[int, int, int, int, int, int]
    grid: VolumeGeometry

    @classmethod
    def union(cls, blocks: Sequence[MaskBlock]) -> MaskBlock:
        """The voxels of any of several blocks, at least one, on the same grid.

        Raises:
            ValueError: there is no block, or their grids differ.
        """
        grid = blocks[0].grid if blocks else None
        if grid is None or not all(block.grid.is_same_as(grid) for block in blocks):
            raise ValueError(f"The union of {len(blocks)} blocks needs one or more of them, all on the same grid.")
        first = [min(block.extent_ijk[2 * axis] for block in blocks) for axis in range(3)]
        last = [max(block.extent_ijk[2 * axis + 1] for block in blocks) for axis in range(3)]
        i, j, k = zip(first, last, strict=True)
        mask_kji = np.zeros([high - low + 1 for low, high in (k, j, i)], dtype=bool)
        for block in blocks:
            i_min, i_max, j_min, j_max, k_min, k_max = block.extent_ijk
            mask_kji[
                k_min - k[0] : k_max - k[0] + 1, j_min - j[0] : j_max - j[0] + 1, i_min - i[0] : i_max - i[0] + 1
            ] |= block.mask_kji
        return cls(mask_kji, (*i, *j, *k), grid)

    def trimmed(self) -> MaskBlock | None:
        """The same voxels in the smallest block that holds them; None if there is none."""
        i_min, _, j_min, _, k_min, _ = self.extent_ijk
        spans = []
        for axis, first in ((2, i_min), (1, j_min), (0, k_min)):
            others = tuple(other for other in range(3) if other != axis)
            used = np.flatnonzero(self.mask_kji.any(axis=others))
            if used.size == 0:
                return None
            spans.append((int(used[0]) + first, int(used[-1]) + first))
        i, j, k = spans
        mask_kji = self.mask_kji[
            k[0] - k_min : k[1] - k_min + 1, j[0] - j_min : j[1] - j_min + 1, i[0] - i_min : i[1] - i_min + 1
        ]
        return MaskBlock(mask_kji, (*i, *j, *k), self.grid)

    @property
    def geometry(self) -> VolumeGeometry:
        """The block's own grid."""
        return self.grid.crop(self.extent_ijk)

    @property
    def voxel_count(self) -> int:
        return int(np.count_nonzero(self.mask_kji))

    @property
    def volume_mm3(self) -> float:
        return self.voxel_count * abs(float(np.linalg.det(self.grid.ijk_to_ras[:3, :3])))

    def whole(self) -> npt.NDArray[np.bool_]:
        """The mask on the whole grid, (K, J, I) bool."""
        mask_kji = np.zeros(self.grid.shape_kji, dtype=bool)
        i_min, i_max, j_min, j_max, k_min, k_max = self.extent_ijk
        mask_kji[k_min : k_max + 1, j_min : j_max + 1, i_min : i_max + 1] = self.mask_kji
        return mask_kji
