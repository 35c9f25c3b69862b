"""Whole structures with LiteMedSAM's real weights: a made lesion, and a lung of a real CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicerio

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.propagation.structure import segment_structure
from support.lite_medsam_weights import lite_medsam
from support.shapes import voxel_centers_ras


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float(np.count_nonzero(a & b)) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_a_turned_ellipsoid_in_noise_is_found_from_a_rough_box() -> None:
    geometry = VolumeGeometry((9, 96, 96), np.diag([-1.0, -1.0, 5.0, 1.0]))
    points = voxel_centers_ras(geometry) - np.array([-50.0, -45.0, 20.0])
    cosine, sine = np.cos(0.5), np.sin(0.5)
    turned = points @ np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    inside = np.linalg.norm(turned / np.array([15.0, 10.0, 17.0]), axis=-1) <= 1
    noise = np.random.default_rng(5).normal(0, 12, geometry.shape_kji)
    volume = Volume((np.where(inside, 160.0, 90.0) + noise).astype(np.float32), geometry)
    reach = np.array([16.0, 14.0, 17.0]) + 1.0
    roi = OrientedBox.from_bounds(np.array([-50.0, -45.0, 20.0]) - reach, np.array([-50.0, -45.0, 20.0]) + reach)

    structure = segment_structure(volume, roi, lite_medsam(), level="fast")

    assert structure.block is not None and not structure.touches_roi_border
    assert dice(structure.block.whole(), inside) > 0.9


def test_a_lung_is_found_on_thick_slices() -> None:
    folder = Path(slicerio.__file__).parent / "data"
    image = sitk.ReadImage(str(folder / "CTChest4.nrrd"))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "Segmentation.seg.nrrd"))) == 5
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    voxels = sitk.GetArrayFromImage(image)
    volume = Volume(voxels, VolumeGeometry(voxels.shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_lps))
    reference = Volume(labels.astype(np.uint8), volume.geometry)
    kji = np.argwhere(labels)
    i, j, k = ((int(a), int(b)) for a, b in zip(kji.min(axis=0)[::-1], kji.max(axis=0)[::-1], strict=True))
    roi = OrientedBox.around_grid(volume.geometry.crop((*i, *j, *k)))
    positions = np.linspace(*roi.interval_along((0.0, 0.0, 1.0)), 7)[1:-1]

    structure = segment_structure(volume, roi, lite_medsam(), level="fast", slices=tuple(positions.tolist()))

    assert structure.block is not None
    found = Volume(structure.block.whole().astype(np.uint8), volume.geometry)
    on_slices = [[sample(each, result.plane) > 0 for each in (found, reference)] for result in structure.slices]
    masks, truths = (np.stack(parts) for parts in zip(*on_slices, strict=True))
    # The published slice chain has 0.75 on this lung: see Testing/Benchmarks.
    assert dice(masks, truths) > 0.8
