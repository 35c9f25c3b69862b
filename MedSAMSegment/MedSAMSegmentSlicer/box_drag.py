"""Press, drag, release: what becomes a box, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox

CLICK_PIXELS = 4
"""Display pixels that a hand moves during a click without meaning to drag."""

SMALLEST_SIDE_PIXELS = 5
"""Display pixels: a rectangle with a shorter side is no box. A hand cannot draw one more exactly than that."""


@dataclass(frozen=True)
class DrawnBox:
    """A rectangle drawn in a slice view; it stays in the patient whatever the view does later.

    Attributes:
        view_id: of the slice node.
        slice_to_ras: (4, 4) the view's pose when the button went down.
        start_ras: (3,) mm, where the button went down.
        end_ras: (3,) mm, where it was last.
    """

    view_id: str
    slice_to_ras: npt.NDArray[np.float64]
    start_ras: npt.NDArray[np.float64]
    end_ras: npt.NDArray[np.float64]

    @property
    def corners_ras(self) -> npt.NDArray[np.float64]:
        """(4, 3) mm, in order around the rectangle; its edges are parallel to the view's."""
        right, diagonal = self.slice_to_ras[:3, 0], self.end_ras - self.start_ras
        along_right = (diagonal @ right) / (right @ right) * right
        return np.array(
            [self.start_ras, self.start_ras + along_right, self.end_ras, self.end_ras - along_right], dtype=np.float64
        )

    def oriented_box(self, thickness_mm: float) -> OrientedBox:
        """The rectangle as a flat box, turned as the view was, with its middle on the view's plane.

        Raises:
            InvalidPromptError: the rectangle has no width or no height.
        """
        axes = self.slice_to_ras[:3, :3] / np.linalg.norm(self.slice_to_ras[:3, :3], axis=0)
        object_to_ras = np.eye(4)
        object_to_ras[:3, :3] = axes
        object_to_ras[:3, 3] = (self.start_ras + self.end_ras) / 2
        width, height, _ = np.abs(np.linalg.solve(axes, self.end_ras - self.start_ras))
        return OrientedBox(object_to_ras, np.array([width, height, thickness_mm]))


class DragState(Enum):
    IDLE = "idle"
    PRESSED = "pressed"
    DRAGGING = "dragging"
    PASSED_ON = "passed on"
    """The drag belongs to somebody else, a markup's handle: all of it is left alone until the button is up."""


class BoxDrag:
    """The state of one mouse button over slice views. Events in other views than that of the press do not count."""

    def __init__(self) -> None:
        self.state = DragState.IDLE
        self._box: DrawnBox | None = None
        self._start_xy = self._last_xy = (0, 0)

    @property
    def has_moved(self) -> bool:
        """Whether the pointer is not any more where the button went down."""
        return self._box is not None and self._last_xy != self._start_xy

    @property
    def box(self) -> DrawnBox | None:
        """The rectangle as it is now; None until the pointer has moved far enough."""
        return self._box if self.state is DragState.DRAGGING else None

    def press(
        self, view_id: str, xy: tuple[int, int], ras: npt.ArrayLike, slice_to_ras: npt.ArrayLike, *, handle: bool
    ) -> bool:
        """The button goes down.

        Args:
            view_id: of the slice node.
            xy: display pixels.
            ras: (3,) the same point in the patient.
            slice_to_ras: (4, 4) the view's pose.
            handle: the pointer is on a handle of a markup, which then takes the drag.

        Returns:
            Whether the event is ours.
        """
        if handle:
            self.state = DragState.PASSED_ON
            return False
        point = np.array(ras, dtype=np.float64)
        self._box = DrawnBox(view_id, np.array(slice_to_ras, dtype=np.float64), point, point)
        self._start_xy = self._last_xy = xy
        self.state = DragState.PRESSED
        return True

    def move(self, view_id: str, xy: tuple[int, int], ras: npt.ArrayLike) -> bool:
        """The pointer moves; whether the event is ours."""
        if self.state not in (DragState.PRESSED, DragState.DRAGGING) or self._box is None:
            return False
        if view_id != self._box.view_id:
            return True
        self._last_xy = xy
        far = max(self._sides_pixels()) >= CLICK_PIXELS
        if self.state is DragState.DRAGGING or far:
            self.state = DragState.DRAGGING
            # The plane is that of the press: the box stays flat even if the view is scrolled with a key meanwhile.
            normal = self._box.slice_to_ras[:3, 2] / np.linalg.norm(self._box.slice_to_ras[:3, 2])
            point = np.asarray(ras, dtype=np.float64)
            point = point - ((point - self._box.start_ras) @ normal) * normal
            self._box = DrawnBox(view_id, self._box.slice_to_ras, self._box.start_ras, point)
        return True

    def release(self) -> tuple[DrawnBox | None, bool]:
        """The button goes up.

        Returns:
            The box, None after a click or where a side is shorter than `SMALLEST_SIDE_PIXELS`; and whether the event
            is ours.
        """
        state, box = self.state, self._box
        is_box = state is DragState.DRAGGING and min(self._sides_pixels()) >= SMALLEST_SIDE_PIXELS
        self.cancel()
        return box if is_box else None, state in (DragState.PRESSED, DragState.DRAGGING)

    def cancel(self) -> bool:
        """Forget the drag, as Escape does; whether there was one."""
        was_active = self.state in (DragState.PRESSED, DragState.DRAGGING)
        self.state = DragState.IDLE
        self._box = None
        return was_active

    def _sides_pixels(self) -> tuple[int, int]:
        return abs(self._last_xy[0] - self._start_xy[0]), abs(self._last_xy[1] - self._start_xy[1])
