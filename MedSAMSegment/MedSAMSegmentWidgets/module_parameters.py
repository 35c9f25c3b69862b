"""The module's parameters: stored in the scene, and connected to the widgets of the same names."""

from typing import Annotated, Any

from slicer import vtkMRMLMarkupsNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

from MedSAMSegmentLib.intensity.presets import PRESETS

PLANES = ["auto", "axial", "sagittal", "coronal"]
WINDOWS = ["auto", "roi", "percentile", *PRESETS]
LEVELS = ["auto", "fast", "best"]


@parameterNodeWrapper
class ModuleParameters:
    """What *Segment ROIs* is set to.

    volume: image to segment.
    allTimePoints: every time point of the sequence that the volume shows, if it shows one.
    allRois: every ROI of the scene, or those of ``rois``.
    rois: chosen ones: ROIs, lines, planes, closed curves.
    marginMm: of ROIs around segments.
    segmentation: to be continued; a new one if there is none.
    model: id or path; the application's default if empty.
    plane, window, level: as on the command line.
    """

    volume: vtkMRMLScalarVolumeNode
    allTimePoints: bool = False
    allRois: bool = True
    rois: list[vtkMRMLMarkupsNode]
    marginMm: float = 5.0
    segmentation: vtkMRMLSegmentationNode
    model: str = ""
    plane: Annotated[str, Choice(PLANES)] = "auto"
    window: Annotated[str, Choice(WINDOWS)] = "auto"
    level: Annotated[str, Choice(LEVELS)] = "auto"


def show_choices(ui: Any) -> None:
    """Give the choices, which widgets show as they are stored, the same words as in the effect."""
    own = {
        "auto": _("Automatic"),
        "roi": _("From the ROI"),
        "percentile": _("Percentiles of the volume"),
    } | {name: f"CT {name}: {level:g} / {width:g}" for name, (level, width) in PRESETS.items()}
    for combo, choices in ((ui.planeComboBox, PLANES), (ui.windowComboBox, WINDOWS), (ui.levelComboBox, LEVELS)):
        for index, choice in enumerate(choices):
            combo.setItemText(index, own.get(choice, choice.capitalize()))
