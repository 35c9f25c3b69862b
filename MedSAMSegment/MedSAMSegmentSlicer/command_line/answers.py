"""What the command line answers when something is wrong.

Exit codes: 0 done; 2 wrong usage or input, or a machine that does not let it, with what to do about it; 1 a defect of
this program; 128 and the signal's number when interrupted: 130 for Ctrl-C, 143 for SIGTERM.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import typer

from MedSAMSegmentLib.errors import CancelledError, MedSAMSegmentError
from MedSAMSegmentSlicer.command_line.console import log, say
from MedSAMSegmentSlicer.command_line.interruptions import Interrupted, ending_by_exception

EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130

_Parameters = ParamSpec("_Parameters")

_NO_MEMORY = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "can't start new thread",
)
"""What torch, VTK and ITK say, each in its own type of exception."""


def answered(command: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """A command whose errors become messages on stderr and exit codes."""

    @wraps(command)
    def wrapper(*args: _Parameters.args, **options: _Parameters.kwargs) -> None:
        # The handlers change within the try: an interruption is answered wherever it comes.
        try:
            with ending_by_exception():
                command(*args, **options)
        except typer.Exit:
            raise
        except BaseException as error:
            raise typer.Exit(_answer(error, options.get("debug"))) from None

    return wrapper


def left_with(app: Callable[[], Any]) -> int:
    """Run the application; the exit code, also where its last words could not be written."""
    code: Any = 0
    try:
        app()
    except SystemExit as left:
        code = left.code
    except BaseException as error:  # from typer's own output: --help, --version
        code = _answer(error, debug=None)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        code = _answer(error, debug=None)
    for stream in (sys.stdout, sys.stderr):
        _give_up_what_cannot_be_written(stream)
    return code if isinstance(code, int) else EXIT_DEFECT if code else 0


def _give_up_what_cannot_be_written(stream: Any) -> None:
    """Python would try again at its end, and print a traceback."""
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _answer(error: BaseException, debug: Any) -> int:
    try:
        return _print_answer(error, debug)
    except OSError:  # stderr is closed or full: the exit code says it alone
        return _exit_code(error)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return error.exit_code
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return EXIT_DEFECT if _advice(error) is None else EXIT_INPUT


def _print_answer(error: BaseException, debug: Any) -> int:
    """Debug is True, False, or None for a command without that option: a defect's traceback is then printed."""
    code = _exit_code(error)
    advice = _advice(error)
    if isinstance(error, CancelledError | KeyboardInterrupt):
        say(str(error) if isinstance(error, Interrupted) else "Interrupted.")
    elif advice is not None:
        log.print("[bold red]Error:[/] ", end="")
        say(advice)
        if debug and not isinstance(error, MedSAMSegmentError):
            say(_traceback(error))
    else:
        log.print("[bold red]This is a defect in medsam-segment.[/] ", end="")
        if debug is not False:
            say("Please report it with the lines below and the output of `medsam-segment info`.")
            say(_traceback(error))
        else:
            say(
                f"{type(error).__name__} in {_place(error)}. Please run the command again with --debug, and report "
                "what it prints with the output of `medsam-segment info`."
            )
    return code


def _advice(error: BaseException) -> str | None:
    """What is wrong and what to do; None for a defect."""
    if isinstance(error, MedSAMSegmentError):
        return str(error)
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        return "The memory of this computer ran out. Close other programs, or take a smaller image or model."
    if isinstance(error, RecursionError):
        return "A file is nested too deeply to be read. Save it again from the program that wrote it."
    if isinstance(error, UnicodeError):
        return f"A name or text cannot be written: {error}. Use names in UTF-8."
    if isinstance(error, BrokenPipeError):
        return "The result could not be printed: the program that reads it has ended."
    if isinstance(error, OSError):
        about = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"{about}there is no space left on the disk. Free some, or write elsewhere."
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return "Too many files are open. Raise the limit (ulimit -n), or end other programs."
        return f"{about}{error.strerror or error}. Check the path, the disk and the permissions."
    return None


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _place(error: BaseException) -> str:
    """File and line where it was raised: nothing of the data."""
    everywhere = list(traceback.extract_tb(error.__traceback__))
    frames = [frame for frame in everywhere if "MedSAMSegment" in frame.filename] or everywhere
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "an unknown place"
