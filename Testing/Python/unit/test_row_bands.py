"""Band by band, an image comes out as it does at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from MedSAMSegmentLib.models import row_bands as module
from MedSAMSegmentLib.models.row_bands import InRowBands, in_row_bands, row_bands

WIDTH, COLUMNS = 4, 6
ROW_BYTES = COLUMNS * WIDTH * 4


@pytest.mark.parametrize("band_rows", [1, 2, 3, 5, 11, 12, 100])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolution_in_bands_is_that_of_the_whole_image(
    band_rows: int, stride: int, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BAND_BYTES", band_rows * ROW_BYTES)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(1, 12, COLUMNS, WIDTH, generator=generator)
    weight = torch.randn(3, WIDTH, kernel, kernel, generator=generator)
    heights = []

    def convolve(part: torch.Tensor) -> torch.Tensor:
        heights.append(part.shape[1])
        image = functional.conv2d(part.permute(0, 3, 1, 2), weight, stride=stride, padding=kernel // 2)
        return image.permute(0, 2, 3, 1)

    in_bands = in_row_bands(convolve, tokens, WIDTH, reach=kernel // 2, stride=stride)
    if band_rows >= 12:
        assert heights == [12]
    else:
        # No band is larger than asked for, but for what it depends on.
        assert len(heights) > 1
        assert max(heights) <= max(band_rows, stride) + 2 * (kernel // 2 + stride - 1)
    torch.testing.assert_close(in_bands, convolve(tokens))


def test_an_mlp_in_bands_gives_what_it_gives_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    mlp = torch.nn.Sequential(torch.nn.Linear(WIDTH, 8), torch.nn.GELU(), torch.nn.Linear(8, WIDTH))
    tokens = torch.randn(2, 12, COLUMNS, WIDTH)
    monkeypatch.setattr(module, "_BAND_BYTES", 5 * 2 * COLUMNS * 8 * 4)
    with torch.no_grad():
        torch.testing.assert_close(InRowBands(mlp, 8)(tokens), mlp(tokens))


@pytest.mark.parametrize("band_rows", [1, 5, 100])
def test_changing_band_after_band_changes_all_of_an_image(band_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = torch.arange(2.0 * 12 * COLUMNS * WIDTH).view(2, 12, COLUMNS, WIDTH)
    expected = tokens + 1
    monkeypatch.setattr(module, "_BAND_BYTES", 2 * band_rows * ROW_BYTES)
    bands = row_bands(tokens, WIDTH)
    assert max(band.shape[1] for band in bands) == min(band_rows, 12)
    for band in bands:
        band.add_(1)
    assert torch.equal(tokens, expected)


def test_a_gpu_computes_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BAND_BYTES", ROW_BYTES)
    heights = []

    def remember(part: torch.Tensor) -> torch.Tensor:
        heights.append(part.shape[1])
        return part

    # The meta device stands for every one that is not the CPU.
    tokens = torch.empty(1, 12, COLUMNS, WIDTH, device="meta")
    in_row_bands(remember, tokens, WIDTH)
    assert heights == [12]
    assert len(row_bands(tokens, WIDTH)) == 1
