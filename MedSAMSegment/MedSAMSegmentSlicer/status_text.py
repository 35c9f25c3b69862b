"""One line that says in plain words how things stand."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentLib.models.description import WheelSource, load_descriptions
from MedSAMSegmentLib.packages import LITE_MEDSAM_NEEDS
from MedSAMSegmentSlicer.inference_engine import EngineState, ModelChoice
from MedSAMSegmentSlicer.setup_state import missing_packages

_DEVICE_NAMES = {"cpu": "CPU", "cuda": "NVIDIA GPU", "mps": "Apple GPU"}


def model_title(model_id: str) -> str:
    """What users read for a model's id; a local model's own name."""
    description = load_descriptions().get(model_id)
    return description.title if description is not None else model_id


def device_title(device: str) -> str:
    """What users read for a device."""
    kind, _, index = device.partition(":")
    return f"{_DEVICE_NAMES.get(kind, kind)}{' ' + index if index else ''}"


def what_is_missing(choice: ModelChoice) -> str | None:
    """Why a model cannot run on this computer yet, and what to do; None if nothing is known to be missing."""
    description = load_descriptions().get(choice.model)
    is_lite = description is not None and description.family == "lite-medsam"
    missing = [package for package in missing_packages() if not is_lite or package.name in LITE_MEDSAM_NEEDS]
    if missing:
        lacks = ", ".join(f"{package.name} {package.lack}" for package in missing)
        return f"Needs set-up: {lacks}. In the module MedSAM Segment, section Set up, click Install what is missing."
    if weights_are_missing(choice):
        return (
            f"Needs set-up: the weights of {model_title(choice.model)} are not on this computer. In the module MedSAM "
            "Segment, section Models, click Download or Import file."
        )
    return None


def weights_are_missing(choice: ModelChoice) -> bool:
    """Whether a model's weights are known not to be on this computer."""
    description = load_descriptions().get(choice.model)
    if description is None or not isinstance(description.source, WheelSource):
        return False  # to look into the hub's cache takes an import of half a second: loading does it, in the thread
    from MedSAMSegmentLib.models.weights import find_weights

    return find_weights(description) is None


def engine_text(state: EngineState, choice: ModelChoice) -> str:
    """How the model is."""
    title = model_title(choice.model)
    if state.choice != choice or state.phase == "unloaded":
        return f"{title}: not loaded yet."
    if state.phase == "loading":
        return f"{title}: loading…"
    if state.phase == "failed":
        return f"{title}: {state.error}"
    return f"{title} on {device_title(state.device)}, {state.precision}: ready."


class WorkProgress:
    """How far something is that is being computed, and how long it will still take.

    Args:
        clock: seconds, as `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Something else is being computed from now on."""
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None
        self._doing = ""
        self._is_one_step = True

    def tell(self, done: int, total: int, doing: str = "") -> None:
        """So many parts of so many are done; `doing` says in words what is being done."""
        if total < 1:
            return
        self._last = (self._clock(), done / total)
        if self._first is None:
            self._first = self._last
        self._is_one_step = total == 1
        self._doing = doing or f"Slice {done} of {total}"

    @property
    def share(self) -> float | None:
        """What is done, 0 to 1; None if it is one step, or not known."""
        return None if self._is_one_step or self._last is None else self._last[1]

    def text(self) -> str:
        """Such as ``slice 7 of 26, about 1 min left``; empty if nothing is known."""
        if self.share is None:
            return ""
        left = self._seconds_left()
        doing = self._doing[:1].lower() + self._doing[1:] if not self._doing.startswith("ROI") else self._doing
        return doing if left is None else f"{doing}, {time_left_text(left)}"

    def _seconds_left(self) -> float | None:
        """As if it went on as it went between the first report, behind which the model is loaded, and the last."""
        if self._first is None or self._last is None or self._last[1] <= self._first[1]:
            return None
        (began, share_then), (now, share) = self._first, self._last
        rate = (share - share_then) / max(now - began, 1e-6)
        return max(0.0, (1.0 - share) / rate - (self._clock() - now))


def time_left_text(seconds: float) -> str:
    """How long something will still take, as exactly as it can be known."""
    if seconds < 5:
        return "a few seconds left"
    if seconds < 55:
        return f"about {10 * max(1, round(seconds / 10))} s left"
    return f"about {max(1, round(seconds / 60))} min left"


def logged_error_text(error: Exception, part: str) -> str:
    """As `error_text`; what nobody foresaw of a part of the extension goes to the application log as well."""
    if not isinstance(error, MedSAMSegmentError):
        logging.getLogger(__name__).error("MedSAMSegment, %s", part, exc_info=error)
    return error_text(error)


def error_text(error: Exception) -> str:
    """What went wrong, for a person; what nobody foresaw gets its type, for the report."""
    if isinstance(error, MedSAMSegmentError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():  # which is how torch says it of a GPU
        return (
            "The memory of this computer, or of its GPU, is full. Close other data and programs, or use a smaller "
            "model such as LiteMedSAM."
        )
    return f"Something unexpected went wrong: {type(error).__name__}: {error}. The application log has the details."
