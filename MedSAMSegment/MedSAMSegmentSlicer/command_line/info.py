"""``medsam-segment info``: what to paste into a bug report. Nothing in it says who the user or the patient is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from MedSAMSegmentLib import __version__
from MedSAMSegmentLib.errors import MissingPackageError
from MedSAMSegmentLib.secrets import without_passwords

_PACKAGES = ("torch", "transformers", "huggingface_hub", "safetensors", "numpy", "SimpleITK", "vtk", "slicer-core")
_SETTINGS = ("HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", "MEDSAMSEGMENT_MODELS", "CUDA_VISIBLE_DEVICES")
"""Those that change what is found or where it runs; proxies are left out, because they can hold passwords."""


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False) -> None:
    """Versions, devices and what precision they do, folders: what to paste into a bug report."""
    report = collect()
    if as_json:
        import json

        print(json.dumps(report, indent=1))
        return
    for name, value in report.items():
        print(f"{name}: {value}")


def collect() -> dict[str, str]:
    """Name → value, each on a line of its own."""
    report = {
        "MedSAMSegment": __version__,
        "Python": platform.python_version(),
        "system": platform.platform(),
    }
    report |= {name: _version(name) for name in _PACKAGES}
    try:
        from MedSAMSegmentLib.models.devices import describe_devices

        for device in describe_devices():
            report[f"device {device.device}"] = f"{device.name}; precision: {', '.join(device.precisions)}"
    except MissingPackageError as error:
        report["devices"] = str(error)
    report |= _folders()
    report |= {name: os.environ[name] for name in _SETTINGS if name in os.environ}
    # An address may have a password in it, and this is made to be pasted where everybody reads it.
    return {name: without_passwords(value).replace(os.path.expanduser("~"), "~") for name, value in report.items()}  # noqa: PTH111


def _folders() -> dict[str, str]:
    try:
        from MedSAMSegmentLib.models.hub import cache_folder
        from MedSAMSegmentLib.models.models_folder import models_folder

        return {"imported models": str(models_folder()), "downloaded models": str(cache_folder())}
    except MissingPackageError as error:
        return {"folders": str(error)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
