"""The result table and its export, the list of doubtful slices, and Show 3D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentSlicer.atomic_output import written_whole
from MedSAMSegmentSlicer.results_table import TableRow, add_table_node, write_csv
from MedSAMSegmentSlicer.roi_job import RoiJobResult, measured_again
from MedSAMSegmentSlicer.segmentation_sequence import SequenceResult, sequence_measured_again
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.node_observers import NodeObservers
from MedSAMSegmentWidgets.review_list import ReviewList
from MedSAMSegmentWidgets.text_table import fill_table, set_up_table

_MEASURE_AFTER_MS = 300
"""Edits come in bursts: measured once they are over."""


class ResultsView:
    """Shows what the last run did, with names and measures of the segments as they are.

    Args:
        ui: the module's widgets.
        changed: called when somebody else has changed what the run wrote.
    """

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self._ui = ui
        self._changed = changed
        self._result: RoiJobResult | None = None
        self._of_sequence: SequenceResult | None = None
        self._is_followed = False
        self._is_out_of_date = False
        self._observers = NodeObservers()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_MEASURE_AFTER_MS)
        self._timer.connect("timeout()", self._measure)
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
        return self._result if self._rows else None

    def close(self) -> None:
        self._connections.remove_all()
        self._observers.remove_all()
        self._timer.stop()
        self._timer.disconnect("timeout()", self._measure)

    def follow(self, is_shown: bool) -> None:
        """Measure what was changed while nobody looked, and from now on; or wait until somebody looks again."""
        self._is_followed = is_shown
        if is_shown:
            self._measure()

    def clear(self) -> None:
        """Nothing was run."""
        self._show(None, [], [], _("What was segmented is listed here."))
        self._fill(_("Segment"), [])

    def show(self, result: RoiJobResult) -> None:
        """Show what a run on a volume did."""
        doubtful = [(row.name, each) for row in result.rows for each in row.doubtful]
        rows = [row.measured for row in result.rows]
        self._show(result.segmentation, rows, doubtful, self._title(result))
        self._result = result
        self._ui.updateButton.enabled = True
        self._fill_from(result)
        self._observe(result.segmentation)

    def show_sequence(self, result: SequenceResult) -> None:
        """Show what a run on all time points did."""
        text = _("In {name}, one for each time point:").format(name=result.sequence.GetName())
        self._show(result.shown, result.rows, [], text)
        self._sequence, self._of_sequence = result.sequence, result
        self._fill_from_sequence(result)
        self._observe(result.shown)

    def _title(self, result: RoiJobResult) -> str:
        return _("In {name}:").format(name=result.segmentation.GetName())

    def _fill_from(self, result: RoiJobResult) -> None:
        self._rows = [row.measured for row in result.rows]
        self._fill(_("Segment"), [[row.name, *_measures(row.measured), f"{row.voxels}"] for row in result.rows])

    def _fill_from_sequence(self, result: SequenceResult) -> None:
        self._rows = result.rows
        rows = [[f"{row.segment}, {row.image}", *_measures(row), f"{row.slices}"] for row in result.rows]
        self._fill(_("Segment, time point"), rows, _("Slices"))

    def _show(self, segmentation: Any, rows: list[TableRow], doubtful: Sequence[Any], text: str) -> None:
        self._observers.remove_all()
        self._timer.stop()
        self._is_out_of_date = False
        self._result, self._of_sequence = None, None
        self._segmentation, self._sequence, self._rows = segmentation, None, rows
        self._ui.resultLabel.text = text
        self._review.show(doubtful)
        self._ui.reviewLabel.text = _("Slices to look at: {count}").format(count=len(doubtful)) if doubtful else ""
        self._ui.reviewLabel.setVisible(bool(doubtful))
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
        for button in (self._ui.show3DButton, self._ui.tableButton, self._ui.fileButton):
            button.enabled = bool(rows)

    def _observe(self, segmentation: Any) -> None:
        """Notice when segments are edited, undone, renamed or removed, and when the segmentation is."""
        events = slicer.vtkSegmentation
        for event in (
            events.SourceRepresentationModified,
            events.SegmentModified,
            events.SegmentAdded,
            events.SegmentRemoved,
            slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
        ):
            self._observers.add(segmentation, event, self._segments_changed)
        scene = slicer.mrmlScene
        self._observers.add(scene, scene.NodeRemovedEvent, self._node_removed)

    def _segments_changed(self, _node: Any, _event: Any) -> None:
        self._is_out_of_date = True
        # Time points change all of it when they are browsed: they are measured when somebody comes back or exports.
        if self._is_followed and self._of_sequence is None:
            self._timer.start()

    def _node_removed(self, _scene: Any, _event: Any) -> None:
        if self._segmentation is not None and self._segmentation.GetScene() is None:
            self.clear()
            self._changed()

    def _measure(self) -> None:
        """Show the segments as they are now, if they have changed."""
        if not self._is_out_of_date:
            return
        self._is_out_of_date = False
        if self._of_sequence is not None:
            self._fill_from_sequence(sequence_measured_again(self._of_sequence))
        elif self._result is not None:
            before = self._rows
            now = measured_again(self._result)
            self._fill_from(now)
            if self._rows != before:
                # A word on a file or table that was made of the former ones is not true any more either.
                self._ui.resultLabel.text = self._title(now)
                self._changed()

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
        self._measure()
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
        self._measure()
        try:
            with written_whole(path) as (beside,):
                write_csv(self._rows, beside)
        except MedSAMSegmentError as error:
            self._ui.resultLabel.text = str(error)
            return
        self._ui.resultLabel.text = _("Saved as {path}.").format(path=path)


def _measures(row: TableRow) -> list[str]:
    return [f"{row.volume_ml:.2f}", f"{row.diameter_mm:.1f}", f"{row.confidence:.2f}"]
