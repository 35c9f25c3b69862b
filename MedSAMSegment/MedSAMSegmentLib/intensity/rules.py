"""Which intensities of a volume the model is shown: the window rules that a user can name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentLib.geometry.box_voxels import block_in_box
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.geometry.voxel_range import extent_around
from MedSAMSegmentLib.intensity.presets import PRESETS
from MedSAMSegmentLib.intensity.window import Window

WINDOW_RULES = ("auto", "roi", "percentile", *PRESETS)
"""Every rule that has a name; ``LEVEL,WIDTH`` is the other way."""

_VOLUME_PERCENTILES = (0.5, 99.5)
"""Of the non-zero voxels: MedSAM's preparation of its training data (``pre_CT_MR.py`` in bowang-lab/MedSAM)."""

_ROI_PERCENTILES = (1.0, 99.0)


def choose_window(rule: str, volume: Volume, roi: OrientedBox | None = None) -> Window:
    """The window that a rule gives on a volume.

    - ``auto``: RGB and images of 8-bit voxels (already windowed by somebody) as they are; else ``roi``, rounded to a
      coarse grid of windows (`Window.rounded`), if there is an ROI; else ``percentile``.
    - ``roi``: percentiles 1 to 99 of the voxels in the ROI, as it is turned.
    - ``percentile``: percentiles 0.5 to 99.5 of the non-zero voxels.
    - a preset's name (`PRESETS`): a CT window.
    - ``LEVEL,WIDTH``, such as ``40,400``.

    Why ``auto`` is so: LiteMedSAM's Dice with one box per structure was 0.68 and 0.81 with ``roi`` for the lungs of a
    chest CT that is padded with -3024, against 0.31 and 0.55 with ``percentile``; for a vertebral column 0.67 against
    0.63; but for lesions in CT that had been windowed to 8 bits 0.73 and 0.68 with ``roi``, 0.84 and 0.51 with
    ``percentile``, and 0.95 and 0.77 as they were. ``Testing/Benchmarks/windows.py`` measures it.

    Why it is rounded: boxes around the same structure then mostly give the same window, and what was encoded for one of
    them, or before any of them was drawn, answers the next one at once.

    RGB volumes are passed through whatever the rule. NaN and infinite voxels, and padding (`padding_of`), have no say.
    An image, or ROI, that is constant gives a window that starts at its value.

    Args:
        rule: one of the above.
        volume: its voxels are not changed.
        roi: of the structure.

    Raises:
        InvalidOptionError: no such rule, a width that is not above zero, or ``roi`` without an ROI.
        InvalidPromptError: the ROI lies outside the volume.
    """
    named = _named_window(rule)
    if volume.is_rgb:
        return Window(0.0, 255.0, "rgb")
    if named is not None:
        return named
    if rule == "auto":
        if volume.is_eight_bit:
            return Window(0.0, 255.0, "auto: 8-bit")
        if roi is not None:
            return _between(measured_in(volume, roi), _ROI_PERCENTILES, "auto: roi", rounded=True)
    if rule == "roi":
        if roi is None:
            raise InvalidOptionError("Window rule 'roi' needs an ROI. Give one, or use the rule 'percentile'.")
        return _between(measured_in(volume, roi), _ROI_PERCENTILES, rule)
    voxels = volume.thinned().voxels_kji
    label = "percentile" if rule == "percentile" else "auto: percentile"
    return _between(_without_padding(voxels[voxels != 0], volume), _VOLUME_PERCENTILES, label)


def check_rule(rule: str) -> None:
    """Refuse a rule that `choose_window` would refuse whatever the image.

    Raises:
        InvalidOptionError: no such rule, or a width that is not above zero.
    """
    _named_window(rule)


def measured_in(volume: Volume, roi: OrientedBox) -> npt.NDArray:
    """The voxels in an ROI, see `voxels_in`, without padding; all of them where there is nothing else."""
    return _without_padding(voxels_in(volume, roi), volume)


def voxels_in(volume: Volume, roi: OrientedBox) -> npt.NDArray:
    """The voxels whose centre is in an ROI; around an ROI that is too thin to hold a centre, those next to it.

    Raises:
        InvalidPromptError: the ROI lies outside the volume.
    """
    extent = extent_around(roi.corners_ras, volume.geometry)
    if extent is not None:
        part = volume.crop(extent).thinned()
        block = block_in_box(roi, part.geometry) or block_in_box(roi, volume.geometry)
        if block is not None:
            source = part if block.grid is part.geometry else volume
            return source.crop(block.extent_ijk).voxels_kji[block.mask_kji]
    half_voxel = volume.geometry.ijk_to_ras[:3, :3] / 2
    reach = np.concatenate([roi.corners_ras + sign * half_voxel[:, axis] for sign in (-1, 1) for axis in range(3)])
    extent = extent_around(reach, volume.geometry)
    if extent is None:
        raise InvalidPromptError("The ROI lies outside the image: it holds no voxel. Move the ROI into the image.")
    return volume.crop(extent).voxels_kji.reshape(-1)


_LARGEST_INTENSITY = 1e30


def _without_padding(voxels: npt.NDArray, volume: Volume) -> npt.NDArray:
    if volume.padding_value is None:
        return voxels
    measured = voxels[voxels > volume.padding_value]
    return measured if measured.size else voxels


def _named_window(rule: str) -> Window | None:
    """The window of a preset or of LEVEL,WIDTH; None for a rule that looks at the image."""
    if rule in PRESETS:
        level, width = PRESETS[rule]
        return Window.from_level_width(level, width, rule)
    if rule in WINDOW_RULES:
        return None
    try:
        level, width = (float(part) for part in rule.split(","))
    except ValueError:
        choices = ", ".join(WINDOW_RULES)
        raise InvalidOptionError(f"There is no window rule {rule!r}. Use one of: {choices}, or LEVEL,WIDTH.") from None
    # Larger ones are of no image, and end in infinities.
    if not (abs(level) <= _LARGEST_INTENSITY and 0 < width <= _LARGEST_INTENSITY):
        raise InvalidOptionError(
            f"Window {rule!r} has no width, or is beyond any image. Give LEVEL,WIDTH with a width above 0, such as "
            "40,400."
        )
    return Window.from_level_width(level, width, rule)


def _between(voxels: npt.NDArray, percentiles: tuple[float, float], label: str, *, rounded: bool = False) -> Window:
    if voxels.dtype.kind == "f":
        voxels = voxels[np.isfinite(voxels)]
    if voxels.size == 0:
        return Window(0.0, 1.0, label)
    lower, upper = (float(value) for value in np.percentile(voxels, percentiles))
    if upper <= lower:
        # A constant image has no contrast to show: it becomes black.
        return Window(lower, lower + max(1.0, abs(lower) * 1e-3), label)
    window = Window(lower, upper, label)
    return window.rounded() if rounded else window
