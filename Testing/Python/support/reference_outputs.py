"""What the published models' own code answers, computed once with it: see Testing/Data/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "Data"
CASES = ("ct_chest_lung", "ct_chest_soft", "mr_brain_t1")


def lite_medsam_reference(case: str) -> dict[str, np.ndarray]:
    """Slice, boxes, model input, embedding statistics, logits and masks of LiteMedSAM."""
    return _case("lite_medsam_reference.npz", case)


def medsam_vit_b_preprocessing_reference(case: str) -> dict[str, np.ndarray]:
    """Slice, boxes and model input of MedSAM ViT-B."""
    return _case("medsam_vit_b_preprocessing_reference.npz", case)


def _case(file: str, case: str) -> dict[str, np.ndarray]:
    with np.load(DATA / file) as arrays:
        prefix = f"{case}/"
        return {name.removeprefix(prefix): arrays[name] for name in arrays.files if name.startswith(prefix)}
