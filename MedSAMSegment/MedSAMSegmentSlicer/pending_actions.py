"""What the user has asked an effect for and is not written yet: each for its own segment, carried out in order."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.editor_requests import EditorNodes
    from MedSAMSegmentSlicer.inference_engine import InferenceEngine


@dataclass(frozen=True)
class PendingAction:
    """One action: a box, *Apply* or *Grow*.

    Attributes:
        key: of its job in the engine.
        nodes: what it was asked for.
        segment_name: as it was then, for messages.
        asked_at: ``time.monotonic()`` when the user asked, such as when the mouse was released.
    """

    key: str
    nodes: EditorNodes
    segment_name: str
    asked_at: float

    def why_void(self) -> str | None:
        """Why it cannot be carried out any more.

        None if it can; empty if the scene was closed, which the user knows.
        """
        volume, segmentation = self.nodes.volume, self.nodes.segmentation
        is_volume_gone, is_segmentation_gone = volume.GetScene() is None, segmentation.GetScene() is None
        if is_volume_gone and is_segmentation_gone:
            return ""
        if is_volume_gone:
            return f"Nothing was written to {self.segment_name!r}: the image {volume.GetName()!r} was removed."
        if is_segmentation_gone:
            return f"Nothing was written to {self.segment_name!r}: its segmentation was removed."
        if segmentation.GetSegmentation().GetSegment(self.nodes.segment_id) is None:
            return f"Nothing was written: the segment {self.segment_name!r} was deleted."
        return None


class PendingActions:
    """The queue. The engine carries jobs of one priority out in the order in which they were submitted.

    Args:
        engine: computes.
        name: unique among the users of the engine.
    """

    def __init__(self, engine: InferenceEngine, name: str) -> None:
        self._engine = engine
        self._prefix = f"{name}/write "
        self._numbers = itertools.count()
        self._actions: list[PendingAction] = []

    def __len__(self) -> int:
        return len(self._actions)

    def __contains__(self, action: PendingAction) -> bool:
        return action in self._actions

    @property
    def first(self) -> PendingAction | None:
        """The one that is computed now, or next."""
        return self._actions[0] if self._actions else None

    def add(self, nodes: EditorNodes, asked_at: float | None = None) -> PendingAction:
        """Promise an action; submit its job with its key."""
        segment = nodes.segmentation.GetSegmentation().GetSegment(nodes.segment_id)
        key = f"{self._prefix}{next(self._numbers)}"
        action = PendingAction(key, nodes, segment.GetName(), time.monotonic() if asked_at is None else asked_at)
        self._actions.append(action)
        return action

    def remove(self, action: PendingAction) -> None:
        """It is carried out, or has failed."""
        if action in self._actions:
            self._actions.remove(action)

    def cancel(self) -> None:
        """Give all of them up."""
        self._actions = []
        self._engine.cancel(self._prefix)

    def drop_void(self) -> list[str]:
        """Give up what cannot be carried out any more; the reasons that the user does not know."""
        reasons = []
        for action in list(self._actions):
            reason = action.why_void()
            if reason is not None:
                self._actions.remove(action)
                self._engine.cancel(action.key)
                reasons.append(reason)
        return [reason for reason in dict.fromkeys(reasons) if reason]
