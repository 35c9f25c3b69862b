"""``medsam-segment segment``: options, and what is printed. The work itself is in ``job.py``."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from MedSAMSegmentLib.errors import InvalidOutputError
from MedSAMSegmentSlicer.command_line.console import (
    library_output_apart,
    log,
    print_result,
    progress_bar,
    say,
    shown,
)
from MedSAMSegmentSlicer.command_line.input_reader import InputReader
from MedSAMSegmentSlicer.command_line.interruptions import Interrupted, stop_if_interrupted


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(str, Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Preprocessing(str, Enum):
    auto = "auto"
    medsam = "medsam"
    sam = "sam"


class Level(str, Enum):
    auto = "auto"
    fast = "fast"
    best = "best"


class Overwrite(str, Enum):
    all = "all"
    visible = "visible"
    none = "none"


def segment(
    volume: Annotated[
        Path, typer.Argument(metavar="VOLUME", help="NRRD, NIfTI, MHA or DICOM file, or a folder with a DICOM series.")
    ],
    roi: Annotated[
        list[Path],
        typer.Option(
            "--roi",
            metavar="ROI.mrk.json",
            help="Markups file: ROIs, lines (longest diameter), planes, closed curves. Repeatable.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Result: .seg.nrrd (Slicer segmentation) or .nii.gz (labelmap).")
    ],
    model: Annotated[
        str, typer.Option(help="Model id (see `medsam-segment models`), a local folder or a checkpoint file.")
    ] = "lite-medsam",
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    precision: Annotated[Precision, typer.Option(help="auto: what the device does well.")] = Precision.auto,
    preprocessing: Annotated[
        Preprocessing,
        typer.Option(help="For a local model. auto: MedSAM's if its name says medsam, else SAM's."),
    ] = Preprocessing.auto,
    level: Annotated[
        Level,
        typer.Option(
            help="fast: about one encoder pass a slice. best: several, averaged. auto: best on a GPU, else fast."
        ),
    ] = Level.auto,
    plane: Annotated[
        str,
        typer.Option(
            help="auto (across the coarsest spacing; axial when isotropic), axial, sagittal, coronal; or an oblique "
            "plane: a markups plane file (.mrk.json), or a normal and an origin in RAS mm, 'NX,NY,NZ X,Y,Z'."
        ),
    ] = "auto",
    slices: Annotated[
        str,
        typer.Option(help="Slices: all that the ROI crosses, its center one, or those at RAS positions MM[,MM…]."),
    ] = "all",
    window: Annotated[
        str,
        typer.Option(help="auto, roi, percentile, soft-tissue, lung, bone, brain, liver, or LEVEL,WIDTH."),
    ] = "auto",
    segmentation: Annotated[
        Path | None, typer.Option(metavar="IN.seg.nrrd", help="Continue this segmentation; it is not changed itself.")
    ] = None,
    overwrite: Annotated[
        Overwrite,
        typer.Option(
            help="Which other segments give way where the new one is. none: they overlap in .seg.nrrd; in a labelmap, "
            "which cannot hold both, the earlier ones stay."
        ),
    ] = Overwrite.none,
    threshold: Annotated[float, typer.Option(help="Probability from which a voxel belongs to the structure.")] = 0.5,
    fill_holes: Annotated[bool, typer.Option("--fill-holes", help="Fill what the segment encloses.")] = False,
    keep_largest: Annotated[bool, typer.Option("--keep-largest", help="Keep only the largest connected part.")] = False,
    smoothing: Annotated[
        float, typer.Option(metavar="MM", help="Radius of a median filter, up to 100; 0 for none.")
    ] = 0.0,
    thickness: Annotated[
        float | None,
        typer.Option(
            metavar="MM", help="Of the ROI that a plane or closed curve stands for. Left out: its shorter side."
        ),
    ] = None,
    series: Annotated[
        str | None, typer.Option(metavar="UID", help="Which DICOM series of the folder, if it has several.")
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Also draw every segmented slice with box and outline.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="OUT.csv", help="Also write volume, diameters, slices and confidence of each segment."),
    ] = None,
    embedding_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep what the encoder computes in this folder, up to 4 GiB: the same slices cost less next time. "
            "It is derived from the patient's images: keep it as safe as these.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with the results on stdout.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Also show what libraries print, and where a defect was met.")
    ] = False,
) -> None:
    """Segment what the ROIs surround: one segment an ROI, named and coloured after it."""
    if as_json:
        print_result("", end="")  # closed or full is better known before the work
    written: list[Path] = []
    with (
        _what_is_written_said(written),
        InputReader(show_output=debug) as reader,
        library_output_apart(shown_on_stderr=debug),
        progress_bar() as bar,
    ):
        from MedSAMSegmentLib.inference.mask_options import MaskOptions
        from MedSAMSegmentSlicer.command_line.job import SegmentJob, run

        task = bar.add_task("Starting", total=1.0)
        job = SegmentJob(
            volume=volume,
            rois=tuple(roi),
            output=output,
            model=model,
            device=device.value,
            precision=precision.value,
            preprocessing=None if preprocessing is Preprocessing.auto else preprocessing.value,
            level=level.value,
            plane=plane,
            slices=slices,
            window=window,
            segmentation=segmentation,
            overwrite=overwrite.value,
            mask_options=MaskOptions(threshold, fill_holes, keep_largest, smoothing),
            series=series,
            preview=preview,
            embedding_cache=embedding_cache,
            thickness=thickness,
            table=table,
        )

        def progress(fraction: float, text: str) -> None:
            stop_if_interrupted()
            bar.update(task, completed=fraction, description=shown(text))

        report = run(job, progress, note=say, written=written, reader=reader)
    with _what_is_written_said(written):
        if as_json:
            print_result(json.dumps(report.as_json(), indent=1, allow_nan=False))
        else:
            log.print(report.table())


@contextmanager
def _what_is_written_said(written: list[Path]) -> Iterator[None]:
    """Add to an interruption, and to a failure after the work, what is on the disk."""
    try:
        yield
    except KeyboardInterrupt as error:
        consequence = f"{_names(written)} had been written before." if written else "Nothing was written."
        raise Interrupted(getattr(error, "number", signal.SIGINT), consequence) from None
    except OSError as error:
        if not written:
            raise
        raise InvalidOutputError(
            f"{_names(written)} was written, but the result could not be printed: {error.strerror or error}."
        ) from error


def _names(paths: list[Path]) -> str:
    return " and ".join(str(path) for path in paths)
