"""Where the command line talks to: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

log = Console(stderr=True, highlight=False, soft_wrap=True)
"""For people: what is going on, and what went wrong."""


def progress_bar() -> Progress:
    """A bar on stderr that is gone when the work is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        console=log,
        transient=True,
    )


@contextmanager
def stdout_for_the_result_only() -> Iterator[None]:
    """Send to stderr whatever libraries print to stdout meanwhile, C++ ones included.

    VTK, ITK and Slicer's readers write to the process's file descriptor 1, past ``sys.stdout``.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
