"""From files to files: the work of ``medsam-segment segment``.

What can be refused cheaply is refused first: nobody waits for a model to hear that a folder does not exist.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.geometry.box_around import check_thickness
from MedSAMSegmentLib.geometry.free_plane import plane_through
from MedSAMSegmentLib.geometry.slice_stack import ORIENTATIONS
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.intensity.rules import check_rule
from MedSAMSegmentLib.models.description import PreprocessingName
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import SegmentationModel
from MedSAMSegmentLib.propagation.levels import LEVELS
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentLib.propagation.single_plane import segment_on_plane
from MedSAMSegmentLib.propagation.structure import segment_structure
from MedSAMSegmentSlicer.atomic_output import check_output, written_whole
from MedSAMSegmentSlicer.command_line.console import shown
from MedSAMSegmentSlicer.command_line.contact_sheet import MAX_TILES, pick_tiles, save_contact_sheet
from MedSAMSegmentSlicer.command_line.input_reader import InputReader
from MedSAMSegmentSlicer.command_line.path_checks import check_cache_folder, check_input, check_name
from MedSAMSegmentSlicer.command_line.preview import structure_tiles
from MedSAMSegmentSlicer.command_line.report import JobReport, RoiReport
from MedSAMSegmentSlicer.logic_segment_writer import LogicSegmentWriter, Overwrite, logic_segment_writer
from MedSAMSegmentSlicer.plane_nodes import NamedPlane
from MedSAMSegmentSlicer.provenance import describe_window, provenance_of, tag_segment
from MedSAMSegmentSlicer.results_table import TABLE_SUFFIX, TableRow, measured, write_csv
from MedSAMSegmentSlicer.roi_nodes import Roi
from MedSAMSegmentSlicer.scene import headless_scene
from MedSAMSegmentSlicer.segment_block import segment_block
from MedSAMSegmentSlicer.segment_writer import SegmentEdit, on_reference_grid
from MedSAMSegmentSlicer.segmentation_files import (
    LABELMAP_SUFFIX,
    OUTPUT_SUFFIXES,
    check_grid,
    check_same_place,
    load_segmentation,
    write_segmentation,
)
from MedSAMSegmentSlicer.temporary_folders import remove_leftovers
from MedSAMSegmentSlicer.volume_nodes import add_volume_node

PREVIEW_SUFFIXES = (".png",)
_SHARE_BEFORE, _SHARE_AFTER = 0.1, 0.95
"""Of the progress bar: reading and loading take the part before, writing the part after."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class SegmentJob:
    """What ``medsam-segment segment`` was asked for; each field is the option of its name."""

    volume: Path
    rois: tuple[Path, ...]
    output: Path
    model: str = "lite-medsam"
    device: str = "auto"
    precision: str = "auto"
    preprocessing: PreprocessingName | None = None
    level: str = "auto"
    plane: str = "auto"
    slices: str = "all"
    window: str = "auto"
    segmentation: Path | None = None
    overwrite: Overwrite = "none"
    mask_options: MaskOptions = field(default_factory=MaskOptions)
    series: str | None = None
    preview: Path | None = None
    embedding_cache: Path | None = None
    thickness: float | None = None
    table: Path | None = None


def run(
    job: SegmentJob, progress: Progress, note: Callable[[str], None], written: list[Path], reader: InputReader
) -> JobReport:
    """Do the job; the files are there when it returns, and none of them if it raises.

    Args:
        job: what to do.
        progress: told the share that is done, and what is going on.
        note: told what the user should know: the window that was used, what was left out.
        written: gets the files, all at once, when they are in place: an interruption can come after that.
        reader: of the input files; closed when they are read.

    Raises:
        MedSAMSegmentError: the input, the options or the output are not right.
    """
    start = time.perf_counter()
    slices = _check(job)
    named_plane = reader.parse_plane(job.plane) if job.plane not in ("auto", *ORIENTATIONS) else None
    rois = [roi for path in job.rois for roi in reader.read_rois(path, job.thickness)]
    progress(0.02, "Reading the volume")
    volume = reader.read_volume(job.volume, job.series, note)
    if job.segmentation is None:
        check_grid(job.output, volume.geometry)
    else:
        for grid in reader.check_segmentation(job.segmentation):
            check_same_place(job.segmentation, grid, volume.geometry)
    reader.close()  # gives its memory back
    progress(0.05, "Loading the model")
    before_loading = time.perf_counter()
    model = load_model(job.model, job.device, job.precision, preprocessing=job.preprocessing)
    load_seconds = time.perf_counter() - before_loading

    structures = _segment(job, slices, named_plane, volume, rois, model, progress, note)
    progress(_SHARE_AFTER, "Writing")
    reports = _write(job, volume, rois, structures, model, load_seconds, note, written)
    return JobReport(tuple(reports), model.identity, model.device, model.precision, time.perf_counter() - start)


