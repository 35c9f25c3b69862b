"""Handles of ROIs that the user drags: the mask follows, and the ROI can be put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentSlicer.box_drag import SMALLEST_SIDE_PIXELS
from MedSAMSegmentSlicer.roi_selection import remembered_pose, restore_pose

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.effect_session import EffectSession
    from MedSAMSegmentWidgets.effect_choices import EffectChoices
    from MedSAMSegmentWidgets.effect_status import EffectStatus
    from MedSAMSegmentWidgets.effect_views import EffectViews
    from MedSAMSegmentWidgets.node_observers import NodeObservers
    from MedSAMSegmentWidgets.preview_overlays import PreviewOverlays


class RoiHandles:
    """Follows the handles of the chosen ROI and of the drawn box.

    Args:
        session: of the effect; computes previews.
        overlays: that show them.
        choices: of the user.
        views: the slice views.
        status: is told what is wrong.
        correct: a handle of the drawn box was let go; whether something comes of it, or the box goes back.
    """

    def __init__(
        self,
        session: EffectSession,
        overlays: PreviewOverlays,
        choices: EffectChoices,
        views: EffectViews,
        status: EffectStatus,
        correct: Callable[[Any], bool],
    ) -> None:
        self._session = session
        self._overlays = overlays
        self._choices = choices
        self._views = views
        self._status = status
        self._correct = correct
        self._pose_before_drag: tuple[Any, Any] | None = None
        self._is_dragged = False

    def observe(self, node: Any, observers: NodeObservers) -> None:
        """Follow an ROI's handles for as long as the observers last."""
        observers.add(node, node.PointStartInteractionEvent, self._picked)
        observers.add(node, node.PointModifiedEvent, self._moved)
        observers.add(node, node.PointEndInteractionEvent, self._released)

    def revert(self) -> None:
        """Drop the preview, and put the ROI back to where it was before it was dragged."""
        self._session.previews.cancel()
        self._overlays.hide()
        if self._pose_before_drag is not None:
            node, pose = self._pose_before_drag
            self.forget_pose()
            if node.GetScene() is not None:
                restore_pose(node, pose)
                self._session.previews.cancel()

    def forget_pose(self) -> None:
        """What was dragged is written, and stays."""
        self._pose_before_drag = None

    def _picked(self, node: Any, _event: Any) -> None:
        self._is_dragged = True
        if self._pose_before_drag is None or self._pose_before_drag[0] is not node:
            self._pose_before_drag = (node, remembered_pose(node))

    def _moved(self, node: Any, _event: Any) -> None:
        if self._choices.settings().live_preview and (self._is_dragged or node is self._choices.roi()):
            self._preview(node, moving=self._is_dragged)

    def _released(self, node: Any, _event: Any) -> None:
        was_dragged, self._is_dragged = self._is_dragged, False
        if not was_dragged:
            return
        if node is self._choices.drawn_box():
            self._overlays.hide()
            if self._is_too_small(node):
                self.revert()
                self._status.say(
                    _(
                        "That is too small for a box: it is back where it was, and what it did stays. Drag its handle "
                        "less far, or draw a new box."
                    )
                )
            elif self._correct(node):
                self.forget_pose()
            else:
                self.revert()
        elif self._choices.settings().live_preview:
            self._preview(node, moving=False)

    def _is_too_small(self, box: Any) -> bool:
        """Whether a side of the drawn box, on its own slice, is shorter than that of a new box may be."""
        return min(box.GetSize()[:2]) < SMALLEST_SIDE_PIXELS * self._views.mm_per_pixel()

    def _preview(self, node: Any, *, moving: bool) -> None:
        self._session.preparation.cancel_idle()
        try:
            if node is self._choices.drawn_box():
                self._session.previews.preview_box(node, moving=moving)
            else:
                self._session.previews.preview(node, self._views.pose(), moving=moving)
        except MedSAMSegmentError:
            # Half-way through a drag an ROI may be flat or off the image: there is nothing to show.
            self._overlays.hide()
