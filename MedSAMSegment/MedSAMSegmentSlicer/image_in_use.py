"""Nodes while something is computed from them: what comes of removed nodes or changed voxels is of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOptionError
from MedSAMSegmentSlicer.volume_nodes import geometry_from_node, volume_from_node

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.volume import Volume


def image_was_changed(node: Any) -> InvalidImageError:
    """What to tell the user then."""
    return InvalidImageError(
        f"The volume {node.GetName()!r} was changed while it was segmented. Nothing was written: segment it again."
    )


def need_in_scene(scene: Any, *nodes: Any) -> None:
    """Before anything is written to nodes.

    Raises:
        InvalidOptionError: one was removed meanwhile.
    """
    for node in nodes:
        if not scene.IsNodePresent(node):
            raise InvalidOptionError(
                f"{node.GetName()!r} was removed from the scene meanwhile. Nothing was written: choose another one and "
                "segment again."
            )


class ImageInUse:
    """The voxels of a volume node, and whether they and their place are still as they were.

    Args:
        node: ``vtkMRMLScalarVolumeNode``.
        volume: its voxels, if they are known already.

    Raises:
        InvalidImageError: see `volume_from_node`.
    """

    def __init__(self, node: Any, volume: Volume | None = None) -> None:
        self._node = node
        self._image = node.GetImageData()
        self._time = 0 if self._image is None else self._image.GetMTime()
        self.volume = volume_from_node(node) if volume is None else volume

    def check(self) -> None:
        """Before anything is written.

        Raises:
            InvalidImageError: the image was edited, replaced or moved.
        """
        image = self._node.GetImageData()
        is_same = image is self._image and image.GetMTime() == self._time
        if not (is_same and self.volume.geometry.is_same_as(geometry_from_node(self._node))):
            raise image_was_changed(self._node)