def _check(job: SegmentJob) -> tuple[float, ...] | str:
    """Refuse what is wrong before anything is read; the slices that were asked for."""
    inputs = (job.volume, *job.rois, *(() if job.segmentation is None else (job.segmentation,)))
    for path in inputs:
        check_input(path)
    for path in (job.output, job.preview, job.table):
        if path is not None:
            check_name(path)
            remove_leftovers(path.parent)
    check_output(job.output, OUTPUT_SUFFIXES, inputs)
    if job.preview is not None:
        check_output(job.preview, PREVIEW_SUFFIXES, inputs)
    if job.table is not None:
        check_output(job.table, (TABLE_SUFFIX,), inputs)
    if job.embedding_cache is not None:
        check_cache_folder(job.embedding_cache, inputs)
    check_rule(job.window)
    check_thickness(job.thickness)
    if job.level not in LEVELS:
        raise InvalidOptionError(f"There is no level {job.level!r}. Use one of: {', '.join(LEVELS)}.")
    if job.slices not in ("all", "center") and job.plane not in ("auto", *ORIENTATIONS):
        raise InvalidOptionError(
            f"The plane {job.plane!r} is itself the one slice to segment: slices {job.slices!r} do not go with it. "
            "Leave out --slices, or use --plane auto, axial, sagittal or coronal."
        )
    if job.slices in ("all", "center"):
        return job.slices
    try:
        return tuple(float(position) for position in job.slices.split(","))
    except ValueError:
        raise InvalidOptionError(
            f"There is no choice of slices {job.slices!r}. Use all, center, or positions in mm such as -12.5,0,12.5."
        ) from None


def _segment(
    job: SegmentJob,
    slices: tuple[float, ...] | str,
    named_plane: NamedPlane | None,
    volume: Volume,
    rois: list[Roi],
    model: SegmentationModel,
    progress: Progress,
    note: Callable[[str], None],
) -> list[Structure]:
    cache = EmbeddingCache() if job.embedding_cache is None else DiskEmbeddingCache(job.embedding_cache)
    structures = []
    oblique = None
    if named_plane is not None:
        oblique = plane_through(named_plane.normal_ras, named_plane.point_ras, volume.geometry)
        if job.level == "best":
            note("The level best averages views of many slices: on the one plane that was given there is fast only.")
    for n, roi in enumerate(rois):

        def advance(done: float, text: str, n: int = n, name: str = roi.name) -> None:
            share = (n + done) / len(rois)
            progress(_SHARE_BEFORE + (_SHARE_AFTER - _SHARE_BEFORE) * share, f"{name}: {text}")

        if oblique is not None:
            structure = segment_on_plane(
                volume, roi.box, oblique, model, window_rule=job.window, mask_options=job.mask_options, cache=cache
            )
        else:
            structure = segment_structure(
                volume,
                roi.box,
                model,
                level=job.level,
                window_rule=job.window,
                orientation=job.plane,
                slices=slices,
                mask_options=job.mask_options,
                cache=cache,
                progress=advance,
            )
        name = shown(roi.name)  # on one line of the terminal, whatever is in it
        note(
            f"{name}: {len(structure.slices)} {structure.orientation} slices, level {structure.level}, window "
            f"{describe_window(structure.window)}"
        )
        if structure.block is None:
            note(f"{name}: the model found nothing in this ROI; its segment is empty.")
        if structure.touches_roi_border:
            note(f"{name}: the structure is cut off by the ROI's border. Make the ROI larger if it goes on there.")
        if structure.doubtful_slices:
            positions = ", ".join(f"{result.position_mm:.1f}" for result in structure.doubtful_slices)
            note(f"{name}: look at the slices at {positions} mm, of which the model is not sure.")
        structures.append(structure)
    return structures


