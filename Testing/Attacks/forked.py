"""Run pieces of the product in child processes with limits, and say how each ended.

The children are forked from a process that has imported everything: a run then costs hundredths of a second.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from MedSAMSegmentLib.errors import MedSAMSegmentError

Action = Callable[[], None]
"""Returns for success, or raises: `SystemExit` with a code, a `MedSAMSegmentError`, or what is a defect."""

_BATCH = 50
"""Actions in one child: the fork itself is the largest part of a short one."""
_MOST_TEXT = 2**20
_LOST = 70
"""Exit code of a child in which the attack itself has failed."""


@dataclass(frozen=True)
class Limits:
    """What a child may use.

    Attributes:
        memory_bytes: beyond what is mapped already when it starts.
        seconds: of each action; then the child is killed.
        file_bytes: of each file that it writes.
        open_files: descriptors, those that it is born with included.
        user: numeric id to run as; only where this process is root.
    """

    memory_bytes: int | None = 2 * 2**30
    seconds: float = 60.0
    file_bytes: int | None = 64 * 2**20
    open_files: int | None = None
    user: int | None = None


@dataclass(frozen=True)
class Ending:
    """How an action ended.

    Attributes:
        code: exit code; 2 for a `MedSAMSegmentError`, 1 for another exception; None if a signal ended the process.
        signal: that signal, 0 if there was none.
        timed_out: the time limit was reached.
        output: what was written to stdout.
        errors: what was written to stderr, and the message of an exception.
        seconds: that it took.
    """

    code: int | None
    signal: int = 0
    timed_out: bool = False
    output: str = ""
    errors: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.timed_out:
            return f"still running after {self.seconds:.0f} s"
        return f"signal {self.signal}" if self.signal else f"exit code {self.code}"


def run(action: Action, folder: Path, limits: Limits | None = None) -> Ending:
    """Run one action in a child of its own, in a folder."""
    return next(run_all([action], folder, limits))


def run_all(actions: Sequence[Action], folder: Path, limits: Limits | None = None) -> Iterator[Ending]:
    """Run actions one after the other, in as few children as survive them, and yield how each ended."""
    limits = Limits() if limits is None else limits
    done = 0
    while done < len(actions):
        for ending in _run_batch(actions[done : done + _BATCH], folder, limits):
            done += 1
            yield ending


def _run_batch(actions: Sequence[Action], folder: Path, limits: Limits) -> Iterator[Ending]:
    """Endings of the first actions, up to the one that the child did not survive."""
    sys.stdout.flush()
    sys.stderr.flush()
    here, there = socket.socketpair()
    out, err = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        for descriptor in (here.fileno(), out[0], err[0]):
            os.close(descriptor)
        _be_the_child(actions, folder, limits, there, out[1], err[1])
    there.close()
    os.close(out[1])
    os.close(err[1])
    texts = {out[0]: bytearray(), err[0]: bytearray()}
    count = 0
    try:
        while count < len(actions):
            line, seconds = _next_line(here, texts, limits.seconds)
            if not line:
                break
            output, errors = (bytes(text).decode(errors="replace") for text in texts.values())
            count += 1
            yield Ending(**json.loads(line), output=output, errors=errors)
            for text in texts.values():
                text.clear()
            here.send(b"+")
    finally:
        _kill_group(process)
        here.close()
        os.close(out[0])
        os.close(err[0])
        _, status = os.waitpid(process, 0)
    if count == len(actions):
        return
    output, errors = (bytes(text).decode(errors="replace") for text in texts.values())
    last = Ending(None, timed_out=line is None, output=output, errors=errors, seconds=seconds)
    if not last.timed_out and os.WIFSIGNALED(status):
        last = replace(last, signal=os.WTERMSIG(status))
    elif not last.timed_out:
        last = replace(last, code=os.WEXITSTATUS(status))
    yield last


def _next_line(control: socket.socket, texts: dict[int, bytearray], seconds: float) -> tuple[bytes | None, float]:
    """What the child says next, empty if it is gone and None if it says nothing in time; meanwhile its texts grow."""
    start = time.monotonic()
    sources: list[socket.socket | int] = [control, *texts]
    while True:
        left = start + seconds - time.monotonic()
        ready = select.select(sources, [], [], left)[0] if left > 0 else []
        if not ready:
            return None, time.monotonic() - start
        for source in ready:
            if isinstance(source, int):
                piece = os.read(source, 2**16)
                texts[source] += piece[: max(0, _MOST_TEXT - len(texts[source]))]
                if not piece:
                    sources.remove(source)
        # Only when nothing is left to read: what the child has written comes before what it says.
        if ready == [control]:
            try:
                return control.recv(4096), time.monotonic() - start
            except ConnectionResetError:
                return b"", time.monotonic() - start


def _be_the_child(
    actions: Sequence[Action], folder: Path, limits: Limits, control: socket.socket, out: int, err: int
) -> None:
    """Never returns."""
    try:
        os.setsid()
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor, number in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if limits.user is not None:
            os.setgroups([])
            os.setgid(limits.user)
            os.setuid(limits.user)
        _limit(limits)
        for action in actions:
            start = time.monotonic()
            code = _outcome(action)
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            control.send(json.dumps({"code": code, "seconds": time.monotonic() - start}).encode())
            control.recv(1)
    finally:
        os._exit(_LOST)


def _outcome(action: Action) -> int:
    try:
        action()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except MedSAMSegmentError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except BaseException as error:
        if type(error) is KeyboardInterrupt:  # as Python itself does
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        traceback.print_exc()
        return 1
    return 0


def _limit(limits: Limits) -> None:
    if limits.memory_bytes is not None:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + limits.memory_bytes,) * 2)
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2)
    if limits.open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _kill_group(process: int) -> None:
    """The child and what it has started."""
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(process, signal.SIGKILL)
