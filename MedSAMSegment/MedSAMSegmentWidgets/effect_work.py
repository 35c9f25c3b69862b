"""What one effect computes and says, from its first activation until its editor is closed.

It outlives the activations: what the user has asked for is finished when another effect is chosen meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from slicer.i18n import tr as _

from MedSAMSegmentSlicer.effect_segment_writer import EffectSegmentWriter
from MedSAMSegmentSlicer.effect_session import EffectSession, SessionEvents, Written
from MedSAMSegmentSlicer.inference_engine import shared_engine
from MedSAMSegmentWidgets.effect_choices import EffectChoices
from MedSAMSegmentWidgets.effect_status import EffectStatus
from MedSAMSegmentWidgets.engine_timer import EngineTimer

if TYPE_CHECKING:
    from MedSAMSegmentLib.propagation.growth import Growth
    from MedSAMSegmentSlicer.prompt_work import PromptAnswer
    from MedSAMSegmentWidgets.effect_panel import EffectPanel


class ActiveEffect(Protocol):
    """Who shows answers while the effect is active: `effect_controller.EffectController`."""

    def written(self) -> None: ...

    def grown(self) -> None: ...

    def previewed(self, answer: PromptAnswer) -> None: ...


class EffectWork:
    """The requests of one effect, and the texts of its panel.

    Args:
        scripted_effect: ``qSlicerSegmentEditorScriptedEffect``.
        panel: its options.

    Attributes:
        choices: of the user.
        status: of the panel.
        session: computes and writes.
    """

    def __init__(self, scripted_effect: Any, panel: EffectPanel) -> None:
        self._engine = shared_engine()
        self._active: ActiveEffect | None = None
        self._timer: EngineTimer | None = None
        self.choices = EffectChoices(scripted_effect)
        self.status = EffectStatus(
            panel,
            self._engine,
            lambda: self.choices.settings().choice,
            lambda: self.session,
            lambda: self._active is not None,
        )
        self.session = EffectSession(
            self._engine,
            lambda nodes: EffectSegmentWriter(scripted_effect, nodes),
            SessionEvents(
                nodes=self.choices.nodes,
                settings=self.choices.settings,
                written=self._written,
                grown=self._grown,
                previewed=self._previewed,
                encoded=self.status.prepared,
                progress=self.status.progress,
                failed=self.status.failed,
            ),
            name=f"effect {id(self)}",
        )

    @property
    def is_usable(self) -> bool:
        """Whether its engine is the application's still: another one comes with a reload of the module."""
        return self._engine is shared_engine()

    def enter(self, active: ActiveEffect) -> None:
        """The effect is active from now on."""
        self._active = active
        self.status.forget_results()  # the segments may have changed meanwhile
        if self._timer is None:
            self._timer = EngineTimer(self._engine, self.status.failed, self._tick)

    def leave(self) -> None:
        """The effect is not active any more: what will be written goes on, and nothing else."""
        self._active = None
        self.session.forget_view()
        self.status.say("")
        if self.session.is_writing:
            self.status.tell_application(_("What was asked for is finished in the background."))
        else:
            self._stop()

    def close(self) -> None:
        """The editor is closed: nothing can be written through it any more."""
        self._active = None
        if self.session.is_writing:
            self.status.tell_application(_("The Segment Editor was closed: what was being computed was given up."))
        self.session.cancel()
        self._stop()

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _tick(self) -> None:
        if not self.choices.has_editor:
            self.close()
            return
        self.session.give_up_void()
        self.status.tick()
        if self._active is None and not self.session.is_writing:
            self._stop()

    def _written(self, written: Written) -> None:
        self.status.written(written)
        if self._active is not None:
            self._active.written()

    def _grown(self, growth: Growth) -> None:
        self.status.grown(growth)
        if self._active is not None:
            self._active.grown()

    def _previewed(self, answer: PromptAnswer) -> None:
        if self._active is not None:
            self.status.previewed(answer)
            self._active.previewed(answer)
