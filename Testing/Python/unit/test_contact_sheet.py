import numpy as np

from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.inference.slice_image import SliceImage
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentSlicer.command_line.contact_sheet import MAX_TILES, Outline, Tile, contact_sheet, pick_tiles

RED = (1.0, 0.0, 0.0)


def tile(rows=40, columns=40, spacing=(1.0, 1.0), mask=None, box=None) -> Tile:
    plane = SlicePlane(np.zeros(3), np.array([1, 0, 0]), np.array([0, 1, 0]), spacing, (rows, columns))
    mask = np.zeros((rows, columns), dtype=bool) if mask is None else mask
    return Tile(SliceImage(np.full((rows, columns), 90, np.uint8), plane), (Outline(mask, box, RED),), "A 0.0 mm")


def coloured(sheet, colour) -> np.ndarray:
    """Rows and columns of the pixels that have a colour, as (n, 2)."""
    return np.argwhere((np.asarray(sheet) == colour).all(axis=2))


def test_the_outline_surrounds_the_mask_and_leaves_its_inside_visible():
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, 5:15] = True
    sheet = contact_sheet([tile(mask=mask)])
    pixels = coloured(sheet, (255, 0, 0))
    # 320 picture pixels for 40 pixels: 8 each; the picture starts below a caption of 17 and right of a frame of 1.
    assert (pixels.min(axis=0) - (17, 1)).tolist() == [80, 40]
    assert (pixels.max(axis=0) - (17, 1)).tolist() == [239, 119]
    assert len(pixels) == 2 * (160 + 80) - 4


def test_the_box_is_drawn_at_the_outer_edges_of_its_pixels():
    sheet = contact_sheet([tile(box=BoxPrompt(4.5, 9.5, 14.5, 29.5))])
    pixels = coloured(sheet, (255, 214, 0))
    assert (pixels.min(axis=0) - (17, 1)).tolist() == [80, 40]
    assert (pixels.max(axis=0) - (17, 1)).tolist() == [240, 120]


def test_anisotropic_pixels_keep_the_patients_proportions():
    sheet = contact_sheet([tile(rows=10, columns=40, spacing=(1.0, 3.0))])
    assert (sheet.width - 2, sheet.height - 18) == (320, 240)


def test_an_rgb_slice_keeps_its_colours():
    plane = tile().image.plane
    pixels = np.full((40, 40, 3), (10, 200, 30), dtype=np.uint8)
    sheet = contact_sheet([Tile(SliceImage(pixels, plane), (), "")])
    assert len(coloured(sheet, (10, 200, 30))) == 320 * 320


def test_a_long_stack_is_thinned_evenly_and_keeps_its_ends():
    tiles = [tile(rows=2, columns=2) for _ in range(3 * MAX_TILES)]
    picked = pick_tiles(tiles)
    assert len(picked) == MAX_TILES
    assert picked[0] is tiles[0]
    assert picked[-1] is tiles[-1]
