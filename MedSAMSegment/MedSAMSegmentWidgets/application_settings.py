"""What the user has set for good: kept in the application's settings, not in the scene."""

from __future__ import annotations

import qt

from MedSAMSegmentLib.models.description import default_model_id
from MedSAMSegmentSlicer.inference_engine import ModelChoice

_GROUP = "MedSAMSegment"


def default_choice() -> ModelChoice:
    """The model, device and precision that new effects and the module start with."""
    settings = qt.QSettings()
    return ModelChoice(
        settings.value(f"{_GROUP}/Model") or default_model_id(),
        settings.value(f"{_GROUP}/Device") or "auto",
        settings.value(f"{_GROUP}/Precision") or "auto",
    )


def set_default_choice(choice: ModelChoice) -> None:
    """Remember a choice."""
    settings = qt.QSettings()
    settings.setValue(f"{_GROUP}/Model", choice.model)
    settings.setValue(f"{_GROUP}/Device", choice.device)
    settings.setValue(f"{_GROUP}/Precision", choice.precision)
