"""ROIs applied to every frame of a time sequence: a sequence of segmentations comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from MedSAMSegmentLib.errors import CancelledError, InvalidImageError, InvalidPromptError
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentLib.propagation.structure import segment_structure
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.matrices import node_to_world
from MedSAMSegmentSlicer.provenance import Provenance, describe_box, describe_window, identity_fields, tag_segment
from MedSAMSegmentSlicer.results_table import TableRow, measured
from MedSAMSegmentSlicer.roi_nodes import Roi
from MedSAMSegmentSlicer.scene import headless_scene
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from MedSAMSegmentSlicer.volume_nodes import add_volume_node, volume_from_node


@dataclass(frozen=True)
class Frame:
    """One volume of a sequence.

    Attributes:
        index_value: what the sequence counts it by, such as a time: text, with the sequence's own digits.
        volume: a view of the sequence's voxels, in the sequence's coordinates.
    """

    index_value: str
    volume: Volume


@dataclass(frozen=True)
class SequenceResult:
    """What was made of a sequence.

    Attributes:
        sequence: ``vtkMRMLSequenceNode`` of segmentations with the index of the volumes' one.
        rows: a row for each ROI of each frame, frame after frame; the image is the sequence's name and the index.
    """

    sequence: Any
    rows: list[TableRow]


def segment_sequence(
    scene: Any,
    sequence: Any,
    rois: Sequence[Roi],
    model: SegmentationModel,
    *,
    level: str = "auto",
    window_rule: str = "auto",
    orientation: str = "auto",
    mask_options: MaskOptions | None = None,
    proxy: Any = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SequenceResult:
    """Segment what the ROIs surround in every frame; the scene gets the result when all of it is there.

    The window is chosen for each frame as for a volume of its own.

    Args:
        scene: ``vtkMRMLScene``, which gets the new sequence node.
        sequence: ``vtkMRMLSequenceNode`` of volumes.
        rois: in the world; one segment each, in every frame.
        model: answers.
        level: see `segment_structure`, as window_rule, orientation and mask_options.
        proxy: the volume node that shows the sequence in the scene: its parent transform tells where the frames lie.
            The proxy of the new sequence belongs under the same transform. None for frames that lie in the world.
        progress: told the share that is done, and what is going on.
        cancelled: asked between slices.

    Raises:
        InvalidImageError: the sequence is empty, or holds something else than volumes.
        InvalidPromptError: there is no ROI, or one lies outside of a frame.
        InvalidOptionError: no such level, window rule or orientation.
        CancelledError: ``cancelled`` said so; nothing was added to the scene.
    """
    if not rois:
        raise InvalidPromptError("There is no ROI. Place one around the structure: module Markups, ROI.")
    frames = frames_of(sequence)
    world_to_sequence = np.linalg.inv(np.eye(4) if proxy is None else node_to_world(proxy))
    boxes = [OrientedBox(world_to_sequence @ roi.box.object_to_ras, roi.box.size_mm) for roi in rois]
    found = segment_frames(
        frames,
        boxes,
        model,
        level=level,
        window_rule=window_rule,
        orientation=orientation,
        mask_options=mask_options,
        progress=progress,
        cancelled=cancelled,
    )
    return add_segmentation_sequence(scene, sequence, frames, rois, found, model.identity)


def frames_of(sequence: Any) -> list[Frame]:
    """The volumes of a ``vtkMRMLSequenceNode``.

    Raises:
        InvalidImageError: there is none, or a frame is something else or has no voxels.
    """
    count = sequence.GetNumberOfDataNodes()
    if count == 0:
        raise InvalidImageError(f"The sequence {sequence.GetName()!r} is empty. Choose another one.")
    frames = []
    for n in range(count):
        node = sequence.GetNthDataNode(n)
        if not node.IsA("vtkMRMLScalarVolumeNode"):
            raise InvalidImageError(
                f"The sequence {sequence.GetName()!r} holds {node.GetNodeTagName()!r}, not volumes. Choose a sequence "
                "of volumes."
            )
        frames.append(Frame(sequence.GetNthIndexValue(n), volume_from_node(node)))
    return frames


def segment_frames(
    frames: Sequence[Frame],
    boxes: Sequence[OrientedBox],
    model: SegmentationModel,
    *,
    level: str = "auto",
    window_rule: str = "auto",
    orientation: str = "auto",
    mask_options: MaskOptions | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[list[Structure]]:
    """The structures of every frame, in the boxes' order: numpy in, numpy out, no node is touched.

    Boxes are in the frames' coordinates; the rest, and errors, as in `segment_sequence`.
    """
    total = len(frames) * len(boxes)
    structures = []
    for n, frame in enumerate(frames):
        of_frame = []
        for m, box in enumerate(boxes):
            if cancelled is not None and cancelled():
                raise CancelledError("Cancelled. Nothing was written.")

            def advance(done: float, text: str, before: int = n * len(boxes) + m, number: int = n + 1) -> None:
                if progress is not None:
                    progress((before + done) / total, f"Frame {number} of {len(frames)}: {text}")

            try:
                structure = segment_structure(
                    frame.volume,
                    box,
                    model,
                    level=level,
                    window_rule=window_rule,
                    orientation=orientation,
                    mask_options=mask_options,
                    progress=advance,
                    cancelled=cancelled,
                )
            except InvalidPromptError as error:
                raise InvalidPromptError(f"Frame {n + 1} of {len(frames)}: {error}") from error
            of_frame.append(structure)
        structures.append(of_frame)
    return structures


def add_segmentation_sequence(
    scene: Any,
    sequence: Any,
    frames: Sequence[Frame],
    rois: Sequence[Roi],
    structures: Sequence[Sequence[Structure]],
    identity: ModelIdentity,
) -> SequenceResult:
    """Put what was found into a scene, as a sequence of segmentations.

    Args:
        scene: ``vtkMRMLScene``.
        sequence: of the volumes; the new one is named after it and has its index.
        frames: of the sequence.
        rois: which the segments are named and coloured after.
        structures: from `segment_frames`.
        identity: of the model.

    Raises:
        SegmentWriteError: the engine did not take a mask.
    """
    import slicer

    result = slicer.vtkMRMLSequenceNode()
    result.SetName(scene.GenerateUniqueName(f"{sequence.GetName()} segmentation"))
    result.SetIndexName(sequence.GetIndexName())
    result.SetIndexUnit(sequence.GetIndexUnit())
    result.SetIndexType(sequence.GetIndexType())
    rows = []
    # A scene of its own: in the user's one, every frame would flash up in the views and in the lists of nodes.
    with headless_scene() as workshop:
        for frame, of_frame in zip(frames, structures, strict=True):
            volume_node = add_volume_node(workshop.mrml, frame.volume, "Frame")
            segmentation = workshop.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode", result.GetName())
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
            with logic_segment_writer(workshop.mrml, segmentation, volume_node) as writer:
                ids = [writer.add_segment(roi.name, roi.color) for roi in rois]
                edits = [
                    SegmentEdit(segment_id, structure.block)
                    for segment_id, structure in zip(ids, of_frame, strict=True)
                ]
                writer.write(edits)
            for segment_id, roi, structure in zip(ids, rois, of_frame, strict=True):
                segment = segmentation.GetSegmentation().GetSegment(segment_id)
                tag_segment(segment, _provenance(identity, roi, structure))
                rows.append(_row(f"{sequence.GetName()} {frame.index_value}", segment.GetName(), structure))
            result.SetDataNodeAtValue(segmentation, frame.index_value)
            workshop.mrml.RemoveNode(segmentation)
            workshop.mrml.RemoveNode(volume_node)
    scene.AddNode(result)
    return SequenceResult(result, rows)


def _provenance(identity: ModelIdentity, roi: Roi, structure: Structure) -> Provenance:
    return Provenance(
        **identity_fields(identity),
        prompt=describe_box(roi.box),
        plane=f"{structure.orientation}, slices: all",
        window=describe_window(structure.window),
        level=structure.level,
        predicted_iou=f"{structure.predicted_iou:.3f}",
    )


def _row(image: str, segment: str, structure: Structure) -> TableRow:
    return measured(
        image,
        segment,
        structure.block,
        len(structure.slices),
        len(structure.doubtful_slices),
        structure.confidence,
    )
