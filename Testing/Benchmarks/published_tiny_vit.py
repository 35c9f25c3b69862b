"""LiteMedSAM's encoder as its authors run it: the baseline of the encoder benchmark, for no other use.

The arithmetic of ``tiny_vit_sam.py`` in the LiteMedSAM branch of https://github.com/bowang-lab/MedSAM (Apache-2.0),
step by step and in its order: batch norms of their own, explicit softmax, images and token lists transposed into each
other. Names of parameters are the published ones.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class PublishedTinyViT(nn.Module):
    """(B, 3, 256, 256) to (B, 256, 64, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(_ConvolutionNorm(3, 32, 1), nn.GELU(), _ConvolutionNorm(32, 64, 1))
        widths, grids = (64, 128, 160, 320), (256, 128, 64, 64)
        stages = [_Stage([_MobileBlock(64) for _ in range(2)], _Merging(64, 128, 256, 2))]
        for stage, (depth, heads, window) in enumerate(((2, 4, 7), (6, 5, 14), (2, 10, 7)), start=1):
            blocks = [_Block(widths[stage], heads, window, grids[stage]) for _ in range(depth)]
            merging = None
            if stage < 3:
                stride = grids[stage] // grids[stage + 1]
                merging = _Merging(widths[stage], widths[stage + 1], grids[stage], stride)
            stages.append(_Stage(blocks, merging))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(320, 256, 1, bias=False),
            _ImageNorm(256),
            nn.Conv2d(256, 256, 3, padding=1, bias=False),
            _ImageNorm(256),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.patch_embed.seq(images)
        for layer in self.layers:
            values = layer(values)
        return self.neck(values.view(len(values), 64, 64, -1).permute(0, 3, 1, 2))


class _ConvolutionNorm(nn.Sequential):
    def __init__(self, n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(n_out))


class _Stage(nn.Module):
    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            values = block(values)
        return values if self.downsample is None else self.downsample(values)


class _MobileBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvolutionNorm(width, 4 * width, 1)
        self.conv2 = _ConvolutionNorm(4 * width, 4 * width, 3, groups=4 * width)
        self.conv3 = _ConvolutionNorm(4 * width, width, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = functional.gelu(self.conv2(functional.gelu(self.conv1(images))))
        return functional.gelu(self.conv3(hidden) + images)


class _Merging(nn.Module):
    def __init__(self, n_in: int, n_out: int, grid: int, stride: int) -> None:
        super().__init__()
        self._grid = grid
        self.conv1 = _ConvolutionNorm(n_in, n_out, 1)
        self.conv2 = _ConvolutionNorm(n_out, n_out, 3, stride, groups=n_out)
        self.conv3 = _ConvolutionNorm(n_out, n_out, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if values.ndim == 3:
            values = values.view(len(values), self._grid, self._grid, -1).permute(0, 3, 1, 2)
        values = self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(values)))))
        return values.flatten(2).transpose(1, 2)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self._heads, self._channels = heads, width // heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window**2))
        rows, columns = (each.flatten() for each in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
        self._distances = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
        self._bias: torch.Tensor | None = None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self._bias is None:
            self._bias = self.attention_biases[:, self._distances]
        batch, count, width = tokens.shape
        qkv = self.qkv(self.norm(tokens)).view(batch, count, self._heads, -1)
        query, key, value = (part.permute(0, 2, 1, 3) for part in qkv.split([self._channels] * 3, dim=3))
        attention = (query @ key.transpose(-2, -1)) * self._channels**-0.5 + self._bias
        attended = (attention.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, count, width)
        return self.proj(attended)


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(self.norm(tokens))))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, window: int, grid: int) -> None:
        super().__init__()
        self._window, self._grid = window, grid
        self.attn = _Attention(width, heads, window)
        self.mlp = _Perceptron(width)
        self.local_conv = _ConvolutionNorm(width, width, 3, groups=width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        grid, window = self._grid, self._window
        padding = -grid % window
        per_side = (grid + padding) // window
        image = functional.pad(tokens.view(batch, grid, grid, width), (0, 0, 0, padding, 0, padding))
        windows = image.view(batch, per_side, window, per_side, window, width).transpose(2, 3)
        attended = self.attn(windows.reshape(batch * per_side**2, window**2, width))
        attended = attended.view(batch, per_side, per_side, window, window, width).transpose(2, 3)
        attended = attended.reshape(batch, grid + padding, grid + padding, width)[:, :grid, :grid].contiguous()
        tokens = tokens + attended.view(batch, count, width)
        image = self.local_conv(tokens.transpose(1, 2).reshape(batch, width, grid, grid))
        tokens = image.view(batch, width, count).transpose(1, 2)
        return tokens + self.mlp(tokens)


class _ImageNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.mean(1, keepdim=True)
        variance = (images - mean).pow(2).mean(1, keepdim=True)
        normed = (images - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * normed + self.bias[:, None, None]
