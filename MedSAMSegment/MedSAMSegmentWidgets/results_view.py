"""The result table and its export, the list of doubtful slices, and Show 3D."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentSlicer.atomic_output import written_whole
from MedSAMSegmentSlicer.results_table import TableRow, add_table_node, write_csv
from MedSAMSegmentSlicer.roi_job import RoiJobResult
from MedSAMSegmentSlicer.segmentation_sequence import SequenceResult
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
        self._rows: list[TableRow] = []
        self._segmentation: Any = None
        self._sequence: Any = None
        self._review = ReviewList(ui.reviewTable)
        self._connections = Connections()
        self._connections.add(ui.show3DButton, "clicked()", self._show_3d)
        self._connections.add(ui.reviewTable, "cellClicked(int,int)", self._review.jump)
        self._connections.add(ui.tableButton, "clicked()", self._to_table)
        self._connections.add(ui.fileButton, "clicked()", self._to_file)
        self.clear()

    @property
    def result(self) -> RoiJobResult | None:
        """What is shown, if it can be updated after corrections: results of single volumes can."""
        return self._result

    def close(self) -> None:
        self._connections.remove_all()

    def clear(self) -> None:
        """Nothing was run."""
        self._show(None, [], [], _("What was segmented is listed here."))
        self._fill(_("Segment"), [])

    def show(self, result: RoiJobResult) -> None:
        """Show what a run on a volume did."""
        doubtful = [(row.name, each) for row in result.rows for each in row.doubtful]
        rows = [row.measured for row in result.rows]
        self._show(result.segmentation, rows, doubtful, _("In {name}:").format(name=result.segmentation.GetName()))
        self._result = result
        self._ui.updateButton.enabled = True
        self._fill(_("Segment"), [[row.name, *_measures(row.measured), f"{row.voxels}"] for row in result.rows])

    def show_sequence(self, result: SequenceResult) -> None:
        """Show what a run on all time points did."""
        text = _("In {name}, one for each time point:").format(name=result.sequence.GetName())
        self._show(result.shown, result.rows, [], text)
        self._sequence = result.sequence
        rows = [[f"{row.segment}, {row.image}", *_measures(row), f"{row.slices}"] for row in result.rows]
        self._fill(_("Segment, time point"), rows, _("Slices"))

    def _show(self, segmentation: Any, rows: list[TableRow], doubtful: Sequence[Any], text: str) -> None:
        self._result = None
        self._segmentation, self._sequence, self._rows = segmentation, None, rows
        self._ui.resultLabel.text = text
        self._review.show(doubtful)
        self._ui.reviewLabel.text = _("Slices to look at: {count}").format(count=len(doubtful)) if doubtful else ""
        self._ui.reviewLabel.setVisible(bool(doubtful))
        for button in (self._ui.show3DButton, self._ui.tableButton, self._ui.fileButton):
            button.enabled = bool(rows)
        self._ui.updateButton.enabled = False

    def _fill(self, first: str, rows: list[list[str]], last: str = "") -> None:
        headers = [first, _("mL"), _("mm"), _("Confidence"), last or _("Voxels")]
        tips = (
            "",
            _("Volume of the segment"),
            _("Largest axial diameter"),
            _("Estimate of the overlap with the true structure, 0 to 1"),
            "",
        )
        set_up_table(self._ui.resultTable, headers)
        for column, tip in enumerate(tips):
            self._ui.resultTable.horizontalHeaderItem(column).setToolTip(tip)
        fill_table(self._ui.resultTable, rows)

    def _show_3d(self) -> None:
        segmentation = self._segmentation
        if segmentation is None or segmentation.GetScene() is None:
            self._ui.resultLabel.text = _("The segmentation is not in the scene any more. Segment again.")
            return
        if self._sequence is not None and self._sequence.GetScene() is not None:
            for n in range(self._sequence.GetNumberOfDataNodes()):
                self._sequence.GetNthDataNode(n).CreateClosedSurfaceRepresentation()
        segmentation.CreateClosedSurfaceRepresentation()
        display = segmentation.GetDisplayNode()
        display.SetVisibility3D(True)
        display.SetPreferredDisplayRepresentationName3D(
            slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        )
        layout = slicer.app.layoutManager()
        if layout is not None and layout.threeDViewCount > 0:
            layout.threeDWidget(0).threeDView().resetFocalPoint()

    def _to_table(self) -> None:
        """The result table as a node of the scene."""
        if self._rows:
            node = add_table_node(slicer.mrmlScene, self._rows, _("MedSAM results"))
            self._ui.resultLabel.text = _("The table {name} is in the scene: module Tables.").format(
                name=node.GetName()
            )

    def _to_file(self) -> None:
        """The result table as a file."""
        if not self._rows:
            return
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Results"), "results.csv", "CSV (*.csv)")
        if path:
            self.write(Path(path))

    def write(self, path: Path) -> None:
        """Write the result table, whole or not at all."""
        try:
            with written_whole(path) as (beside,):
                write_csv(self._rows, beside)
        except MedSAMSegmentError as error:
            self._ui.resultLabel.text = str(error)
            return
        self._ui.resultLabel.text = _("Saved as {path}.").format(path=path)


def _measures(row: TableRow) -> list[str]:
    return [f"{row.volume_ml:.2f}", f"{row.diameter_mm:.1f}", f"{row.confidence:.2f}"]
