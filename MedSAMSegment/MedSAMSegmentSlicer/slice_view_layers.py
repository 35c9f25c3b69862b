"""What a slice view shows."""

from __future__ import annotations

from typing import Any


def shows_volume(slice_node: Any, volume: Any) -> bool:
    """Whether a slice view shows a volume. A view without a ``vtkMRMLSliceCompositeNode`` is taken to show it."""
    nodes = slice_node.GetScene().GetNodesByClass("vtkMRMLSliceCompositeNode")
    nodes.UnRegister(None)
    for composite in (nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())):
        if composite.GetLayoutName() == slice_node.GetLayoutName():
            opacity = composite.GetForegroundOpacity() if composite.GetForegroundVolumeID() is not None else 0.0
            return bool(
                (volume.GetID() == composite.GetBackgroundVolumeID() and opacity < 1.0)
                or (volume.GetID() == composite.GetForegroundVolumeID() and opacity > 0.0)
            )
    return True
