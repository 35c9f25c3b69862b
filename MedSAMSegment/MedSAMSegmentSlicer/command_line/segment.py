"""``medsam-segment segment``: options, and what is printed. The work itself is in ``job.py``."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from MedSAMSegmentSlicer.command_line.console import log, progress_bar, stdout_for_the_result_only


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
        Path, typer.Argument(metavar="VOLUME", help="NRRD, NIfTI or MHA file, or a folder with a DICOM series.")
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
        Overwrite, typer.Option(help="Which other segments give way where the new one is.")
    ] = Overwrite.all,
    threshold: Annotated[float, typer.Option(help="Probability from which a voxel belongs to the structure.")] = 0.5,
    fill_holes: Annotated[bool, typer.Option("--fill-holes", help="Fill what the segment encloses.")] = False,
    keep_largest: Annotated[bool, typer.Option("--keep-largest", help="Keep only the largest connected part.")] = False,
    smoothing: Annotated[float, typer.Option(metavar="MM", help="Radius of a median filter; 0 for none.")] = 0.0,
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
) -> None:
    """Segment what the ROIs surround: one segment an ROI, named and coloured after it."""
    with stdout_for_the_result_only(), progress_bar() as bar:
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
        report = run(
            job,
            progress=lambda fraction, text: bar.update(task, completed=fraction, description=text),
            note=lambda text: log.print(text, markup=False),
        )
    if as_json:
        print(json.dumps(report.as_json(), indent=1, allow_nan=False))
    else:
        log.print(report.table())
