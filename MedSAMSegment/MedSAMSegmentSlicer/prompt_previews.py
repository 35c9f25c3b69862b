"""What a prompt would give, before it is applied: shown while a handle is dragged, never written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.prompt_work import FrozenWindow, PromptAnswer, PromptRequest
from MedSAMSegmentSlicer.roi_nodes import roi_from_node
from MedSAMSegmentSlicer.roi_sources import roi_from_markup

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
    from MedSAMSegmentLib.intensity.window import Window
    from MedSAMSegmentSlicer.editor_requests import EditorNodes, EditorRequests
    from MedSAMSegmentSlicer.effect_settings import EffectSettings
    from MedSAMSegmentSlicer.inference_engine import InferenceEngine

_FROM_THE_BOX = ("auto", "roi")
"""Window rules that look at the voxels in the box."""

DRAWN_BOX = "drawn box"
"""Stands for the id of the box that was drawn last, whose node may not be there yet."""


class PromptPreviews:
    """Computes masks for showing only. For the main thread.

    Args:
        engine: computes.
        requests: of the editor.
        previewed: given an answer.
        failed: told what went wrong.
        name: unique among the users of the engine.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        requests: EditorRequests,
        previewed: Callable[[PromptAnswer], None],
        failed: Callable[[Exception], None],
        name: str,
    ) -> None:
        self._engine = engine
        self._requests = requests
        self._previewed = previewed
        self._failed = failed
        self._key = f"{name}/preview"
        self._drag: tuple[str, str, FrozenWindow] | None = None
        """Of the ROI and the rule: the window that is kept while the ROI is dragged."""
        self._window_of: dict[tuple[str, str], Window] = {}
        self._next: tuple[EditorNodes, EffectSettings, PromptRequest, str] | None = None

    def cancel(self) -> None:
        """Forget the preview that is being computed, and the one that waits."""
        self._next = self._drag = None
        self._engine.cancel(self._key)

    def forget_windows(self) -> None:
        """Another volume: what was chosen for the last one has no say."""
        self._window_of, self._drag = {}, None

    def remember_window(self, answer: PromptAnswer, rule: str, roi_id: str = DRAWN_BOX) -> None:
        """The window that a rule gave for an ROI's last answer, which the next drag of its handles keeps."""
        if answer.window is not None and rule in _FROM_THE_BOX:
            self._window_of[roi_id, rule] = answer.window

    def preview_box(self, roi_node: Any, *, moving: bool) -> None:
        """As `preview`, of the box drawn last, on the slice where it is: its sides are parallel to that view's."""
        box = roi_from_node(roi_node).box
        self._preview(box, DRAWN_BOX, box.object_to_ras, moving=moving)

    def preview(self, roi_node: Any, pose_of_view: Any, *, moving: bool) -> None:
        """Compute the mask of an ROI on the slice in view.

        While one is being computed, only the newest of those that are asked for meanwhile waits.

        Args:
            roi_node: the ROI.
            pose_of_view: (4, 4) of the slice view.
            moving: a handle is being dragged: the window is chosen once for the whole drag, so that the slice is
                encoded once, and every further position costs a decoder pass only.
        """
        self._preview(roi_from_markup(roi_node).box, roi_node.GetID(), pose_of_view, moving=moving)

    def _preview(self, box: OrientedBox, roi_id: str, pose_of_view: Any, *, moving: bool) -> None:
        nodes, settings = self._requests.need_nodes(), self._requests.settings()
        request = self._requests.request(nodes, settings, box, (self._requests.plane_of(pose_of_view),))
        if not moving:
            self._drag = None
        elif settings.window in _FROM_THE_BOX:
            dragged = (roi_id, settings.window)
            if self._drag is None or self._drag[:2] != dragged:
                self._drag = (*dragged, FrozenWindow(self._window_of.get(dragged) or settings.window))
            request = replace(request, window=self._drag[2])
        if self._engine.has(self._key):
            self._next = (nodes, settings, request, roi_id)
        else:
            self._start(nodes, settings, request, roi_id)

    def _start(self, nodes: EditorNodes, settings: EffectSettings, request: PromptRequest, roi_id: str) -> None:
        def done(answers: list[PromptAnswer]) -> None:
            self.remember_window(answers[0], settings.window, roi_id)
            if self._requests.is_current(nodes, request):
                self._previewed(answers[0])
            go_on()

        def failed(error: Exception) -> None:
            # Where the ROI has left the slice there is nothing to show, which is no event for the user.
            if not isinstance(error, InvalidPromptError):
                self._failed(error)
            go_on()

        def go_on() -> None:
            waiting, self._next = self._next, None
            if waiting is not None:
                self._start(*waiting)

        self._engine.answer(self._key, settings.choice, [request], done, failed)
