"""The module's panel: its sections, the one progress bar, and the run of *Segment ROIs*."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import InvalidOptionError, MedSAMSegmentError
from MedSAMSegmentLib.models.description import load_descriptions
from MedSAMSegmentSlicer.background_run import BackgroundRun
from MedSAMSegmentSlicer.image_in_use import need_in_scene
from MedSAMSegmentSlicer.inference_engine import ModelChoice, shared_engine
from MedSAMSegmentSlicer.roi_job import RoiJob, RoiJobResult, start_roi_job
from MedSAMSegmentSlicer.segmentation_sequence import SequenceResult, browser_of
from MedSAMSegmentSlicer.sequence_job import start_sequence_job
from MedSAMSegmentSlicer.status_text import WorkProgress, logged_error_text, weights_are_missing, what_is_missing
from MedSAMSegmentSlicer.update_job import start_update_job
from MedSAMSegmentWidgets.application_settings import default_choice
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.editor_undo import save_state_in_editors
from MedSAMSegmentWidgets.engine_timer import EngineTimer
from MedSAMSegmentWidgets.models_section import JOB as MODELS_JOB
from MedSAMSegmentWidgets.models_section import ModelsSection
from MedSAMSegmentWidgets.module_parameters import show_choices
from MedSAMSegmentWidgets.node_observers import NodeObservers
from MedSAMSegmentWidgets.results_view import ResultsView
from MedSAMSegmentWidgets.roi_chooser import RoiChooser
from MedSAMSegmentWidgets.set_up_section import SetUpSection

JOB = "module segment"
"""Key of the run of *Segment ROIs*."""

_SHOW_EVERY_S = 0.5
"""While something runs: drawing the panel more often than that would slow it down where OpenGL is software."""


class ModulePanel:
    """Everything in the module's panel.

    Args:
        ui: its widgets, by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._parameters: Any = None
        self._gui_tag: Any = None
        self._engine = shared_engine()
        self._timer = EngineTimer(self._engine, self._failed, self._ticked)
        self._connections = Connections()
        self._fill_models()
        self._work = WorkProgress()
        self._shown_at = 0.0
        self._is_shown_busy: bool | None = None
        self._needed: list[Any] = []
        self._result_text: str | None = None
        self._observers = NodeObservers()
        self._observers.add(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self._node_removed)
        self.results = ResultsView(ui, self._result_changed)
        self.rois = RoiChooser(ui, self._say)
        self.set_up = SetUpSection(ui, self._engine, self.refresh)
        self.models = ModelsSection(ui, self._engine, self._begin, self._end, self._progress, self._changed)
        ui.tryLabel.text = _(
            "Loads a chest CT (40 MB, from the internet or from slicerio) and segments one lung in it."
        )
        for widget, signal, slot in (
            (ui.segmentButton, "clicked()", self.segment),
            (ui.cancelButton, "clicked()", self.cancel),
            (ui.updateButton, "clicked()", self.update_between),
            (ui.tryButton, "clicked()", self.try_it),
            (ui.volumeSelector, "currentNodeChanged(vtkMRMLNode*)", self._volume_chosen),
            (ui.allTimePointsCheckBox, "toggled(bool)", self._volume_chosen),
            (ui.modelComboBox, "activated(int)", self._model_chosen),
        ):
            self._connections.add(widget, signal, slot)
        self._show_busy()

    def close(self) -> None:
        """Leave nothing behind."""
        self.cancel()
        self.set_parameter_node(None)
        self._observers.remove_all()
        self._connections.remove_all()
        self.results.close()
        self.rois.close()
        self.set_up.close()
        self.models.close()
        self._timer.close()

    def set_parameter_node(self, parameters: Any) -> None:
        """Connect the widgets to a parameter node, or to none: while its nodes come or go, and while nobody looks."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
        self._parameters = parameters
        self.rois.set_parameter_node(parameters)
        self.results.follow(parameters is not None)
        if parameters is None:
            return
        self._gui_tag = parameters.connectGui(self._ui)
        show_choices(self._ui)
        if parameters.volume is None:
            parameters.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        index = self._ui.modelComboBox.findData(parameters.model or default_choice().model)
        self._ui.modelComboBox.currentIndex = max(0, index)
        self._volume_chosen()

    def refresh(self) -> None:
        """Look again at what is installed and which models are here."""
        self.set_up.refresh()
        if weights_are_missing(self._choice()):
            self._ui.modelsSection.collapsed = False
        self.models.refresh()
        self._say_ready()

    def segment(self) -> None:
        """Segment the chosen ROIs."""
        parameters = self._parameters
        try:
            if parameters is None or parameters.volume is None:
                self._say(_("Choose a volume: load an image, or click Try it."))
                return
            choice = self._choice()
            missing = what_is_missing(choice)
            if missing is not None:
                self._say(missing)
                return
            job = RoiJob(
                parameters.volume,
                tuple(self.rois.chosen()),
                parameters.segmentation,
                choice,
                parameters.window,
                parameters.plane,
                parameters.level,
            )
            browser = browser_of(job.volume) if parameters.allTimePoints else None
            if browser is not None:
                start_sequence_job(self._run(self._sequence_done), job)
                self._needed = [job.volume, *job.rois, browser, browser.GetSequenceNode(job.volume)]
            else:
                start_roi_job(self._run(self._done), slicer.mrmlScene, job, save_state_in_editors)
                self._needed = job.nodes
            self._begin(_("Segmenting…"))
        except MedSAMSegmentError as error:
            self._failed(error)

    def update_between(self) -> None:
        """Segment again between the slices that were corrected by hand since."""
        result = self.results.result
        if result is None:
            return
        try:
            start_update_job(self._run(self._updated), slicer.mrmlScene, result, save_state_in_editors)
            self._needed = [result.job.volume, result.segmentation]
            self._begin(_("Updating…"))
        except MedSAMSegmentError as error:
            self._failed(error)

    def cancel(self) -> None:
        """Stop what is running; nothing of it is written."""
        if self._is_busy():
            self._engine.cancel(JOB)
            self._engine.cancel(MODELS_JOB)
            self._end(_("Cancelled. Nothing was written."))

    def scene_closes(self) -> None:
        """Its nodes are about to go, and with them what was computed from them."""
        self.cancel()
        self.results.clear()
        self.set_parameter_node(None)
        self._say_ready()

    def try_it(self) -> None:
        """Load the sample and an ROI, and segment it."""
        with slicer.util.tryWithErrorDisplay(_("The sample cannot be loaded."), waitCursor=True):
            from MedSAMSegmentWidgets.sample import load_sample

            volume, roi = load_sample()
            self._parameters.volume = volume
            self._parameters.segmentation = None
            self._parameters.window = "auto"
            self.rois.choose([roi])
            self._ui.segmentSection.collapsed = False
            self.segment()

    def _run(self, done: Callable[[Any], None]) -> BackgroundRun[Any]:
        return BackgroundRun(self._engine, JOB, done, self._failed, self._progress)

    def _choice(self) -> ModelChoice:
        model = self._ui.modelComboBox.currentData
        return replace(default_choice(), model=model) if model else default_choice()

    def _fill_models(self) -> None:
        self._ui.modelComboBox.clear()
        for model in load_descriptions().values():
            self._ui.modelComboBox.addItem(model.title, model.id)

    def _model_chosen(self, _index: int) -> None:
        if self._parameters is not None:
            self._parameters.model = self._ui.modelComboBox.currentData
        self._say_ready()

    def _changed(self) -> None:
        self.set_up.refresh()
        index = self._ui.modelComboBox.findData(default_choice().model)
        if self._parameters is not None and not self._parameters.model:
            self._ui.modelComboBox.currentIndex = max(0, index)

    def _volume_chosen(self, *_arguments: Any) -> None:
        """Offer all time points where there are some; what is made of them is always new."""
        volume = self._ui.volumeSelector.currentNode()
        is_sequence = volume is not None and browser_of(volume) is not None
        self._ui.allTimePointsCheckBox.setVisible(is_sequence)
        self._ui.segmentationSelector.enabled = not (is_sequence and self._ui.allTimePointsCheckBox.checked)

    def _done(self, result: RoiJobResult) -> None:
        if self._parameters is not None:
            self._parameters.segmentation = result.segmentation
        self.results.show(result)
        new = [row.name for row in result.rows if row.is_new]
        continued = [row.name for row in result.rows if not row.is_new]
        text = _("Done.")
        if new:
            text += " " + _("New segments: {count}.").format(count=len(new))
        if continued:
            text += " " + _("Added to what is there: {names}.").format(names=", ".join(continued))
        self._end_with(text + self._advice([row.name for row in result.rows if row.structure.block is None]))

    def _updated(self, result: RoiJobResult) -> None:
        self.results.show(result)
        self._end_with(_("Done. The slices between the corrected ones were segmented again."))

    def _sequence_done(self, result: SequenceResult) -> None:
        self.results.show_sequence(result)
        text = _("Done: the sequence {name} plays along.").format(name=result.sequence.GetName())
        self._end_with(
            text + self._advice([f"{row.segment} ({row.image})" for row in result.rows if not row.volume_ml])
        )

    def _advice(self, empty: list[str]) -> str:
        """What to do where nothing was found."""
        if not empty:
            return ""
        advice = _("Nothing was found in {names}: put the ROI closer around it, or choose another window.")
        return " " + advice.format(names=", ".join(empty))

    def _end_with(self, text: str) -> None:
        """Say what a run has done, for as long as it is so."""
        self._end(text)
        self._result_text = self._ui.statusLabel.text
        self.set_up.refresh()

    def _result_changed(self) -> None:
        """Somebody has edited, undone or removed what the run wrote."""
        if self._result_text is not None and self._ui.statusLabel.text == self._result_text:
            self._say_ready()
        self._result_text = None
        self._show_busy()

    def _node_removed(self, _scene: Any, _event: Any) -> None:
        """Stop at once where the result would be of no use."""
        if not self._engine.has(JOB):
            return
        try:
            need_in_scene(slicer.mrmlScene, *self._needed)
        except InvalidOptionError as error:
            self._engine.cancel(JOB)
            self._end(str(error))

    def _failed(self, error: Exception) -> None:
        self._end(logged_error_text(error, "module"))

    def _is_busy(self) -> bool:
        return self._engine.has(JOB) or self._engine.has(MODELS_JOB)

    def _begin(self, text: str) -> None:
        # Never 0, which makes it an animation: each frame of it would take time from what is computed.
        self._ui.progressBar.maximum = 1000
        self._ui.progressBar.value = 0
        self._work.begin()
        self._result_text = None
        self._say(text)
        self._show_busy()

    def _end(self, text: str) -> None:
        self._say(text)
        self._show_busy()

    def _progress(self, done: int, total: int, doing: str) -> None:
        self._work.tell(done, total, doing)
        now = time.monotonic()
        if now - self._shown_at < _SHOW_EVERY_S:
            return
        self._shown_at = now
        self._ui.progressBar.maximum = max(1, total)
        self._ui.progressBar.value = done
        text = self._work.text() if self._engine.has(JOB) else doing
        if text:
            self._say(text[:1].upper() + text[1:])

    def _ticked(self) -> None:
        self._show_busy()

    def _show_busy(self) -> None:
        busy = self._is_busy()
        self._ui.updateButton.enabled = not busy and self.results.result is not None
        if busy == self._is_shown_busy:
            return
        self._is_shown_busy = busy
        self._ui.segmentButton.enabled = not busy
        for widget in (self._ui.cancelButton, self._ui.progressBar):
            widget.enabled = busy
            widget.setVisible(busy)

    def _say_ready(self) -> None:
        self._say(what_is_missing(self._choice()) or _("Choose a volume and ROIs, then click Segment."))

    def _say(self, text: str) -> None:
        self._ui.statusLabel.text = text
