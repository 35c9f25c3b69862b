"""A small picture of what the model saw: the slice after windowing, the box, and the mask's outline."""

from __future__ import annotations

import numpy as np

from MedSAMSegmentSlicer.prompt_work import SliceAnswer

SIDE = 192
"""Pixels of the picture's longer side."""

_BOX = (255, 206, 64)
_MASK = (63, 191, 166)


def thumbnail_ppm(answer: SliceAnswer) -> bytes:
    """The picture as a binary PPM file, which Qt reads without any library; empty if the image was not kept."""
    if answer.image is None:
        return b""
    pixels = answer.image.pixels_u8
    rows, columns = pixels.shape[:2]
    column_mm, row_mm = answer.plane.spacing_mm
    scale = SIDE / max(columns * column_mm, rows * row_mm)
    width, height = max(1, round(columns * column_mm * scale)), max(1, round(rows * row_mm * scale))
    # Nearest pixels: what is shown is what there is.
    row = np.minimum((np.arange(height) + 0.5) * rows / height, rows - 1).astype(int)[:, None]
    column = np.minimum((np.arange(width) + 0.5) * columns / width, columns - 1).astype(int)[None, :]
    small = pixels[row, column]
    picture = np.repeat(small[..., None], 3, axis=2) if small.ndim == 2 else small.copy()
    if answer.mask is not None:
        inside = np.pad(answer.mask.mask_hw[row, column], 1)
        core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        picture[inside[1:-1, 1:-1] & ~core] = _MASK
    box = answer.box
    left, right = (int(np.clip((x + 0.5) * width / columns, 0, width - 1)) for x in (box.x_min, box.x_max))
    top, bottom = (int(np.clip((y + 0.5) * height / rows, 0, height - 1)) for y in (box.y_min, box.y_max))
    picture[[top, bottom], left : right + 1] = _BOX
    picture[top : bottom + 1, [left, right]] = _BOX
    return f"P6 {width} {height} 255\n".encode() + np.ascontiguousarray(picture, dtype=np.uint8).tobytes()
