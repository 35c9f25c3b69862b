"""Models: what there is, what is on this computer, and how to change that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentLib.models.description import ModelDescription, load_descriptions
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.inference_worker import Job
from MedSAMSegmentSlicer.status_text import logged_error_text
from MedSAMSegmentWidgets.application_settings import default_choice, set_default_choice
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.text_table import fill_table, set_up_table

JOB = "module models"
"""Key of what is being downloaded, imported or verified."""


class ModelsSection:
    """The table of models and its buttons. Downloads, imports and checks run in a thread of the engine.

    Args:
        ui: the module's widgets.
        engine: runs what takes long.
        begin: called with a text when something long begins.
        end: called with a text when it has ended.
        progress: told parts done and all parts.
        changed: called when a model can be used, or cannot any more, or another one is the default.
    """

    def __init__(
        self,
        ui: Any,
        engine: InferenceEngine,
        begin: Callable[[str], None],
        end: Callable[[str], None],
        progress: Callable[[int, int, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._engine = engine
        self._begin = begin
        self._end = end
        self._progress = progress
        self._changed = changed
        self._models = list(load_descriptions().values())
        set_up_table(ui.modelsTable, [_("Model"), _("State"), _("Size"), _("Prompts"), _("Licence")])
        self._connections = Connections()
        for button, slot in (
            (ui.downloadButton, self._download),
            (ui.importFileButton, self._import_file),
            (ui.importFolderButton, self._import_folder),
            (ui.verifyButton, self._verify),
            (ui.deleteButton, self._delete),
            (ui.defaultButton, self._use_by_default),
        ):
            self._connections.add(button, "clicked()", slot)
        self._connections.add(ui.modelsSection, "contentsCollapsed(bool)", self._opened)

    def close(self) -> None:
        self._connections.remove_all()

    def refresh(self) -> None:
        """Look at the disk again; only when the section is open, because that takes imports."""
        if self._ui.modelsSection.collapsed:
            return
        row = max(0, self._ui.modelsTable.currentRow())
        default = default_choice().model
        fill_table(
            self._ui.modelsTable,
            [
                [
                    model.title + (" ★" if model.id == default else ""),
                    self._state(model),
                    f"{model.byte_count / 1e6:.0f} MB",
                    ", ".join(model.prompts),
                    model.licence,
                ]
                for model in self._models
            ],
        )
        self._ui.modelsTable.selectRow(row)

    def _opened(self, _collapsed: bool) -> None:
        self.refresh()

    def _state(self, model: ModelDescription) -> str:
        from MedSAMSegmentLib.models.weights import WeightsState, weights_status

        try:
            state = weights_status(model).state
            return _("missing") if state is WeightsState.MISSING else str(state.value)
        except MedSAMSegmentError as error:
            return str(error)

    def _selected(self) -> ModelDescription:
        return self._models[max(0, self._ui.modelsTable.currentRow())]

    def _download(self) -> None:
        from MedSAMSegmentLib.models.weights_transfer import download_weights

        model = self._selected()
        text = _("Downloading {title}…").format(title=model.title)
        self._run(
            text,
            lambda job: download_weights(model, progress=_megabytes(job, text), cancelled=job.cancelled),
            _("{title} is on this computer now.").format(title=model.title),
            replaced=model.id,
        )

    def _import_file(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Weights file"), "", "Weights (*.pth *.pt *.safetensors *.whl)"
        )
        if path:
            self.import_path(Path(path))

    def _import_folder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of a model"))
        if path:
            self.import_path(Path(path))

    def import_path(self, path: Path) -> None:
        """Copy weights that the user has, as those of the selected model."""
        from MedSAMSegmentLib.models.weights_transfer import import_weights

        model = self._selected()
        text = _("Importing {title}…").format(title=model.title)
        self._run(
            text,
            lambda job: import_weights(model, path, progress=_megabytes(job, text), cancelled=job.cancelled),
            _("{title} is on this computer now.").format(title=model.title),
            replaced=model.id,
        )

    def _verify(self) -> None:
        from MedSAMSegmentLib.models.weights import WeightsState, verify_weights

        model = self._selected()
        text = _("Verifying {title}…").format(title=model.title)

        def verified(job: Job) -> str:
            if verify_weights(model, _megabytes(job, text), job.cancelled) is WeightsState.VERIFIED:
                return _("verified")
            return _("not verified; unchanged, but no checksum is published to compare with")

        self._run(
            text,
            verified,
            _("{title}: {{result}}.").format(title=model.title),
        )

    def _delete(self) -> None:
        from MedSAMSegmentLib.models.weights import WeightsState, delete_weights, weights_status

        model = self._selected()
        if weights_status(model).state is WeightsState.MISSING:
            self._end(_("The weights of {title} are not on this computer.").format(title=model.title))
            return
        if not slicer.util.confirmOkCancelDisplay(
            _("Delete the weights of {title} from this computer?").format(title=model.title)
        ):
            return
        try:
            # Nothing goes on with weights that are no more.
            self._engine.unload(model.id)
            freed = delete_weights(model)
            self._end(_("{megabytes:.0f} MB are free again.").format(megabytes=freed / 1e6))
        except MedSAMSegmentError as error:
            self._end(str(error))
        self._after()

    def _use_by_default(self) -> None:
        set_default_choice(replace(default_choice(), model=self._selected().id))
        self._after()

    def _run(self, text: str, work: Callable[[Job], Any], success: str, replaced: str = "") -> None:
        def done(result: Any) -> None:
            if replaced:
                # What is in memory goes on as it is; what is next takes the new weights.
                self._engine.unload(replaced)
            self._end(success.format(result=result))
            self._after()

        def failed(error: Exception) -> None:
            self._end(logged_error_text(error, "models"))
            self._after()

        self._engine.transfer(JOB, work, done, failed, self._progress)
        self._begin(text)

    def _after(self) -> None:
        self.refresh()
        self._changed()


def _megabytes(job: Job, text: str) -> Callable[[int, int], None]:
    """Tells a job about bytes. Qt's progress bar counts to 2³¹, and the largest model has more bytes than that."""

    def told(done: int, total: int) -> None:
        doing = _("{text} {done:.0f} of {total:.0f} MB").format(text=text, done=done / 1e6, total=total / 1e6)
        job.report(round(done / 1e6), max(1, round(total / 1e6)), doing)

    return told
