"""The module's panel: its sections, the one progress bar, and the run of *Segment ROIs*."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentLib.models.description import load_descriptions
from MedSAMSegmentSlicer.inference_engine import ModelChoice, shared_engine
from MedSAMSegmentSlicer.roi_job import RoiJob, RoiJobResult, start_roi_job
from MedSAMSegmentSlicer.roi_selection import rois_of_scene
from MedSAMSegmentSlicer.status_text import error_text, what_is_missing
from MedSAMSegmentSlicer.update_job import start_update_job
from MedSAMSegmentWidgets.application_settings import default_choice
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.engine_timer import EngineTimer
from MedSAMSegmentWidgets.models_section import JOB as MODELS_JOB
from MedSAMSegmentWidgets.models_section import ModelsSection
from MedSAMSegmentWidgets.results_view import ResultsView
from MedSAMSegmentWidgets.roi_placement import start_placing_roi
from MedSAMSegmentWidgets.set_up_section import SetUpSection

JOB = "module segment"
"""Key of the run of *Segment ROIs*."""


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
        self.results = ResultsView(ui)
        self.set_up = SetUpSection(ui, self._engine, self.refresh)
        self.models = ModelsSection(ui, self._engine, self._begin, self._end, self._progress, self._changed)
        ui.tryLabel.text = _(
            "Loads a chest CT (40 MB, from the internet or from slicerio) and segments one lung in it."
        )
        for widget, signal, slot in (
            (ui.segmentButton, "clicked()", self.segment),
            (ui.cancelButton, "clicked()", self.cancel),
            (ui.updateButton, "clicked()", self.update_between),
            (ui.newRoiButton, "clicked()", self._new_roi),
            (ui.tryButton, "clicked()", self.try_it),
            (ui.allRoisCheckBox, "toggled(bool)", self._all_rois_toggled),
            (ui.roisSelector, "checkedNodesChanged()", self._rois_checked),
            (ui.modelComboBox, "activated(int)", self._model_chosen),
        ):
            self._connections.add(widget, signal, slot)
        self._show_busy()

    def close(self) -> None:
        """Leave nothing behind."""
        self.cancel()
        self.set_parameter_node(None)
        self._connections.remove_all()
        self.results.close()
        self.set_up.close()
        self.models.close()
        self._timer.close()

    def set_parameter_node(self, parameters: Any) -> None:
        """Connect the widgets to a parameter node, or to none."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
        self._parameters = parameters
        if parameters is None:
            return
        self._gui_tag = parameters.connectGui(self._ui)
        if parameters.volume is None:
            parameters.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        index = self._ui.modelComboBox.findData(parameters.model or default_choice().model)
        self._ui.modelComboBox.currentIndex = max(0, index)
        self._all_rois_toggled(parameters.allRois)

    def refresh(self) -> None:
        """Look again at what is installed and which models are here."""
        self.set_up.refresh()
        self.models.refresh()
        self._say(what_is_missing(self._choice()) or "")

    def segment(self) -> None:
        """Segment the chosen ROIs."""
        parameters = self._parameters
        try:
            if parameters is None or parameters.volume is None:
                self._say(_("Choose a volume."))
                return
            rois = rois_of_scene(slicer.mrmlScene) if parameters.allRois else list(parameters.rois)
            job = RoiJob(
                parameters.volume,
                tuple(rois),
                parameters.segmentation,
                self._choice(),
                parameters.window,
                parameters.plane,
                parameters.level,
            )
            missing = what_is_missing(job.choice)
            if missing is not None:
                self._say(missing)
                return
            start_roi_job(self._engine, JOB, slicer.mrmlScene, job, self._done, self._failed, self._progress)
            self._begin(_("Segmenting…"))
        except MedSAMSegmentError as error:
            self._failed(error)

    def update_between(self) -> None:
        """Segment again between the slices that were corrected by hand since."""
        result = self.results.result
        if result is None:
            return
        try:
            start_update_job(self._engine, JOB, slicer.mrmlScene, result, self._done, self._failed, self._progress)
            self._begin(_("Updating…"))
        except MedSAMSegmentError as error:
            self._failed(error)

    def cancel(self) -> None:
        """Stop what is running; nothing of it is written."""
        if self._is_busy():
            self._engine.cancel(JOB)
            self._engine.cancel(MODELS_JOB)
            self._end(_("Cancelled. Nothing was written."))

    def try_it(self) -> None:
        """Load the sample and an ROI, and segment it."""
        with slicer.util.tryWithErrorDisplay(_("The sample cannot be loaded."), waitCursor=True):
            from MedSAMSegmentWidgets.sample import load_sample

            volume, roi = load_sample()
            self._parameters.volume = volume
            self._parameters.allRois = False
            self._parameters.rois = [roi]
            self._parameters.segmentation = None
            self._parameters.window = "auto"
            self._show_rois()
            self._ui.segmentSection.collapsed = False
            self.segment()

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
        self._say(what_is_missing(self._choice()) or "")

    def _changed(self) -> None:
        self.set_up.refresh()

    def _new_roi(self) -> None:
        start_placing_roi()

    def _all_rois_toggled(self, every: bool) -> None:
        self._ui.roisSelector.enabled = not every
        self._show_rois()

    def _rois_checked(self) -> None:
        if self._parameters is not None:
            self._parameters.rois = list(self._ui.roisSelector.checkedNodes())

    def _show_rois(self) -> None:
        import qt

        if self._parameters is None:
            return
        chosen = list(self._parameters.rois)
        selector = self._ui.roisSelector
        was_blocked = selector.blockSignals(True)
        try:
            for node in rois_of_scene(slicer.mrmlScene):
                selector.setCheckState(node, qt.Qt.Checked if node in chosen else qt.Qt.Unchecked)
        finally:
            selector.blockSignals(was_blocked)

    def _done(self, result: RoiJobResult) -> None:
        if self._parameters is not None:
            self._parameters.segmentation = result.segmentation
        self.results.show(result)
        empty = [row.name for row in result.rows if not row.voxels]
        text = _("Done: {count} segments.").format(count=len(result.rows))
        if empty:
            text += " " + _("Nothing was found in {names}.").format(names=", ".join(empty))
        self._end(text)
        self.set_up.refresh()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, MedSAMSegmentError):
            logging.getLogger(__name__).error("MedSAMSegment module", exc_info=error)
        self._end(error_text(error))

    def _is_busy(self) -> bool:
        return self._engine.has(JOB) or self._engine.has(MODELS_JOB)

    def _begin(self, text: str) -> None:
        self._ui.progressBar.maximum = 0
        self._say(text)
        self._show_busy()

    def _end(self, text: str) -> None:
        self._say(text)
        self._show_busy()

    def _progress(self, done: int, total: int, doing: str) -> None:
        self._ui.progressBar.maximum = total
        self._ui.progressBar.value = done
        if doing:
            self._say(doing)

    def _ticked(self) -> None:
        self._show_busy()

    def _show_busy(self) -> None:
        busy = self._is_busy()
        self._ui.cancelButton.enabled = busy
        self._ui.segmentButton.enabled = not busy
        self._ui.updateButton.enabled = not busy and self.results.result is not None
        if bool(self._ui.progressBar.visible) != busy:
            self._ui.progressBar.setVisible(busy)

    def _say(self, text: str) -> None:
        self._ui.statusLabel.text = text
