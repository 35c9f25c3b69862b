"""What an effect's editor works on, as requests to the model, and whether an answer still fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.free_plane import plane_of_view
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentSlicer.effect_settings import EffectSettings
from MedSAMSegmentSlicer.prompt_work import PromptRequest, layer_thickness
from MedSAMSegmentSlicer.volume_nodes import geometry_from_node, volume_from_node

if TYPE_CHECKING:
    from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
    from MedSAMSegmentLib.geometry.slice_plane import SlicePlane

NEAREST_LAYER = 0.5
"""In layers: a slice view between two layers stands for the nearer one."""


@dataclass(frozen=True)
class EditorNodes:
    """What a Segment Editor works on at a moment. An answer is written only where it was asked for."""

    segmentation: Any
    segment_id: str
    volume: Any


class EditorRequests:
    """Makes requests from the nodes and settings of now. For the main thread.

    Args:
        nodes: what the editor works on now; None if a node is missing.
        settings: the effect's, now.
    """

    def __init__(self, nodes: Callable[[], EditorNodes | None], settings: Callable[[], EffectSettings]) -> None:
        self.nodes = nodes
        self.settings = settings
        self._volume: tuple[Any, Volume] | None = None

    def need_nodes(self) -> EditorNodes:
        """What the editor works on.

        Raises:
            InvalidPromptError: something is missing.
        """
        nodes = self.nodes()
        if nodes is None:
            raise InvalidPromptError("Choose a source volume, a segmentation and a segment first.")
        return nodes

    def volume(self, nodes: EditorNodes) -> Volume:
        """The source volume's voxels, not copied: the same object for as long as they and their place do not change.

        The worker thread reads the node's own memory (see `volume_from_node`). It may be written to meanwhile: what was
        computed from half-changed voxels is not used, see `is_current`.
        """
        image = nodes.volume.GetImageData()
        stamp = (nodes.volume, image, image.GetMTime() if image is not None else 0)
        if self._volume is not None and self._volume[0] == stamp:
            known = self._volume[1]
            if known.geometry.is_same_as(geometry_from_node(nodes.volume)):
                return known
        self._volume = (stamp, volume_from_node(nodes.volume))
        return self._volume[1]

    def forget_volume(self) -> None:
        """Let go of the voxels."""
        self._volume = None

    def is_current(self, nodes: EditorNodes, request: PromptRequest) -> bool:
        """Whether the editor still works on these nodes, and the image is as it was when it was asked about."""
        return self.nodes() == nodes and self.volume(nodes) is request.volume

    def plane_of(self, pose_of_view: Any) -> SlicePlane:
        """The slice of the source volume that a view of a (4, 4) pose shows.

        Raises:
            InvalidPromptError: the view misses the volume, or there is none.
        """
        volume = self.volume(self.need_nodes())
        return plane_of_view(pose_of_view, volume.geometry, layer_tolerance=NEAREST_LAYER)

    def thickness_of(self, plane: SlicePlane) -> float:
        """Of the source volume across a slice, in mm: how thick a box drawn there is."""
        return layer_thickness(plane, self.volume(self.need_nodes()).geometry)

    def request(
        self, nodes: EditorNodes, settings: EffectSettings, roi: OrientedBox, planes: tuple[SlicePlane, ...]
    ) -> PromptRequest:
        """A request for a structure on slices."""
        if not nodes.segmentation.GetSegmentation().GetConversionParameter("Reference image geometry"):
            # Made from surfaces, or empty: its voxels will be the volume's, as with Slicer's own effects.
            nodes.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(nodes.volume)
        return PromptRequest(
            volume=self.volume(nodes),
            planes=planes,
            roi=roi,
            window=settings.window_for(nodes.volume),
            options=settings.mask_options,
        )
