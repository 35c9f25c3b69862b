"""Encoding a slice before its prompt is there: what the worker thread does while the user looks, aims and draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from MedSAMSegmentLib.errors import CancelledError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import SliceImage, see
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentSlicer.prompt_work import FrozenWindow, window_for


@dataclass(frozen=True)
class ExpectedPrompt:
    """A slice, and what is known or guessed of the box that comes.

    Attributes:
        volume: what will be looked at.
        plane: the slice.
        window: intensity mapping, or the rule that chooses one.
        roi: the box; None if nothing is known of it.
    """

    volume: Volume
    plane: SlicePlane
    window: Window | FrozenWindow | str
    roi: OrientedBox | None

    def chosen_window(self) -> Window | None:
        """The window that the model will see the slice in; None where it depends on a box that is not known.

        Raises:
            InvalidPromptError: the box lies outside the volume.
        """
        from_the_box = self.window == "roi" or (
            self.window == "auto" and not (self.volume.is_rgb or self.volume.is_eight_bit)
        )
        return None if from_the_box and self.roi is None else window_for(self.window, self.volume, self.roi)


class PromptInSight:
    """The box that is being drawn, or was just drawn: told by the main thread, looked at by the worker's.

    As the box grows, the window that it gives changes now and then. What is encoded ahead goes on for as long as the
    box in sight needs just that, and is given up as soon as it needs something else.
    """

    def __init__(self) -> None:
        self.prompt: ExpectedPrompt | None = None
        """Assigned by the main thread alone; a whole new object each time, so that the worker never sees half of it."""
        self._seen: tuple[ExpectedPrompt, Window | None, SliceImage | None] | None = None

    def image(self) -> SliceImage | None:
        """What the model has to see for the prompt in sight; None if there is none. For the worker thread alone."""
        prompt, seen = self.prompt, self._seen
        if prompt is None:
            self._seen = None
            return None
        if seen is None or seen[0] is not prompt:
            seen = self._look(prompt, seen)
            self._seen = seen
        return seen[2]

    def _look(
        self, prompt: ExpectedPrompt, last: tuple[ExpectedPrompt, Window | None, SliceImage | None] | None
    ) -> tuple[ExpectedPrompt, Window | None, SliceImage | None]:
        try:
            window = prompt.chosen_window()
        except InvalidPromptError:
            window = None  # drawn beside the image so far
        if window is None:
            return prompt, None, None
        if last is not None and last[1] == window and last[0].plane is prompt.plane and last[0].volume is prompt.volume:
            return prompt, window, last[2]
        return prompt, window, see(prompt.volume, prompt.plane, window)


def encode_expected(
    segmenter: Segmenter, prompt: ExpectedPrompt, sight: PromptInSight, cancelled: Callable[[], bool]
) -> bool:
    """Encode a slice that a prompt might come for.

    Returns:
        False where the window depends on a box that is not known: there is nothing to encode.

    Raises:
        InvalidPromptError: the box lies outside the volume.
        CancelledError: ``cancelled`` said so, or another image is needed for the prompt in sight.
    """
    window = prompt.chosen_window()
    if window is None:
        return False
    _encode(segmenter, see(prompt.volume, prompt.plane, window), sight, cancelled)
    return True


def follow(segmenter: Segmenter, sight: PromptInSight, cancelled: Callable[[], bool]) -> None:
    """Encode what the prompt in sight needs, until that is there."""
    while (image := sight.image()) is not None and not segmenter.is_encoded(image) and not cancelled():
        try:
            _encode(segmenter, image, sight, cancelled)
        except CancelledError:
            continue


def _encode(segmenter: Segmenter, image: SliceImage, sight: PromptInSight, cancelled: Callable[[], bool]) -> None:
    def given_up() -> bool:
        # What the user waits for is finished even if its job was cancelled: the answer will find it in the cache.
        needed = sight.image()
        return cancelled() if needed is None else needed.digest != image.digest

    segmenter.encode([image], cancelled=given_up)
