"""What several tests of the library without Slicer start from."""

from pathlib import Path

import pytest


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Neither the models of whoever runs the tests, nor a place where they would be kept: the hub's empty folder."""
    from MedSAMSegmentLib.models import hub

    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(hub, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"
