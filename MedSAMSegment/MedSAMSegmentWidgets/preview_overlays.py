"""The outline of a mask that is not written yet, in every slice view that shows its slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from MedSAMSegmentWidgets.line_overlay import LineOverlay

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_COLOR = (0.25, 0.75, 0.65)


class PreviewOverlays:
    """One overlay for each slice view of the layout, made when it is first needed.

    Args:
        scripted_effect: adds the actors.
    """

    def __init__(self, scripted_effect: Any) -> None:
        self._effect = scripted_effect
        self._overlays: dict[str, LineOverlay] = {}

    def show(self, segments_ras: npt.NDArray[np.float64]) -> None:
        """Draw lines, (n, 2, 3) RAS mm."""
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames() if layout is not None else ():
            if name not in self._overlays:
                self._overlays[name] = LineOverlay(self._effect, layout.sliceWidget(name), _COLOR, 2.0)
            self._overlays[name].show(segments_ras)

    def follow_views(self) -> None:
        """Views have moved."""
        for overlay in self._overlays.values():
            overlay.update()

    def hide(self) -> None:
        """Draw nothing."""
        for overlay in self._overlays.values():
            overlay.hide()

    def remove(self) -> None:
        """Take all actors out of the views."""
        for overlay in self._overlays.values():
            overlay.remove()
        self._overlays = {}
