"""What the model sees of a slice: 8-bit pixels together with their place in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.intensity.window import Window, apply_window


@dataclass(frozen=True)
class SliceImage:
    """One slice after windowing.

    Attributes:
        pixels_u8: (H, W) or (H, W, 3) uint8.
        plane: where the pixels lie.
    """

    pixels_u8: npt.NDArray[np.uint8]
    plane: SlicePlane

    @cached_property
    def digest(self) -> str:
        """Hash of the pixels. Two slices with the same digest look the same to a model.

        It covers voxel edits, plane, transform and intensity mapping at once, because all of them act on the pixels:
        there is no key to forget. At 512×512 it costs less than a millisecond.
        """
        pixels = np.ascontiguousarray(self.pixels_u8)
        shape = repr(pixels.shape).encode()[: hashlib.blake2b.PERSON_SIZE]
        return hashlib.blake2b(pixels.data, digest_size=16, person=shape).hexdigest()


def see(volume: Volume, plane: SlicePlane, window: Window | None) -> SliceImage:
    """Sample a volume on a plane and map it to 8 bits; the volume is not changed.

    The pixels are a copy: what is encoded is what the digest was made of, even if somebody edits the voxels meanwhile.

    Args:
        volume: what to look at.
        plane: where to look.
        window: intensity mapping; None for RGB volumes, which are passed through.

    Returns:
        Pixels of shape ``plane.shape_hw`` (× 3 for RGB).
    """
    slice_hw = sample(volume, plane)
    return SliceImage(slice_hw.copy() if window is None else apply_window(slice_hw, window), plane)
