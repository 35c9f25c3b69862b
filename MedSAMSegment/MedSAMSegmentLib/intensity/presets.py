"""CT windows that radiologists use, in Hounsfield units."""

from __future__ import annotations

from types import MappingProxyType

PRESETS = MappingProxyType(
    {
        "soft-tissue": (40.0, 400.0),
        "lung": (-600.0, 1500.0),
        "bone": (400.0, 1800.0),
        "brain": (40.0, 80.0),
        "liver": (30.0, 150.0),
    }
)
"""Name → (level, width).

Soft tissue, bone and brain: as MedSAM's training data were prepared (Ma et al., *Segment anything in medical images*,
Nature Communications 2024, Methods). Lung and liver: radiopaedia.org, *Windowing (CT)*.
"""
