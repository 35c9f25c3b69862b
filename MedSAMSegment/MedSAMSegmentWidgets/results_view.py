"""The result table and its export, the list of doubtful slices, and Show 3D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.atomic_output import written_whole
from MedSAMSegmentSlicer.results_table import add_table_node, write_csv
from MedSAMSegmentSlicer.roi_job import RoiJobResult
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.review_list import ReviewList
from MedSAMSegmentWidgets.text_table import fill_table, set_up_table


class ResultsView:
    """Shows what the last run did.

    Args:
        ui: the module's widgets.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._result: RoiJobResult | None = None
        set_up_table(ui.resultTable, [_("Segment"), _("mL"), _("mm"), _("Confidence"), _("Voxels")])
        self._review = ReviewList(ui.reviewTable)
        tips = (_("Name of the segment"), _("Volume"), _("Largest axial diameter"), _("The model's own estimate"), "")
        for column, tip in enumerate(tips):
            ui.resultTable.horizontalHeaderItem(column).setToolTip(tip)
        self._connections = Connections()
        self._connections.add(ui.show3DButton, "clicked()", self._show_3d)
        self._connections.add(ui.reviewTable, "cellClicked(int,int)", self._review.jump)
        self._connections.add(ui.tableButton, "clicked()", self._to_table)
        self._connections.add(ui.fileButton, "clicked()", self._to_file)
        self.clear()

    @property
    def result(self) -> RoiJobResult | None:
        """What is shown."""
        return self._result

    def close(self) -> None:
        self._connections.remove_all()

    def clear(self) -> None:
        """Nothing was run."""
        self._result = None
        fill_table(self._ui.resultTable, [])
        self._review.show([])
        self._ui.reviewLabel.text = ""
        for button in (self._ui.show3DButton, self._ui.tableButton, self._ui.fileButton):
            button.enabled = False
        self._ui.updateButton.enabled = False

    def show(self, result: RoiJobResult) -> None:
        """Show what a run did."""
        self._result = result
        fill_table(
            self._ui.resultTable,
            [
                [row.name, f"{row.volume_ml:.2f}", f"{row.diameter_mm:.1f}", f"{row.confidence:.2f}", f"{row.voxels}"]
                for row in result.rows
            ],
        )
        listed = [(row.name, each) for row in result.rows for each in row.doubtful]
        self._review.show(listed)
        self._ui.reviewLabel.text = _("Slices to look at: {count}").format(count=len(listed)) if listed else ""
        for button in (self._ui.show3DButton, self._ui.tableButton, self._ui.fileButton):
            button.enabled = True
        self._ui.updateButton.enabled = True

    def _show_3d(self) -> None:
        if self._result is None or self._result.segmentation.GetScene() is None:
            return
        segmentation = self._result.segmentation
        segmentation.CreateClosedSurfaceRepresentation()
        display = segmentation.GetDisplayNode()
        display.SetVisibility3D(True)
        display.SetPreferredDisplayRepresentationName3D(
            slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        )

    def _to_table(self) -> None:
        """The result table as a node of the scene."""
        if self._result is not None:
            rows = [row.measured for row in self._result.rows]
            add_table_node(slicer.mrmlScene, rows, _("MedSAM results"))

    def _to_file(self) -> None:
        """The result table as a file."""
        if self._result is None:
            return
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Results"), "results.csv", "CSV (*.csv)")
        if path:
            self.write(Path(path))

    def write(self, path: Path) -> None:
        """Write the result table, whole or not at all."""
        if self._result is not None:
            rows = [row.measured for row in self._result.rows]
            with slicer.util.tryWithErrorDisplay(_("The results cannot be saved.")), written_whole(path) as (beside,):
                write_csv(rows, beside)
