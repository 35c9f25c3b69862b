"""What is installed and what is missing, found out without importing any of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass

from MedSAMSegmentLib.packages import REQUIREMENTS


@dataclass(frozen=True)
class PackageState:
    """A Python package that inference needs: the name it is imported by, what pip is asked for, what is there."""

    name: str
    requirement: str
    version: str | None

    @property
    def is_installed(self) -> bool:
        return self.version is not None


def package_states() -> list[PackageState]:
    """All packages that are needed, in the order in which they are installed."""
    return [PackageState(name, requirement, _version(name)) for name, requirement in REQUIREMENTS.items()]


def missing_packages() -> list[PackageState]:
    """Those that are not installed. Much cheaper than `package_states`: no version is read."""
    importlib.invalidate_caches()
    return [
        PackageState(name, requirement, None) for name, requirement in REQUIREMENTS.items() if not _is_installed(name)
    ]


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _version(name: str) -> str | None:
    importlib.invalidate_caches()
    if not _is_installed(name):
        return None
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"
