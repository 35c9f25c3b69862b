"""Python packages that are needed late, and what to tell those who lack one."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from types import ModuleType

from MedSAMSegmentLib.errors import MissingPackageError
from MedSAMSegmentLib.torch_libraries import load_beside_other_threads

REQUIREMENTS = {
    "torch": "torch>=2.10",
    "transformers": "transformers>=5.0",
    "huggingface_hub": "huggingface_hub>=1.1",
    "safetensors": "safetensors>=0.4.5",
}
"""What is installed of each package that inference needs, as pip writes it."""

_RUNS_WITH = REQUIREMENTS | {"torch": "torch>=2.4"}
"""What inference runs with. An older torch that is there already, in Slicer for another extension, is enough for
weights that cannot run code, see `reads_pickles_safely`."""

LITE_MEDSAM_NEEDS = ("torch",)
"""The packages of these that LiteMedSAM does with; all other models need all of them."""


def installed_version(name: str) -> str | None:
    """The version of a package of `REQUIREMENTS`, found without importing it; None if there is no record of it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def is_recent_enough(name: str, version: str) -> bool:
    """Whether inference runs with this version of a package of `REQUIREMENTS`."""
    return _is_at_least(version, _RUNS_WITH[name])


def reads_pickles_safely(torch_version: str) -> bool:
    """Whether ``torch.load(weights_only=True)`` of a torch version keeps what it promises about files of others.

    Up to 2.5.1 a TorchScript archive runs its code (CVE-2025-32434); before 2.10 a crafted pickle writes where it
    should not in memory (CVE-2026-24747).
    """
    return _is_at_least(torch_version, REQUIREMENTS["torch"])


def _is_at_least(version: str, requirement: str) -> bool:
    found = _numbers(version)
    return not found or found >= _numbers(requirement.split(">=")[1])


def _numbers(version: str) -> list[int]:
    """Of 2.13.0+cpu, or 5.0.0rc1, those before any other character; none of a text."""
    return [int(part) for part in re.split(r"[^\d.]", version)[0].split(".") if part]


def require(name: str) -> ModuleType:
    """Import a package of `REQUIREMENTS`, or a module of one.

    Raises:
        MissingPackageError: it is not installed, is too old, or does not start; the message says how to install it.
    """
    package = name.split(".", maxsplit=1)[0]
    version = installed_version(package)
    if version is not None and not is_recent_enough(package, version):
        raise MissingPackageError(
            f"The Python package {package!r} is too old: {version} is installed, and {_RUNS_WITH[package]} is "
            f"needed. {_how_to_install(package)}"
        )
    try:
        if name == "torch":
            load_beside_other_threads()
        return importlib.import_module(name)
    # OSError: a library that the package brings does not fit the system.
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"The Python package {package!r} is needed and cannot be loaded ({error}). {_how_to_install(package)}"
        ) from error


def _how_to_install(package: str) -> str:
    return (
        "In 3D Slicer: open the module MedSAM Segment, section Set up, and click Install. Elsewhere: "
        f"pip install '{REQUIREMENTS[package]}'"
    )
