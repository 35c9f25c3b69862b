"""What each family of models does to a slice before its encoder, to prompts, and to logits afterwards: as published.

One class per published preprocessing. All coordinates are pixels XYXY or (column, row); model pixels are pixels of the
square that the encoder sees. Preprocessing belongs to the model: its weights were trained with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from MedSAMSegmentLib.models.resampling import FloatArray, Region, interpolate, taps, upscale_bilinear
from MedSAMSegmentLib.models.resizing import resize_area, resize_spline, resize_triangle

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.description import PreprocessingName


class ModelPreprocessing(Protocol):
    """From a slice to what the encoder takes, and from decoder logits back to the slice.

    Attributes:
        size: rows and columns of the square model input.
    """

    @property
    def size(self) -> int: ...

    def to_input(self, slice_u8: npt.NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
        """(H, W) or (H, W, 3) uint8 to the model input, (3, size, size) float32 on a device.

        Equal channels are one in memory: not to be changed.
        """
        ...

    def boxes_to_input(self, boxes_xyxy: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        """(N, 4) boxes in pixels of the slice to (N, 4) float32 in model pixels."""
        ...

    def points_to_input(self, points: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        """(…, 2) points (column, row) in pixels of the slice to (…, 2) float32 in model pixels."""
        ...

    def logits_on_slice(
        self, logits: FloatArray, shape_hw: tuple[int, int], region: Region | None = None
    ) -> FloatArray:
        """(…, h, w) decoder logits to (…, H, W), or to the region of it that is asked for."""
        ...


class LiteMedSamPreprocessing:
    """LiteMedSAM: longest side to 256 by area interpolation, min-max to [0, 1], zeros to the right and below.

    Source: LiteMedSAM branch of https://github.com/bowang-lab/MedSAM, ``CVPR24_LiteMedSAM_infer.py``.
    """

    def __init__(self, size: int = 256) -> None:
        self.size = size

    def to_input(self, slice_u8: npt.NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
        resized = resize_area(_on_device(slice_u8, device), self._resized_shape(slice_u8.shape[:2]))
        return _padded_channels(_min_max(resized), self.size).to(device)

    def boxes_to_input(self, boxes_xyxy: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        """As published, coordinates lose their fraction; the weights are used to whole model pixels."""
        boxes = np.asarray(boxes_xyxy, dtype=np.float64)
        return np.trunc(boxes * (self.size / max(shape_hw))).astype(np.float32)

    def points_to_input(self, points: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        return (np.asarray(points, dtype=np.float64) * (self.size / max(shape_hw))).astype(np.float32)

    def logits_on_slice(
        self, logits: FloatArray, shape_hw: tuple[int, int], region: Region | None = None
    ) -> FloatArray:
        """Crop to the part that is not padding, then bilinear: the logits have the size of the model input."""
        rows, columns = self._resized_shape(shape_hw)
        return upscale_bilinear(logits[..., :rows, :columns], shape_hw, region)

    def _resized_shape(self, shape_hw: tuple[int, ...]) -> tuple[int, int]:
        return _longest_side(shape_hw, self.size)


class MedSamPreprocessing:
    """MedSAM ViT-B: stretched to a square by cubic splines with anti-aliasing, whole values, min-max to [0, 1].

    No padding, and none of SAM's colour statistics. Source: https://github.com/bowang-lab/MedSAM,
    ``MedSAM_Inference.py``.
    """

    def __init__(self, size: int = 1024) -> None:
        self.size = size

    def to_input(self, slice_u8: npt.NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
        resized = resize_spline(_on_device(slice_u8, device), (self.size, self.size))
        # Splines overshoot: the published code clips to the range of the image, then truncates. The thousandth keeps a
        # value that is whole, but for rounding errors, from losing a unit.
        clipped = resized.clamp_(int(slice_u8.min()), int(slice_u8.max()))
        return _padded_channels(_min_max(clipped.add_(1e-3).floor_()), self.size).to(device)

    def boxes_to_input(self, boxes_xyxy: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 2, 2)
        return self.points_to_input(boxes, shape_hw).reshape(-1, 4)

    def points_to_input(self, points: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        rows, columns = shape_hw
        return (np.asarray(points, dtype=np.float64) * (self.size / columns, self.size / rows)).astype(np.float32)

    def logits_on_slice(
        self, logits: FloatArray, shape_hw: tuple[int, int], region: Region | None = None
    ) -> FloatArray:
        """Probabilities are interpolated, not logits: the published mask is where they exceed one half."""
        probabilities = upscale_bilinear(_probabilities(logits), shape_hw, region)
        # Beyond these float32 knows only 0 and 1, whose logits are infinite.
        np.clip(probabilities, 1e-7, 1 - 1e-7, out=probabilities)
        return np.log(probabilities / (1 - probabilities))


class SamPreprocessing:
    """SAM: longest side to 1024 as Pillow's ``BILINEAR``, colour statistics, zeros to the right and below.

    Source: https://github.com/facebookresearch/segment-anything, ``utils/transforms.py`` and ``modeling/sam.py``.
    """

    _MEAN = (123.675, 116.28, 103.53)
    _STANDARD_DEVIATION = (58.395, 57.12, 57.375)

    def __init__(self, size: int = 1024) -> None:
        self.size = size

    def to_input(self, slice_u8: npt.NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
        resized = resize_triangle(_on_device(slice_u8, device), _longest_side(slice_u8.shape[:2], self.size))
        channels = resized.expand(3, -1, -1) if resized.ndim == 2 else resized.permute(2, 0, 1)
        normalised = [
            (values - mean) / deviation
            for values, mean, deviation in zip(channels, self._MEAN, self._STANDARD_DEVIATION, strict=True)
        ]
        return _padded(torch.stack(normalised), self.size).to(device)

    def boxes_to_input(self, boxes_xyxy: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 2, 2)
        return self.points_to_input(boxes, shape_hw).reshape(-1, 4)

    def points_to_input(self, points: npt.ArrayLike, shape_hw: tuple[int, int]) -> FloatArray:
        rows, columns = _longest_side(shape_hw, self.size)
        factors = (columns / shape_hw[1], rows / shape_hw[0])
        return (np.asarray(points, dtype=np.float64) * factors).astype(np.float32)

    def logits_on_slice(
        self, logits: FloatArray, shape_hw: tuple[int, int], region: Region | None = None
    ) -> FloatArray:
        """Bilinear to the model input's size, crop to the part that is not padding, bilinear to the slice."""
        resized_shape = _longest_side(shape_hw, self.size)
        wanted = (slice(0, shape_hw[0]), slice(0, shape_hw[1])) if region is None else region
        # Of the large intermediate image only the part that the region draws upon.
        needed, within = [], []
        for n_in, n_out, part in zip(resized_shape, shape_hw, wanted, strict=True):
            first, last, share = taps(n_in, n_out, part)
            start, stop = int(first.min(initial=n_in)), int(last.max(initial=-1)) + 1
            needed.append(slice(start, max(start, stop)))
            within.append((first - start, last - start, share))
        intermediate = upscale_bilinear(logits, (self.size, self.size), (needed[0], needed[1]))
        return interpolate(intermediate, within[0], within[1])


