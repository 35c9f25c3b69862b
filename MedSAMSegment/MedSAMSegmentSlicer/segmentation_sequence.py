"""A sequence of segmentations beside a sequence of volumes: made, and shown with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.provenance import provenance_of, tag_segment
from MedSAMSegmentSlicer.results_table import TableRow, measured
from MedSAMSegmentSlicer.roi_nodes import Roi
from MedSAMSegmentSlicer.scene import headless_scene
from MedSAMSegmentSlicer.segment_block import segment_block
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
        shown: ``vtkMRMLSegmentationNode`` in which the browser shows the present frame of it.
        rows: a row for each ROI of each frame, frame after frame; the image is the sequence's name and the index.
        segments: of each row: the frame's index value, and the segment's id.
    """

    sequence: Any
    shown: Any
    rows: list[TableRow]
    segments: list[tuple[str, str]]


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


def browser_of(volume_node: Any) -> Any:
    """The ``vtkMRMLSequenceBrowserNode`` that shows a sequence's frames in a volume node; None for other volumes."""
    scene = volume_node.GetScene()
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(n, "vtkMRMLSequenceBrowserNode")
        if browser.GetSequenceNode(volume_node) is not None:
            return browser
    return None


def add_segmentation_sequence(
    browser: Any,
    volume_node: Any,
    frames: Sequence[Frame],
    rois: Sequence[Roi],
    structures: Sequence[Sequence[Structure]],
    identity: ModelIdentity,
) -> SequenceResult:
    """Put what was found beside a sequence of volumes, as a sequence of segmentations.

    Args:
        browser: ``vtkMRMLSequenceBrowserNode`` that shows the volumes, and from now on the segmentations as well.
        volume_node: in which it shows them; the new sequence is named after theirs and has its index.
        frames: of their sequence.
        rois: which the segments are named and coloured after.
        structures: of each frame, in the ROIs' order.
        identity: of the model.

    Raises:
        SegmentWriteError: the engine did not take a mask.
    """
    import slicer

    scene, sequence = volume_node.GetScene(), browser.GetSequenceNode(volume_node)
    result = slicer.vtkMRMLSequenceNode()
    result.SetName(scene.GenerateUniqueName(f"{sequence.GetName()} segmentation"))
    result.SetIndexName(sequence.GetIndexName())
    result.SetIndexUnit(sequence.GetIndexUnit())
    result.SetIndexType(sequence.GetIndexType())
    rows = []
    segments = []
    # A scene of its own: in the user's one, every frame would flash up in the views and in the lists of nodes.
    with headless_scene() as workshop:
        for frame, of_frame in zip(frames, structures, strict=True):
            frame_node = add_volume_node(workshop.mrml, frame.volume, "Frame")
            segmentation = workshop.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode", result.GetName())
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(frame_node)
            with logic_segment_writer(workshop.mrml, segmentation, frame_node) as writer:
                ids = [writer.add_segment(roi.name, roi.color) for roi in rois]
                edits = [
                    SegmentEdit(segment_id, structure.block)
                    for segment_id, structure in zip(ids, of_frame, strict=True)
                ]
                writer.write(edits)
            for segment_id, roi, structure in zip(ids, rois, of_frame, strict=True):
                segment = segmentation.GetSegmentation().GetSegment(segment_id)
                tag_segment(segment, provenance_of(identity, roi.box, structure))
                rows.append(_row(f"{sequence.GetName()} {frame.index_value}", segment.GetName(), structure))
                segments.append((frame.index_value, segment_id))
            result.SetDataNodeAtValue(segmentation, frame.index_value)
            workshop.mrml.RemoveNode(segmentation)
            workshop.mrml.RemoveNode(frame_node)
    scene.AddNode(result)
    return SequenceResult(result, _show_beside(browser, volume_node, result), rows, segments)


def sequence_measured_again(result: SequenceResult) -> SequenceResult:
    """The result with names and measures of the segments as they are now; removed ones are left out."""
    rows, segments = [], []
    for row, (index_value, segment_id) in zip(result.rows, result.segments, strict=True):
        node = result.sequence.GetDataNodeAtValue(index_value)
        segment = None if node is None else node.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            continue
        block = segment_block(node, segment_id)
        rows.append(measured(row.image, segment.GetName(), block, row.slices, row.doubtful_slices, row.confidence))
        segments.append((index_value, segment_id))
    return replace(result, rows=rows, segments=segments)


def _show_beside(browser: Any, volume_node: Any, sequence: Any) -> Any:
    """Let a browser show a new sequence of segmentations with the volume that it shows already.

    Returns:
        The ``vtkMRMLSegmentationNode`` that shows it, where the volume is.
    """
    import slicer

    browser.AddSynchronizedSequenceNode(sequence)
    # What is corrected at a time point belongs to it, and is not lost when the next one is shown.
    browser.SetSaveChanges(sequence, True)
    logic = slicer.vtkSlicerSequencesLogic()
    # Frames are held by a browser's nodes as soon as something asks it to: without the desktop nobody else does.
    logic.UpdateProxyNodesFromSequences(browser)
    shown = browser.GetProxyNode(sequence)
    shown.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    return shown


def _row(image: str, segment: str, structure: Structure) -> TableRow:
    return measured(
        image,
        segment,
        structure.block,
        len(structure.slices),
        len(structure.doubtful_slices),
        structure.confidence,
    )