def _write(
    job: SegmentJob,
    volume: Volume,
    rois: list[Roi],
    structures: list[Structure],
    model: SegmentationModel,
    load_seconds: float,
    note: Callable[[str], None],
    written: list[Path],
) -> list[RoiReport]:
    with headless_scene() as scene:
        volume_node = add_volume_node(scene.mrml, volume, job.volume.name)
        segmentation = _segmentation(scene.mrml, job, volume_node)
        # It holds one segment a voxel: those that are there stay.
        is_labelmap = job.output.name.lower().endswith(LABELMAP_SUFFIX)
        with logic_segment_writer(scene.mrml, segmentation, volume_node, overwrite=job.overwrite) as writer:
            if is_labelmap and job.overwrite == "none":
                editor_node = writer.editor.GetSegmentEditorNode()
                editor_node.SetMaskMode(segmentation.EditAllowedOutsideAllSegments)
            segments = [
                _write_one(writer, segmentation, roi, structure, model, load_seconds, job)
                for roi, structure in zip(rois, structures, strict=True)
            ]
        reports = []
        for (segment_id, added, seconds), structure in zip(segments, structures, strict=True):
            name = segmentation.GetSegmentation().GetSegment(segment_id).GetName()
            # Only now: a later segment may have taken from an earlier one what it overwrites.
            report = RoiReport(segment_id, name, structure, segment_block(segmentation, segment_id), seconds)
            if report.voxels < added:
                note(
                    f"{shown(name)}: a later ROI's segment lies on it and has taken {added - report.voxels} of its "
                    f"{added} voxels. Use --overwrite none to keep both."
                )
            mask = None if structure.block is None else on_reference_grid(structure.block, segmentation)
            kept_out = 0 if mask is None else mask.voxel_count - added
            if is_labelmap and kept_out > 0:
                note(
                    f"{shown(name)}: {kept_out} of its voxels belong to earlier segments, and a labelmap holds one "
                    "segment a voxel. Write .seg.nrrd to keep both, or use --overwrite all to give them to the later "
                    "one."
                )
            reports.append(report)
        wanted = {"output": job.output, "preview": job.preview, "table": job.table}
        outputs = {option: path for option, path in wanted.items() if path is not None}
        with written_whole(*outputs.values(), done=lambda: written.extend(outputs.values())) as temporary:
            paths = dict(zip(outputs, temporary, strict=True))
            write_segmentation(segmentation, paths["output"], job.volume)
            if "table" in paths:
                write_csv([_measured(job.volume, report) for report in reports], paths["table"])
            if "preview" in paths:
                tiles = structure_tiles(volume, list(zip(rois, structures, strict=True)))
                if len(tiles) > MAX_TILES:
                    note(f"The preview shows {MAX_TILES} of {len(tiles)} slices.")
                save_contact_sheet(pick_tiles(tiles), paths["preview"])
    return reports


def _measured(volume: Path, report: RoiReport) -> TableRow:
    structure = report.structure
    return measured(
        str(volume),  # as it was given: in a cohort, files of the same name lie in different folders
        report.name,
        report.held,
        len(structure.slices),
        len(structure.doubtful_slices),
        structure.confidence,
    )


def _segmentation(scene: Any, job: SegmentJob, volume_node: Any) -> Any:
    if job.segmentation is not None:
        return load_segmentation(scene, job.segmentation)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    return node


def _write_one(
    writer: LogicSegmentWriter,
    segmentation: Any,
    roi: Roi,
    structure: Structure,
    model: SegmentationModel,
    load_seconds: float,
    job: SegmentJob,
) -> tuple[str, int, dict[str, float]]:
    """The segment's id, how many voxels it has got, and seconds per stage."""
    before = time.perf_counter()
    segment_id = writer.add_segment(roi.name, roi.color)
    (result,) = writer.write([SegmentEdit(segment_id, structure.block)])
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    tag_segment(segment, provenance_of(model.identity, roi.box, structure, job.slices))
    seconds = {
        "load_model": load_seconds,
        "encode": structure.encode_seconds,
        "decode": structure.decode_seconds,
        "write": time.perf_counter() - before,
    }
    return segment_id, result.added, seconds