def preprocessing_of_name(name: PreprocessingName, size: int) -> ModelPreprocessing:
    """The preprocessing that a model's description names, for a model input of ``size`` rows and columns."""
    if name == "lite-medsam":
        return LiteMedSamPreprocessing(size)
    return MedSamPreprocessing(size) if name == "medsam" else SamPreprocessing(size)


def _longest_side(shape_hw: tuple[int, ...], size: int) -> tuple[int, int]:
    """Rows and columns after resizing the longer side to ``size``, rounded as both published codes do."""
    scale = size / max(shape_hw)
    rows, columns = (int(length * scale + 0.5) for length in shape_hw)
    return max(rows, 1), max(columns, 1)


def _probabilities(logits: FloatArray) -> FloatArray:
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(logits, -30, 30)))


def _on_device(slice_u8: npt.NDArray[np.uint8], device: str) -> torch.Tensor:
    """A slice where it is prepared; Apple's GPUs, which know no float64, get it when it is ready."""
    if device.startswith("mps"):
        device = "cpu"
    # From pinned memory the copy runs beside whatever the GPU is doing, and nobody waits for it.
    on_gpu = device.startswith("cuda")
    return torch.tensor(np.ascontiguousarray(slice_u8), pin_memory=on_gpu).to(device, non_blocking=on_gpu)


def _min_max(values: torch.Tensor) -> torch.Tensor:
    """To [0, 1]; a constant image becomes zeros, as published."""
    values = values - values.min()
    return values.div_(values.max().clamp(min=1e-8))


def _padded_channels(values: torch.Tensor, size: int) -> torch.Tensor:
    """(h, w) or (h, w, 3) into the upper left corner of (3, size, size)."""
    channels = values[None] if values.ndim == 2 else values.permute(2, 0, 1)
    return _padded(channels, size).expand(3, -1, -1)


def _padded(channels: torch.Tensor, size: int) -> torch.Tensor:
    """(C, h, w) into the upper left corner of (C, size, size)."""
    rows, columns = channels.shape[1:]
    return functional.pad(channels, (0, size - columns, 0, size - rows))
