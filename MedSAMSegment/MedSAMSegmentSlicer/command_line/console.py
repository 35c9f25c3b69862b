"""Where the command line talks to: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from MedSAMSegmentLib.errors import InvalidOutputError

log = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
"""For people: what is going on, and what went wrong."""

_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's control characters, halves of pairs, and separators of lines and paragraphs."""


def shown(text: str) -> str:
    """A name or another text of a file, as one line that says to a terminal what it says to a reader.

    Control characters (escape sequences, line breaks) and marks that turn the direction of writing are written out, as
    ``\\x1b``.
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character in _DIRECTION_MARKS or unicodedata.category(character) in _UNSHOWN
        else character
        for character in text
    )


def say(text: str, style: str = "") -> None:
    """Print a message for people. Its own line breaks stay; nothing in it is taken for markup or for a command."""
    log.print(Text("\n".join(shown(line) for line in text.split("\n")), style))


def print_result(text: str, end: str = "\n") -> None:
    """Print what was asked for on stdout, at once.

    Raises:
        InvalidOutputError: stdout is closed, or what it goes to is full.
    """
    if sys.stdout is None:
        raise InvalidOutputError("The result cannot be printed: stdout is closed. Leave out >&-, or write to a file.")
    print(text, end=end)
    sys.stdout.flush()


def progress_bar() -> Progress:
    """A bar on stderr that is gone when the work is done."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        console=log,
        transient=True,
        # What libraries print is dealt with by `library_output_apart`.
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextmanager
def library_output_apart(shown_on_stderr: bool) -> Iterator[None]:
    """Keep what libraries print meanwhile, C++ ones included, off stdout, and off the terminal unless it is wanted.

    VTK, ITK and Slicer's readers write to the process's file descriptors 1 and 2, past ``sys.stdout`` and
    ``sys.stderr``: with addresses and places in their sources, which say nothing to a user.

    Args:
        shown_on_stderr: for who looks for a defect. Else it is dropped.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    saved = [os.dup(1), os.dup(2)]
    try:
        with open(saved[1], "w", encoding="utf-8", errors="backslashreplace", closefd=False) as messages:
            if not shown_on_stderr:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)
                log.file = messages
            os.dup2(2, 1)
            try:
                yield
            finally:
                log.file = None  # type: ignore[assignment]  # sys.stderr again
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.flush()
        for descriptor, where in zip(saved, (1, 2), strict=True):
            os.dup2(descriptor, where)
            os.close(descriptor)
