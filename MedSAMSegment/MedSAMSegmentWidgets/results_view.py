"""The result table, the list of doubtful slices, and Show 3D."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_job import DoubtfulSlice, RoiJobResult
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.text_table import fill_table, set_up_table


class ResultsView:
    """Shows what the last run did.

    Args:
        ui: the module's widgets.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._result: RoiJobResult | None = None
        self._doubtful: list[DoubtfulSlice] = []
        set_up_table(ui.resultTable, [_("Segment"), _("mL"), _("mm"), _("Confidence"), _("Voxels")])
        set_up_table(ui.reviewTable, [_("Segment"), _("Position (R, A, S mm)"), _("Confidence")])
        tips = (_("Name of the segment"), _("Volume"), _("Largest axial diameter"), _("The model's own estimate"), "")
        for column, tip in enumerate(tips):
            ui.resultTable.horizontalHeaderItem(column).setToolTip(tip)
        self._connections = Connections()
        self._connections.add(ui.show3DButton, "clicked()", self._show_3d)
        self._connections.add(ui.reviewTable, "cellClicked(int,int)", self._jump)
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
        self._doubtful = []
        fill_table(self._ui.resultTable, [])
        fill_table(self._ui.reviewTable, [])
        self._ui.reviewLabel.text = ""
        self._ui.show3DButton.enabled = False
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
        self._doubtful = [each for _name, each in listed]
        fill_table(
            self._ui.reviewTable,
            [[name, ", ".join(f"{x:.1f}" for x in each.center_ras), f"{each.confidence:.2f}"] for name, each in listed],
        )
        self._ui.reviewLabel.text = _("Slices to look at: {count}").format(count=len(listed)) if listed else ""
        self._ui.show3DButton.enabled = True
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

    def _jump(self, row: int, _column: int) -> None:
        if 0 <= row < len(self._doubtful):
            slicer.modules.markups.logic().JumpSlicesToLocation(*self._doubtful[row].center_ras, True)
