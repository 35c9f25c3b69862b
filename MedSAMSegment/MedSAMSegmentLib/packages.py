"""Python packages that are needed late, and what to tell those who lack one."""

from __future__ import annotations

import importlib
from types import ModuleType

from MedSAMSegmentLib.errors import MissingPackageError

REQUIREMENTS = {
    "torch": "torch>=2.4",
    "transformers": "transformers>=5.0",
    "huggingface_hub": "huggingface_hub>=1.0",
    "safetensors": "safetensors>=0.4.5",
    "platformdirs": "platformdirs>=4.0",
}
"""What is asked of each package that inference needs, as pip writes it."""


def require(name: str) -> ModuleType:
    """Import a package of `REQUIREMENTS`, or a module of one.

    Raises:
        MissingPackageError: it is not installed, or does not start; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        requirement = REQUIREMENTS[name.split(".", maxsplit=1)[0]]
        raise MissingPackageError(
            f"The Python package {name!r} is needed and cannot be loaded ({error}). In 3D Slicer: open the module "
            f"MedSAMSegment, section Set up, and click Install. Elsewhere: pip install '{requirement}'"
        ) from error
