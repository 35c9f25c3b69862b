"""The TinyViT image encoder of LiteMedSAM, arranged for inference.

The arithmetic is that of the published code (``tiny_vit_sam.py`` of the LiteMedSAM branch of
https://github.com/bowang-lab/MedSAM, after https://github.com/microsoft/Cream/tree/main/TinyViT), rearranged without
changing results beyond rounding: batch norms are folded into the convolutions before them, attention biases are laid
out once, activations stay channels-last so that 1×1 convolutions are matrix products, and a CPU computes what widens
the channels in bands of rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from MedSAMSegmentLib.errors import WeightsError
from MedSAMSegmentLib.models.row_bands import in_row_bands, row_bands
from MedSAMSegmentLib.models.window_order import WindowOrder

_EPSILON = 1e-5
"""Of batch norms and layer norms, as torch has it by default."""
_INPUT_SIZE = 256
_WIDTHS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_GRIDS = (256, 128, 64, 64)
"""Rows and columns of the tokens of each stage: the last step between stages does not halve them."""
_NECK_WIDTH = 256

StateDict = Mapping[str, torch.Tensor]

_gelu_in_place = torch.ops.aten.gelu_
"""`functional.gelu` makes a new tensor, which on a CPU is one more that the caches have to hold."""


class TinyViT(nn.Module):
    """(B, 3, 256, 256) float32 in [0, 1] to (B, 256, 64, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self._dtype = torch.float32
        self.patch_embed = nn.ModuleList([_Pointwise(3, _WIDTHS[0] // 2), _Pointwise(_WIDTHS[0] // 2, _WIDTHS[0])])
        self.convolution_blocks = nn.Sequential(*(_ConvolutionBlock(_WIDTHS[0]) for _ in range(_DEPTHS[0])))
        self.attention_blocks = nn.ModuleList(
            nn.Sequential(*(_AttentionBlock(_WIDTHS[s], _HEADS[s], _WINDOWS[s], _GRIDS[s]) for _ in range(_DEPTHS[s])))
            for s in (1, 2, 3)
        )
        self.merges = nn.ModuleList(
            _Merge(_WIDTHS[s], _WIDTHS[s + 1], stride=_GRIDS[s] // _GRIDS[s + 1]) for s in range(3)
        )
        self.neck = _Neck(_WIDTHS[-1], _NECK_WIDTH)

    @classmethod
    def from_published(cls, state_dict: StateDict) -> TinyViT:
        """An encoder in evaluation mode, float32, from the published weights.

        Args:
            state_dict: names as published, without the prefix ``image_encoder.``.

        Raises:
            WeightsError: a tensor is missing, left over, or of another shape.
        """
        with torch.device("meta"):
            encoder = cls()
        try:
            encoder.load_state_dict(_arranged(state_dict), strict=True, assign=True)
        except RuntimeError as error:
            raise WeightsError(f"These are not LiteMedSAM's weights: {error}") from error
        return encoder.eval().requires_grad_(False)

    def reduce_precision(self, dtype: torch.dtype) -> None:
        """Compute the matrix products and the attention of the attention stages in ``dtype``.

        The rest stays in float32: the first stage, where rounding costs most, the sums that pass from block to block,
        norms, the convolutions of single channels, and the neck.
        """
        self._dtype = dtype
        for module in self.attention_blocks.modules():
            if isinstance(module, _AttentionBlock | _WindowAttention):
                module.reduce_precision(dtype)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = in_row_bands(self._embed_patches, images.permute(0, 2, 3, 1), _WIDTHS[0])
        tokens = self.convolution_blocks(tokens)
        for merge, blocks in zip(self.merges, self.attention_blocks, strict=True):
            tokens = blocks(merge(tokens))
        return self.neck(tokens).to(self._dtype)

    def _embed_patches(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.patch_embed[1](_gelu_in_place(self.patch_embed[0](pixels)))


class _Pointwise(nn.Linear):
    """A 1×1 convolution on (B, H, W, C)."""


class _Depthwise(nn.Conv2d):
    """A 3×3 convolution of each channel on its own, on (B, H, W, C)."""

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__(width, width, 3, stride, padding=1, groups=width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        # Permuted, a channels-last image is what torch calls that memory format: nothing is copied.
        return super().forward(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _ConvolutionBlock(nn.Module):
    """MBConv: widen by four, convolve each channel, narrow, add."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen = _Pointwise(width, 4 * width)
        self.convolve = _Depthwise(4 * width)
        self.narrow = _Pointwise(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return in_row_bands(self._compute, tokens, self.widen.out_features, reach=1)

    def _compute(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = _gelu_in_place(self.widen(tokens))
        hidden = _gelu_in_place(self.convolve(hidden))
        return _gelu_in_place(self.narrow(hidden).add_(tokens))


class _Merge(nn.Module):
    """Between stages: another width, and half the rows and columns where ``stride`` is 2."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.widen = _Pointwise(width_in, width_out)
        self.convolve = _Depthwise(width_out, stride)
        self.mix = _Pointwise(width_out, width_out)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return in_row_bands(self._compute, tokens, self.widen.out_features, reach=1, stride=self.convolve.stride[0])

    def _compute(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = _gelu_in_place(self.widen(tokens))
        return self.mix(_gelu_in_place(self.convolve(hidden)))


class _AttentionBlock(nn.Module):
    """Attention in windows, a 3×3 convolution of each channel, and a perceptron."""

    def __init__(self, width: int, heads: int, window: int, grid: int) -> None:
        super().__init__()
        self.attention = _WindowAttention(width, heads, window, grid)
        self.convolve = _Depthwise(width)
        self.norm = nn.LayerNorm(width, _EPSILON)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = self.convolve(tokens.add_(self.attention(tokens)))
        for band in row_bands(tokens, self.widen.out_features):
            band.add_(self._mix(band))
        return tokens

    def _mix(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.narrow(_gelu_in_place(self.widen(self.norm(tokens).to(self.widen.weight.dtype))))

    def reduce_precision(self, dtype: torch.dtype) -> None:
        self.widen.to(dtype)
        self.narrow.to(dtype)


class _WindowAttention(nn.Module):
    """Multi-head attention inside square windows, with a learned bias per distance.

    The grid is padded to whole windows with zeros before the norm, as published, and the padding takes part in the
    attention. Zeros come out of the norm as its bias.
    """

    def __init__(self, width: int, heads: int, window: int, grid: int) -> None:
        super().__init__()
        self._heads = heads
        self.norm = nn.LayerNorm(width, _EPSILON)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.empty(1, heads, window**2, window**2))
        self.order = WindowOrder(grid, window)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, rows, columns, width = tokens.shape
        dtype = self.qkv.weight.dtype
        normed = self.norm(tokens).to(dtype).view(batch, rows * columns, width)
        # Cut before the projection: projecting the padding too costs less than moving three times as many channels.
        windows = self.qkv(self.order.cut(normed, padding=self.norm.bias.to(dtype)))
        # Published order of channels: head by head, each its query, key and value.
        windows = windows.view(*windows.shape[:2], self._heads, 3, width // self._heads)
        query, key, value = windows.transpose(1, 2).unbind(3)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        joined = self.order.join(attended.transpose(1, 2).flatten(2), batch)
        return self.project(joined).view(batch, rows, columns, width)

    def reduce_precision(self, dtype: torch.dtype) -> None:
        self.qkv.to(dtype)
        self.project.to(dtype)
        self.bias.data = self.bias.data.to(dtype)


class _Neck(nn.Module):
    """(B, H, W, C) to the decoder's (B, 256, H, W)."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(width_in, width_out, bias=False)
        self.norm1 = nn.LayerNorm(width_out, 1e-6)
        self.convolve = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.norm2 = nn.LayerNorm(width_out, 1e-6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = self.norm1(self.narrow(tokens))
        tokens = self.convolve(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.norm2(tokens).permute(0, 3, 1, 2).contiguous()


def _arranged(published: StateDict) -> dict[str, torch.Tensor]:
    """Published weights under the names, and in the shapes, of `TinyViT`.

    Raises:
        WeightsError: a tensor is missing, left over, or of another shape.
    """
    weights = _PublishedWeights(published)
    arranged: dict[str, torch.Tensor] = {}
    for index, position in enumerate((0, 2)):
        arranged |= weights.pointwise(f"patch_embed.seq.{position}", f"patch_embed.{index}")
    for depth in range(_DEPTHS[0]):
        source, target = f"layers.0.blocks.{depth}", f"convolution_blocks.{depth}"
        arranged |= weights.pointwise(f"{source}.conv1", f"{target}.widen")
        arranged |= weights.convolution(f"{source}.conv2", f"{target}.convolve")
        arranged |= weights.pointwise(f"{source}.conv3", f"{target}.narrow")
    for stage in (1, 2, 3):
        source, target = f"layers.{stage - 1}.downsample", f"merges.{stage - 1}"
        arranged |= weights.pointwise(f"{source}.conv1", f"{target}.widen")
        arranged |= weights.convolution(f"{source}.conv2", f"{target}.convolve")
        arranged |= weights.pointwise(f"{source}.conv3", f"{target}.mix")
        for depth in range(_DEPTHS[stage]):
            source, target = f"layers.{stage}.blocks.{depth}", f"attention_blocks.{stage - 1}.{depth}"
            for name, own_name in (
                ("attn.norm", "attention.norm"),
                ("attn.qkv", "attention.qkv"),
                ("attn.proj", "attention.project"),
                ("mlp.norm", "norm"),
                ("mlp.fc1", "widen"),
                ("mlp.fc2", "narrow"),
            ):
                arranged |= weights.affine(f"{source}.{name}", f"{target}.{own_name}")
            biases = weights.take(f"{source}.attn.attention_biases")
            arranged[f"{target}.attention.bias"] = _bias_of_pairs(biases, _WINDOWS[stage])
            arranged |= weights.convolution(f"{source}.local_conv", f"{target}.convolve")
    arranged["neck.narrow.weight"] = weights.take("neck.0.weight").flatten(1)
    arranged["neck.convolve.weight"] = weights.take("neck.2.weight")
    arranged |= weights.affine("neck.1", "neck.norm1") | weights.affine("neck.3", "neck.norm2")
    weights.check_nothing_is_left()
    return arranged


class _PublishedWeights:
    """Tensors by their published name; each is taken once."""

    def __init__(self, tensors: StateDict) -> None:
        self._left = dict(tensors)

    def take(self, name: str) -> torch.Tensor:
        if name not in self._left:
            raise WeightsError(f"These are not LiteMedSAM's weights: the encoder has no tensor {name}.")
        return self._left.pop(name).float()

    def affine(self, source: str, target: str) -> dict[str, torch.Tensor]:
        return {f"{target}.{part}": self.take(f"{source}.{part}") for part in ("weight", "bias")}

    def convolution(self, source: str, target: str) -> dict[str, torch.Tensor]:
        """A convolution without bias and the batch norm behind it, as one convolution."""
        kernel, gain, offset, mean, variance = (
            self.take(f"{source}.{name}").double()
            for name in ("c.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        )
        self.take(f"{source}.bn.num_batches_tracked")
        factor = gain / torch.sqrt(variance + _EPSILON)
        weight = kernel * factor[:, None, None, None]
        return {f"{target}.weight": weight.float(), f"{target}.bias": (offset - mean * factor).float()}

    def pointwise(self, source: str, target: str) -> dict[str, torch.Tensor]:
        """A 1×1 `convolution` as a matrix."""
        fused = self.convolution(source, target)
        fused[f"{target}.weight"] = fused[f"{target}.weight"].flatten(1)
        return fused

    def check_nothing_is_left(self) -> None:
        if self._left:
            raise WeightsError(f"These are not LiteMedSAM's weights: the encoder has a tensor {min(self._left)}.")


def _bias_of_pairs(biases: torch.Tensor, window: int) -> torch.Tensor:
    """(heads, window²) biases by absolute distance (rows · window + columns) to (1, heads, window², window²)."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    distance = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
    return biases[None, :, distance]
