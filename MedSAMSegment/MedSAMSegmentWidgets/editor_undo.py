"""*Undo* of the Segment Editor for what is written to a segmentation without it."""

from __future__ import annotations

from typing import Any

import qt
import slicer


def save_state_in_editors(segmentation: Any) -> None:
    """Make what is done next to a segmentation one step of *Undo* in every Segment Editor that shows it.

    Without it, *Undo* goes back behind the user's own last step as well.
    """
    for widget in qt.QApplication.allWidgets():
        if isinstance(widget, slicer.qMRMLSegmentEditorWidget) and widget.segmentationNode() is segmentation:
            widget.saveStateForUndo()
