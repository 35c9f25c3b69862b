"""The module's parameters: stored in the scene, and connected to the widgets of the same names."""

from typing import Annotated

from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

from MedSAMSegmentLib.intensity.presets import PRESETS

PLANES = ["auto", "axial", "sagittal", "coronal"]
WINDOWS = ["auto", "roi", "percentile", *PRESETS]
LEVELS = ["auto", "fast", "best"]


@parameterNodeWrapper
class ModuleParameters:
    """What *Segment ROIs* is set to.

    volume: image to segment.
    allRois: every ROI of the scene, or those of ``rois``.
    rois: chosen ones.
    segmentation: to be continued; a new one if there is none.
    model: id or path; the application's default if empty.
    plane, window, level: as on the command line.
    """

    volume: vtkMRMLScalarVolumeNode
    allRois: bool = True
    rois: list[vtkMRMLMarkupsROINode]
    segmentation: vtkMRMLSegmentationNode
    model: str = ""
    plane: Annotated[str, Choice(PLANES)] = "auto"
    window: Annotated[str, Choice(WINDOWS)] = "auto"
    level: Annotated[str, Choice(LEVELS)] = "auto"
