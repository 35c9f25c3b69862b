"""What the effect says: status line, progress, confidence, and what the model saw."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.doubtful_slice import doubtful_slice
from MedSAMSegmentSlicer.effect_session import EffectSession, Written
from MedSAMSegmentSlicer.inference_engine import InferenceEngine, ModelChoice
from MedSAMSegmentSlicer.segment_writer import Unchanged
from MedSAMSegmentSlicer.status_text import WorkProgress, engine_text, logged_error_text, what_is_missing

if TYPE_CHECKING:
    from MedSAMSegmentLib.propagation.growth import Growth
    from MedSAMSegmentSlicer.prompt_work import PromptAnswer
    from MedSAMSegmentWidgets.effect_panel import EffectPanel

_SHOW_EVERY_S = 0.5
"""While the engine works: where OpenGL is software, every change composes the whole window, and the model waits."""

_AWAY_MS = 10000
"""How long the main window's status bar says what the panel cannot say while another effect is active."""


class EffectStatus:
    """Keeps the panel's texts true.

    Args:
        panel: shows them.
        engine: whose state is told.
        choice: the model that is chosen, now.
        session: computes what will be written.
        is_shown: whether the user sees the panel, now: not while the effect is not active.
    """

    def __init__(
        self,
        panel: EffectPanel,
        engine: InferenceEngine,
        choice: Callable[[], ModelChoice],
        session: Callable[[], EffectSession],
        is_shown: Callable[[], bool],
    ) -> None:
        self._panel = panel
        self._engine = engine
        self._choice = choice
        self._session = session
        self._is_shown = is_shown
        self._work = WorkProgress()
        self._complete_choice: ModelChoice | None = None
        self._message = ""
        self._has_results = False
        """Whether what is said is of masks that were written."""
        self._shown_at = 0.0

    def begin(self) -> None:
        """The user has asked for something that will be written."""
        self._message = ""
        if self._session().pending_count == 1:
            self._work.begin()
        self.show()

    def say(self, message: str) -> None:
        """A sentence on what happened last."""
        self._message = message
        self.show()
        if message and not self._is_shown():
            self.tell_application(message)

    def tell_application(self, message: str) -> None:
        """Say in the main window's status bar what the panel cannot say."""
        with contextlib.suppress(RuntimeError):  # there is no main window
            slicer.util.showStatusMessage(f"MedSAM: {message}", _AWAY_MS)

    def forget_results(self) -> None:
        """What was said of the last mask is not true of the segment any more."""
        if not self._has_results:
            return
        self._has_results = False
        self._message = ""
        self._panel.confidence.text = "–"
        self._panel.review.show([])
        self.show()

    def failed(self, error: Exception) -> None:
        """Say what went wrong; what nobody foresaw goes to the log as well."""
        self.say(logged_error_text(error, "effect"))

    def tick(self) -> None:
        """Time has passed."""
        if time.monotonic() - self._shown_at >= _SHOW_EVERY_S or not self._session().is_writing:
            self.show()

    def progress(self, done: int, total: int, doing: str) -> None:
        """So many parts of so many are done; shown when the time has come."""
        self._work.tell(done, total, doing)

    def prepared(self, encoded: bool) -> None:
        """The model is loaded, and the slice in view perhaps encoded."""
        if encoded and not self._message:
            self._message = _("Slice prepared.")
        self.show()

    def written(self, written: Written) -> None:
        """An action is in the segment."""
        self._work.begin()
        changed = sum(result.added + result.removed for result in written.results)
        confidences = [
            answer.predicted_iou if answer.structure is None else answer.structure.confidence
            for answer in written.answers
        ]
        self.answer(written.answers[-1], sum(confidences) / len(confidences))
        structures = [answer.structure for answer in written.answers]
        self._panel.review.show(
            [
                (name, doubtful_slice(each))
                for name, structure in zip(written.names, structures, strict=True)
                if structure is not None
                for each in structure.doubtful_slices
            ]
        )
        if changed:
            text = _("Done in {seconds:.1f} s, {voxels} voxels changed.").format(
                seconds=written.seconds, voxels=changed
            )
        elif all(answer.block is None for answer in written.answers):
            text = _("The model found nothing in the box. Draw it more tightly, or lower the threshold.")
        else:
            text = _unchanged_text(written.results[-1].unchanged)
        self._has_results = True
        self.say(text)

    def grown(self, growth: Growth) -> None:
        """A segment was continued on the slices beside it."""
        self._work.begin()
        self._panel.review.show([(_("Grown"), doubtful_slice(each)) for each in growth.slices if each.is_doubtful])
        if not growth.slices:
            self._has_results = True
            self.say(
                _(
                    "The segment ends here: the model found nothing of it on the next slices. Check its outermost "
                    "slices, or draw a box on the next one."
                )
            )
            return
        self._panel.confidence.text = f"{sum(each.confidence for each in growth.slices) / len(growth.slices):.2f}"
        voxels = growth.block.voxel_count if growth.block is not None else 0
        text = _("Grown by {slices} slices ({voxels} voxels).").format(slices=len(growth.slices), voxels=voxels)
        if growth.ended_below or growth.ended_above:
            text += " " + _("The structure, or the image, ends there.")
        self._has_results = True
        self.say(text)

    def previewed(self, answer: PromptAnswer) -> None:
        """What is shown now is not written: what was said of the last mask is not about it."""
        self._has_results = False
        self._message = ""
        self._panel.review.show([])
        self.answer(answer)
        self.show()

    def answer(self, answer: PromptAnswer, confidence: float | None = None) -> None:
        """What the model answered and saw."""
        from MedSAMSegmentSlicer.thumbnail import thumbnail_ppm

        self._panel.confidence.text = f"{answer.predicted_iou if confidence is None else confidence:.2f}"
        if not answer.slices:
            return
        self._panel.advanced.show_picture(thumbnail_ppm(answer.slices[len(answer.slices) // 2]))
        if answer.window is not None:
            self._panel.advanced.thumbnail.setToolTip(
                _("Window {rule}: level {level:g}, width {width:g}").format(
                    rule=answer.window.rule, level=answer.window.level, width=answer.window.width
                )
            )

    def show(self) -> None:
        """Say how things are now."""
        self._shown_at = time.monotonic()
        session = self._session()
        writing = session.is_writing
        self._panel.cancel.enabled = writing
        share = self._work.share if writing else None
        if share is not None:
            self._panel.progress.value = round(1000 * share)
        for widget, visible in ((self._panel.cancel, writing), (self._panel.progress, share is not None)):
            if widget.isHidden() == visible:
                widget.setVisible(visible)

        choice, missing = self._choice(), self.what_is_missing()
        model = engine_text(self._engine.state, choice)
        if writing:
            doing = self._work.text() or _("encoding, {seconds:.0f} s").format(seconds=session.waited_s)
            text = f"{model} {self._message}".rstrip() + f" {doing[:1].upper()}{doing[1:]}…"
            if session.pending_count > 1:
                text += " " + _("{count} more wait.").format(count=session.pending_count - 1)
        elif missing is not None:
            text = missing
        else:
            text = f"{model} {self._message}".rstrip()
        self._panel.status_text.show(text)
        needs_set_up = missing is not None or self._engine.state.phase == "failed"
        if self._panel.set_up_button.isHidden() == needs_set_up:
            self._panel.set_up_button.setVisible(needs_set_up)

    def what_is_missing(self) -> str | None:
        """What has to be set up before the model can run; looked for only as long as something is."""
        choice = self._choice()
        if choice == self._complete_choice:
            return None
        missing = what_is_missing(choice)
        if missing is None:
            self._complete_choice = choice
        return missing


def _unchanged_text(why: Unchanged | None) -> str:
    """Why no voxel changed, and what to do; such an action is no step of Undo."""
    if why is Unchanged.ALREADY_SO:
        return _("No voxel changed: the segment is like that already.")
    if why is Unchanged.EDITABLE_AREA:
        return _("No voxel changed: the editable area keeps the mask out. Check Editable area under Masking.")
    if why is Unchanged.INTENSITY_RANGE:
        return _("No voxel changed: the editable intensity range keeps the mask out. Check it under Masking.")
    return _("No voxel changed: the mask lies outside of the segmentation's grid. Check its reference geometry.")
