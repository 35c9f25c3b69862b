"""Python packages that are needed late, and what to tell those who lack one."""

from __future__ import annotations

import importlib
from types import ModuleType

from MedSAMSegmentLib.errors import MissingPackageError
from MedSAMSegmentLib.torch_libraries import load_beside_other_threads

REQUIREMENTS = {
    "torch": "torch>=2.4",
    "transformers": "transformers>=5.0",
    "huggingface_hub": "huggingface_hub>=1.1",
    "safetensors": "safetensors>=0.4.5",
}
"""What is asked of each package that inference needs, as pip writes it."""

LITE_MEDSAM_NEEDS = ("torch",)
"""The packages of these that LiteMedSAM does with; all other models need all of them."""


def require(name: str) -> ModuleType:
    """Import a package of `REQUIREMENTS`, or a module of one.

    Raises:
        MissingPackageError: it is not installed, or does not start; the message says how to install it.
    """
    try:
        if name == "torch":
            load_beside_other_threads()
        return importlib.import_module(name)
    # OSError: a library that the package brings does not fit the system.
    except (ImportError, OSError) as error:
        package = name.split(".", maxsplit=1)[0]
        raise MissingPackageError(
            f"The Python package {package!r} is needed and cannot be loaded ({error}). In 3D Slicer: open the module "
            f"MedSAM Segment, section Set up, and click Install. Elsewhere: pip install '{REQUIREMENTS[package]}'"
        ) from error
