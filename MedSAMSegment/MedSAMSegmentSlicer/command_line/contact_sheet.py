"""The preview picture: every segmented slice with its box and outline, as a person would check it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.inference.slice_image import SliceImage
from MedSAMSegmentLib.prompts import BoxPrompt

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TILES = 80
"""More would make the picture too large to look at; see `pick_tiles`."""
_TILE_PIXELS = 320
_CAPTION_PIXELS = 18
_BOX_COLOUR = (255, 214, 0)
_BACKGROUND = (20, 20, 20)


@dataclass(frozen=True)
class Outline:
    """One structure on a slice.

    Attributes:
        mask_hw: (rows, columns) bool, the pixels of the slice that the segment took.
        box: the prompt on this slice, if it had one.
        colour: red, green and blue, 0 to 1.
    """

    mask_hw: npt.NDArray[np.bool_]
    box: BoxPrompt | None
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Tile:
    """One slice of the sheet."""

    image: SliceImage
    outlines: tuple[Outline, ...]
    caption: str


def pick_tiles(tiles: Sequence[Tile]) -> list[Tile]:
    """All tiles, or `MAX_TILES` evenly spread ones, first and last included."""
    if len(tiles) <= MAX_TILES:
        return list(tiles)
    return [tiles[index] for index in np.linspace(0, len(tiles) - 1, MAX_TILES).round().astype(int)]


def contact_sheet(tiles: Sequence[Tile]) -> Image:
    """Draw tiles side by side, each with the slice's true proportions.

    Args:
        tiles: at least one.

    Returns:
        An RGB picture.
    """
    import PIL.Image

    pictures = [_draw(tile) for tile in tiles]
    columns = min(len(pictures), max(1, math.ceil(math.sqrt(len(pictures) * 1.6))))
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    sheet = PIL.Image.new("RGB", (columns * width, math.ceil(len(pictures) / columns) * height), _BACKGROUND)
    for n, picture in enumerate(pictures):
        sheet.paste(picture, (n % columns * width, n // columns * height))
    return sheet


def save_contact_sheet(tiles: Sequence[Tile], path: Path) -> None:
    """Write the sheet of tiles as PNG."""
    contact_sheet(tiles).save(path, format="PNG", optimize=True)


def _draw(tile: Tile) -> Image:
    import PIL.Image
    import PIL.ImageDraw

    rows, columns = tile.image.plane.shape_hw
    column_step, row_step = tile.image.plane.spacing_mm
    # Pixels become square: the picture has the patient's proportions, not the array's.
    scale = _TILE_PIXELS / max(columns * column_step, rows * row_step)
    size = (max(1, round(columns * column_step * scale)), max(1, round(rows * row_step * scale)))
    picture = PIL.Image.fromarray(tile.image.pixels_u8).convert("RGB").resize(size, PIL.Image.Resampling.BILINEAR)
    canvas = np.array(picture)
    for outline in tile.outlines:
        mask = PIL.Image.fromarray(outline.mask_hw).resize(size, PIL.Image.Resampling.NEAREST)
        canvas[_edge(np.asarray(mask))] = np.round(np.array(outline.colour) * 255)

    framed = PIL.Image.new("RGB", (size[0] + 2, size[1] + _CAPTION_PIXELS), _BACKGROUND)
    framed.paste(PIL.Image.fromarray(canvas), (1, _CAPTION_PIXELS - 1))
    draw = PIL.ImageDraw.Draw(framed)
    draw.text((3, 3), tile.caption, fill=(230, 230, 230))
    for outline in tile.outlines:
        if outline.box is not None:
            # Whole coordinates are pixel centres: the picture's left edge is at -0.5.
            x = [1 + (value + 0.5) * size[0] / columns for value in (outline.box.x_min, outline.box.x_max)]
            y = [
                _CAPTION_PIXELS - 1 + (value + 0.5) * size[1] / rows for value in (outline.box.y_min, outline.box.y_max)
            ]
            draw.rectangle((x[0], y[0], x[1], y[1]), outline=_BOX_COLOUR)
    return framed


def _edge(mask_hw: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a mask that touch a pixel outside of it, or the picture's edge."""
    padded = np.pad(mask_hw, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask_hw & ~inner
