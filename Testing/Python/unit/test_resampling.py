"""Upscaling logits, against torch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.models.resampling import upscale_bilinear


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 2**31))
def test_upscaling_logits_is_torchs_bilinear(n_in: int, n_out: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(2, n_in, n_in)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None], size=(n_out, n_out), mode="bilinear", align_corners=False
    )[0].numpy()
    # Both are float32, and torch orders its products differently.
    np.testing.assert_allclose(upscale_bilinear(values, (n_out, n_out)), expected, atol=5e-5)
