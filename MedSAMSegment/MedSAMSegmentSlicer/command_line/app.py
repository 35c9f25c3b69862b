"""The commands of ``medsam-segment``."""

from __future__ import annotations

import typer

from MedSAMSegmentLib import __version__
from MedSAMSegmentSlicer.command_line.answers import answered
from MedSAMSegmentSlicer.command_line.info import info
from MedSAMSegmentSlicer.command_line.models import models_app
from MedSAMSegmentSlicer.command_line.segment import segment

app = typer.Typer(
    name="medsam-segment",
    help="Segment medical images with SAM and MedSAM from ROI markups, on 3D Slicer's own core libraries.",
    no_args_is_help=True,
    # Its tracebacks print local variables, and those can hold a patient's data.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("segment")(answered(segment))
app.add_typer(models_app, name="models")
app.command("info")(answered(info))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"medsam-segment {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", callback=_print_version, is_eager=True
    ),
) -> None:
    pass
