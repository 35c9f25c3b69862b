"""Encoding ahead: what is asked of the engine while the user looks at a slice, and while a box is drawn on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentSlicer.encoding_ahead import ExpectedPrompt, PromptInSight
from MedSAMSegmentSlicer.inference_worker import IDLE
from MedSAMSegmentSlicer.likely_boxes import likely_boxes, middle_of_view, moved_onto
from MedSAMSegmentSlicer.neighbour_slices import NeighbourSlices
from MedSAMSegmentSlicer.roi_sources import roi_from_markup
from MedSAMSegmentSlicer.slice_view_plane import slice_to_ras

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
    from MedSAMSegmentSlicer.box_drag import DrawnBox
    from MedSAMSegmentSlicer.editor_requests import EditorRequests
    from MedSAMSegmentSlicer.inference_engine import InferenceEngine
    from MedSAMSegmentSlicer.prompt_work import PromptRequest


class SlicePreparation:
    """Has slices encoded before they are asked about, so that an answer costs a decoder pass only. For the main thread.

    It changes when an answer comes, never which one: what is encoded is found again only by the pixels that the model
    sees, and those depend on the image and on the box alone.

    Args:
        engine: encodes.
        requests: of the editor.
        encoded: told whether the slice in view was encoded, or could not be without a box.
        failed: told what went wrong.
        name: unique among the users of the engine.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        requests: EditorRequests,
        encoded: Callable[[bool], None],
        failed: Callable[[Exception], None],
        name: str,
    ) -> None:
        self._engine = engine
        self._requests = requests
        self._encoded = encoded
        self._failed = failed
        self._ahead_key = f"{name}/ahead"
        self._drag_key = f"{name}/drag"
        self._idle_key = f"{name}/idle"
        self._neighbours = NeighbourSlices()
        self._sight = PromptInSight()
        self._drag: tuple[Any, ExpectedPrompt, float] | None = None

    def view_settled(self, slice_node: Any, markups: Sequence[Any]) -> None:
        """Encode what a view shows; the newest request wins.

        Then, while nothing else is to do: the same slice for boxes that are less likely, and the slices that come next
        in the direction of scrolling.

        Args:
            slice_node: of the view.
            markups: the ROI that is chosen, and the box that was drawn last, as far as there are any.
        """
        self.end_drag()
        self.cancel_idle()
        nodes = self._requests.nodes()
        if nodes is None:
            return
        settings, pose = self._requests.settings(), slice_to_ras(slice_node)
        try:
            plane = self._requests.plane_of(pose)
        except InvalidPromptError:
            return  # the view is beside the volume: there is nothing to prepare
        volume, window = self._requests.volume(nodes), settings.window_for(nodes.volume)
        if window == "roi":  # which is not rounded: only what is chosen is worth it, a guess would hardly ever be right
            boxes = tuple(box for box in _boxes_of(markups) if box.box_on(plane) is not None)
        else:
            width, height, _ = slice_node.GetFieldOfView()
            middle = middle_of_view(pose, (width, height), self._requests.thickness_of(plane))
            boxes = likely_boxes(plane, _boxes_of(markups), middle)
        first = boxes[0] if boxes else None
        expected = ExpectedPrompt(volume, plane, window, first)
        self._engine.encode_ahead(self._ahead_key, settings.choice, expected, self._sight, self._encoded, self._failed)
        others = [replace(expected, roi=box) for box in boxes[1:]] if window in ("auto", "roi") else []
        for neighbour in self._neighbours.after(plane, volume.geometry):
            roi = first and (moved_onto(first, neighbour) or first)
            others.append(ExpectedPrompt(volume, neighbour, window, roi))
        for n, prompt in enumerate(others):
            # A job each, so that whatever else comes goes between them. An error waits until somebody looks there.
            self._engine.encode_ahead(
                f"{self._idle_key} {n}", settings.choice, prompt, self._sight, lambda _: None, lambda _: None, IDLE
            )

    def box_moved(self, box: DrawnBox) -> None:
        """A box is being drawn: encode what it needs as it is now, and give up what it does not need."""
        nodes = self._requests.nodes()
        if nodes is None:
            return
        settings = self._requests.settings()
        try:
            if self._drag is None or self._drag[0] is not box.slice_to_ras:
                plane = self._requests.plane_of(box.slice_to_ras)
                window = settings.window_for(nodes.volume)
                prompt = ExpectedPrompt(self._requests.volume(nodes), plane, window, None)
                self._drag = (box.slice_to_ras, prompt, self._requests.thickness_of(plane))
            _, prompt, thickness = self._drag
            self._sight.prompt = replace(prompt, roi=box.oriented_box(thickness))
        except InvalidPromptError:
            return  # beside the volume, or flat so far
        if not self._engine.has(self._drag_key):
            self._engine.follow(self._drag_key, settings.choice, self._sight, self._failed)

    def end_drag(self) -> None:
        """No box is in sight any more."""
        self._drag = None
        self._sight.prompt = None
        self._engine.cancel(self._drag_key)

    def forget_volume(self) -> None:
        """Let go of the voxels that the last box was drawn on."""
        self.end_drag()
        # What it has looked at stays in the old one, which is the worker's alone.
        self._sight = PromptInSight()

    def cancel_idle(self) -> None:
        """The user does something: what was encoded for later makes room."""
        self._engine.cancel(self._idle_key)

    def make_room(self, request: PromptRequest | None = None) -> None:
        """Something is going to be computed that somebody waits for: nothing else shall be in its way.

        Args:
            request: on a single slice. If that slice is being encoded just as it is needed, this goes on.
        """
        self._drag = None
        # First: what is being encoded looks here before it looks whether its job was cancelled.
        self._sight.prompt = (
            None if request is None else ExpectedPrompt(request.volume, request.planes[0], request.window, request.roi)
        )
        for key in (self._drag_key, self._ahead_key, self._idle_key):
            self._engine.cancel(key)


def _boxes_of(markups: Sequence[Any]) -> list[OrientedBox]:
    boxes = []
    for markup in markups:
        try:
            boxes.append(roi_from_markup(markup).box)
        except InvalidPromptError:
            continue  # not placed yet
    return boxes
