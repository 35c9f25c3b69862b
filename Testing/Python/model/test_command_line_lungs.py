"""The whole way with real weights on a real CT: what the demo does, on a few slices."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from MedSAMSegmentSlicer.command_line.main import main
from support.files import roi_markup, write_rois

SAMPLES = Path(slicerio.__file__).parent / "data"
LEFT_LUNG = 6
"""Label value in the reference segmentation of the sample."""


def test_a_lung_is_segmented_where_the_reference_has_it(tmp_path, monkeypatch, capfd):
    ct = sitk.ReadImage(str(SAMPLES / "CTChest4.nrrd"))
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(SAMPLES / "Segmentation.seg.nrrd"))) == LEFT_LUNG
    kji = np.argwhere(reference)
    corners = [
        np.array(ct.TransformContinuousIndexToPhysicalPoint(corner[::-1].tolist()))
        for corner in (kji.min(axis=0) - 0.5, kji.max(axis=0) + 0.5)
    ]
    center, size = (corners[0] + corners[1]) / 2, np.abs(corners[1] - corners[0])
    write_rois(tmp_path / "Left lung.mrk.json", roi_markup(center.tolist(), size.tolist()))
    layers = (14, 18, 22)
    positions = ",".join(str(ct.TransformIndexToPhysicalPoint((0, 0, k))[2]) for k in layers)

    arguments = ["segment", str(SAMPLES / "CTChest4.nrrd"), "--roi", str(tmp_path / "Left lung.mrk.json")]
    arguments += ["--output", str(tmp_path / "lung.seg.nrrd"), f"--slices={positions}", "--level", "fast", "--json"]
    monkeypatch.setattr(sys, "argv", ["medsam-segment", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capfd.readouterr()
    assert not left.value.code, err

    written = sitk.Resample(
        sitk.ReadImage(str(tmp_path / "lung.seg.nrrd")), ct, sitk.Transform(), sitk.sitkNearestNeighbor
    )
    mask = sitk.GetArrayFromImage(written) > 0
    assert set(np.flatnonzero(mask.any(axis=(1, 2)))) == set(layers)
    wanted = reference[list(layers)]
    dice = 2 * (mask[list(layers)] & wanted).sum() / (mask[list(layers)].sum() + wanted.sum())
    assert dice >= 0.7
    assert json.loads(out)["rois"][0]["voxels"] == mask.sum()
