"""What the command line answers when something is wrong.

Exit codes: 0 done; 2 wrong usage or input, with what to do about it; 1 a defect of this program; 130 interrupted.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer
from rich.markup import escape

from MedSAMSegmentLib.errors import CancelledError, MedSAMSegmentError
from MedSAMSegmentSlicer.command_line.console import log

EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130

_Parameters = ParamSpec("_Parameters")


def answered(command: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """A command whose errors become messages on stderr and exit codes."""

    @wraps(command)
    def wrapper(*args: _Parameters.args, **options: _Parameters.kwargs) -> None:
        try:
            command(*args, **options)
        except (CancelledError, KeyboardInterrupt):
            log.print("Interrupted. Nothing was written.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except MedSAMSegmentError as error:
            log.print(f"[bold red]Error:[/] {escape(str(error))}")
            raise typer.Exit(EXIT_INPUT) from None
        except typer.Exit:
            raise
        except Exception:
            log.print(
                "[bold red]This is a defect in medsam-segment.[/] Please report it with the lines below and the output "
                "of `medsam-segment info`."
            )
            log.print(escape(traceback.format_exc()))
            raise typer.Exit(EXIT_DEFECT) from None

    return wrapper
