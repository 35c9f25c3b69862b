"""A MRML scene without the desktop: what ``slicer.mrmlScene`` and its modules provide there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HeadlessScene:
    """A scene, and the logics that registered the nodes which live in it.

    Attributes:
        mrml: ``vtkMRMLScene``.
        markups: ``vtkSlicerMarkupsLogic``.
        segmentations: ``vtkSlicerSegmentationsModuleLogic``.
    """

    mrml: Any
    markups: Any
    segmentations: Any


@contextmanager
def headless_scene() -> Iterator[HeadlessScene]:
    """A new scene for as long as it is needed; its nodes are gone afterwards."""
    import slicer

    mrml = slicer.vtkMRMLScene()
    # Brings the selection and interaction nodes, without which the markups logic complains at every step.
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(mrml)
    markups = slicer.vtkSlicerMarkupsLogic()
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    logics = (application, markups, segmentations)
    for logic in logics[1:]:
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(mrml)
    try:
        yield HeadlessScene(mrml, markups, segmentations)
    finally:
        mrml.Clear(True)
