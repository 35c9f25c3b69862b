"""What is installed and what is missing, found out without importing any of it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from MedSAMSegmentLib.packages import REQUIREMENTS, installed_version, is_recent_enough


@dataclass(frozen=True)
class PackageState:
    """A Python package that inference needs: the name it is imported by, what pip is asked for, what is there."""

    name: str
    requirement: str
    version: str | None

    @property
    def is_installed(self) -> bool:
        """Whether it is there, and recent enough; what has no version is taken as it is."""
        return self.version is not None and is_recent_enough(self.name, self.version)

    @property
    def lack(self) -> str:
        """What is wrong with it, in words that follow its name."""
        return "not installed" if self.version is None else f"{self.version} too old ({self.requirement})"


def package_states() -> list[PackageState]:
    """All packages that are needed, in the order in which they are installed. A matter of some milliseconds."""
    importlib.invalidate_caches()
    return [PackageState(name, requirement, _version(name)) for name, requirement in REQUIREMENTS.items()]


def missing_packages() -> list[PackageState]:
    """Those that are not installed, or too old."""
    return [package for package in package_states() if not package.is_installed]


def _version(name: str) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    return installed_version(name) or "unknown version"
