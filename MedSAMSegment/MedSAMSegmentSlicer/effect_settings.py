"""What the user has set in the effect: read from the effect's parameters in MRML, whatever was stored there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentSlicer.inference_engine import ModelChoice

if TYPE_CHECKING:
    from MedSAMSegmentLib.inference.mask_options import MaskOptions
    from MedSAMSegmentLib.intensity.window import Window

Scope = Literal["slice", "slices", "structure"]
SCOPES: tuple[Scope, ...] = ("slice", "slices", "structure")
MODES = ("add", "replace", "subtract")
LEVELS = ("auto", "fast", "best")

DEFAULTS: dict[str, str | int | float] = {
    "Model": "lite-medsam",
    "Device": "auto",
    "Precision": "auto",
    "Scope": "slice",
    "Level": "auto",
    "Mode": "add",
    "Window": "auto",
    "CustomWindow": "40,400",
    "Threshold": 0.5,
    "FillHoles": 0,
    "KeepLargest": 0,
    "SmoothingMm": 0.0,
    "LivePreview": 1,
    "EncodeAhead": 1,
    "MarginMm": 5.0,
    "GrowBelow": 1,
    "GrowAbove": 1,
}
"""Every parameter of the effect, stored as ``MedSAM.Name`` in the Segment Editor's parameter node."""

DISPLAYED = "displayed"
CUSTOM = "custom"


@dataclass(frozen=True)
class EffectSettings:
    """The effect's parameters, read.

    Attributes:
        choice: model, device, precision.
        scope: the current slice, all slices that the ROI crosses, or the whole structure in 3D.
        level: how much is computed for a whole structure.
        mode: what a mask does to the segment.
        window: ``displayed``, or a rule of `MedSAMSegmentLib.intensity.rules`.
        threshold: probability from which a pixel belongs to the structure.
        fill_holes: as in ``MaskOptions``.
        keep_largest: as in ``MaskOptions``.
        smoothing_mm: as in ``MaskOptions``.
        live_preview: while a handle is dragged.
        encode_ahead: when a view has settled.
        margin_mm: of an ROI around a segment.
        grow_below: slices to the left, posterior or inferior side.
        grow_above: slices to the right, anterior or superior side.
    """

    choice: ModelChoice
    scope: Scope
    level: str
    mode: str
    window: str
    threshold: float
    fill_holes: bool
    keep_largest: bool
    smoothing_mm: float
    live_preview: bool
    encode_ahead: bool
    margin_mm: float
    grow_below: int
    grow_above: int

    @property
    def mask_options(self) -> MaskOptions:
        from MedSAMSegmentLib.inference.mask_options import MaskOptions

        return MaskOptions(self.threshold, self.fill_holes, self.keep_largest, self.smoothing_mm)

    def window_for(self, volume_node: Any) -> Window | str:
        """The rule, or the window in which a volume is displayed now.

        Raises:
            InvalidOptionError: what was typed is not a level and a width.
        """
        if self.window != DISPLAYED:
            from MedSAMSegmentLib.intensity.rules import check_rule

            try:
                check_rule(self.window)
            except InvalidOptionError as error:
                raise InvalidOptionError(
                    f"{self.window!r} is not a window. Under Advanced, Window, write its level and its width, which is "
                    "above 0, such as 40, 400."
                ) from error
            return self.window
        from MedSAMSegmentLib.intensity.window import Window

        display = volume_node.GetDisplayNode()
        if display is None or not hasattr(display, "GetWindow") or display.GetWindow() <= 0:
            return "auto"
        return Window.from_level_width(display.GetLevel(), display.GetWindow(), DISPLAYED)

    def window_rule_for(self, volume_node: Any) -> str:
        """As `window_for`, where only a rule is taken: a displayed window as ``LEVEL,WIDTH``."""
        window = self.window_for(volume_node)
        return window if isinstance(window, str) else f"{window.level!r},{window.width!r}"


def read_settings(parameter: Callable[[str], str]) -> EffectSettings:
    """Settings from stored strings. What is missing or cannot be read is its default.

    Args:
        parameter: gives the stored string for a name of `DEFAULTS`, empty if there is none.
    """

    def text(name: str, allowed: tuple[str, ...] | None = None) -> str:
        stored = parameter(name)
        return stored if stored and (allowed is None or stored in allowed) else str(DEFAULTS[name])

    def number(name: str, low: float, high: float) -> float:
        try:
            value = float(parameter(name))
        except ValueError:
            return float(DEFAULTS[name])
        return value if low <= value <= high else float(DEFAULTS[name])

    window = text("Window")
    return EffectSettings(
        choice=ModelChoice(text("Model"), text("Device"), text("Precision")),
        scope=text("Scope", SCOPES),  # type: ignore[arg-type]
        level=text("Level", LEVELS),
        mode=text("Mode", MODES),
        window=_rule(text("CustomWindow")) if window == CUSTOM else window,
        threshold=number("Threshold", 0.01, 0.99),
        fill_holes=bool(number("FillHoles", 0, 1)),
        keep_largest=bool(number("KeepLargest", 0, 1)),
        smoothing_mm=number("SmoothingMm", 0.0, 50.0),
        live_preview=bool(number("LivePreview", 0, 1)),
        encode_ahead=bool(number("EncodeAhead", 0, 1)),
        margin_mm=number("MarginMm", 0.0, 1000.0),
        grow_below=int(number("GrowBelow", 0, 10000)),
        grow_above=int(number("GrowAbove", 0, 10000)),
    )


def _rule(typed: str) -> str:
    """Two numbers as a person writes them, as the rule ``LEVEL,WIDTH``; anything else as it is."""
    parts = [part for part in re.split(r"[\s,;/]+", typed) if part]
    try:
        _level, _width = (float(part) for part in parts)
    except ValueError:  # not two, or not numbers
        return typed
    return ",".join(parts)
