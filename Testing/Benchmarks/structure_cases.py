"""Structures whose outline is known, for ``whole_structures.py``.

Lungs of the chest CT in the PyPI package ``slicerio``; lesions of known shape in real surroundings, made here with
fixed seeds, in that CT and, where it is installed, in the MNI152 template of ``nilearn``: lobulated ones, near to
ellipsoids, and irregular ones, so that a method that expects an ellipsoid is not flattered; images and label images of
a folder; brain structures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import slicerio

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry

BRAIN_LABELS = {
    "left thalamus": (10,),
    "left caudate": (11,),
    "right putamen": (51,),
    "right hippocampus": (53,),
    "left pallidum": (13,),
    "right amygdala": (54,),
    "brain stem": (16,),
    "left lateral ventricle": (4,),
}
"""FreeSurfer's label values."""


@dataclass(frozen=True)
class Case:
    name: str
    volume: Volume
    reference_kji: npt.NDArray[np.bool_]

    def roi(self, margin: float, jitter: float, random: np.random.Generator) -> OrientedBox:
        """The tight box of the reference, longer by a share of each side at either end, and drawn inexactly.

        Args:
            margin: share of a side by which the box is longer at either end.
            jitter: share of a side by which each face may then be too far out or in.
            random: moves the faces.
        """
        kji = np.argwhere(self.reference_kji)
        low, high = kji.min(axis=0)[::-1], kji.max(axis=0)[::-1]
        i, j, k = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
        box = OrientedBox.around_grid(self.volume.geometry.crop((*i, *j, *k))).scaled(1 + 2 * margin)
        moved = random.uniform(-jitter, jitter, size=(2, 3)) * box.size_mm
        object_to_ras = box.object_to_ras.copy()
        object_to_ras[:3, 3] += object_to_ras[:3, :3] @ (moved.sum(axis=0) / 2)
        return OrientedBox(object_to_ras, box.size_mm + moved[1] - moved[0])


def read(path: Path) -> Volume:
    if path.suffix == ".mgz":
        import nibabel

        image = nibabel.load(path)
        voxels = np.ascontiguousarray(np.asarray(image.dataobj).transpose(2, 1, 0))
        return Volume(voxels, VolumeGeometry(voxels.shape, image.affine))
    image = sitk.ReadImage(str(path))
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    voxels = sitk.GetArrayFromImage(image)
    return Volume(voxels, VolumeGeometry(voxels.shape[:3], np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_lps))


def thick_slices(volume: Volume, axis: int, count: int) -> Volume:
    """Means of ``count`` neighbouring layers across a voxel axis (0 I, 1 J, 2 K); the dtype stays for whole numbers."""
    whole = volume.voxels_kji.shape[2 - axis] // count
    layers = np.moveaxis(volume.voxels_kji, 2 - axis, 0)[: whole * count]
    means = layers.reshape(whole, count, *layers.shape[1:]).mean(axis=1, dtype=np.float32)
    if volume.voxels_kji.dtype.kind in "iu":
        means = np.rint(means).astype(volume.voxels_kji.dtype)
    ijk_to_ras = volume.geometry.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, axis] * (count - 1) / 2
    ijk_to_ras[:3, axis] *= count
    voxels = np.ascontiguousarray(np.moveaxis(means, 0, 2 - axis))
    return Volume(voxels, VolumeGeometry(voxels.shape, ijk_to_ras))


def brain_cases(name: str, image: Volume, labels: Volume) -> Iterator[Case]:
    """Structures at 5 mm axial slices."""
    axis = SliceStack.of(image.geometry, "axial").voxel_axis
    thick = thick_slices(image, axis, 5)
    for structure, values in BRAIN_LABELS.items():
        share = Volume(np.isin(labels.voxels_kji, values).astype(np.float32), labels.geometry)
        reference = thick_slices(share, axis, 5).voxels_kji >= 0.5
        if reference.any():
            yield Case(f"{name} {structure}", thick, reference)


def lesion(
    name: str,
    background: Volume,
    center_ras: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
    contrast: float,
    seed: int,
    *,
    has_rim: bool = False,
) -> Case:
    """A lobulated lesion, blurred at its border and textured, in real surroundings."""
    random = np.random.default_rng(seed)
    grid = background.geometry
    k, j, i = np.indices(grid.shape_kji)
    offsets = np.stack((i, j, k), axis=-1) @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3] - center_ras
    turned, _ = np.linalg.qr(random.normal(size=(3, 3)))
    scaled = offsets @ turned / radii_mm
    radius = np.linalg.norm(scaled, axis=-1)
    direction = scaled / np.maximum(radius, 1e-9)[..., None]
    lobes = np.zeros(radius.shape)
    for degree in range(2, 6):
        for _ in range(3):
            pole = random.normal(size=3)
            angle = np.arccos(np.clip(direction @ (pole / np.linalg.norm(pole)), -1, 1))
            lobes += random.normal() * np.cos(degree * angle) / degree
    radius /= 1 + 0.18 * lobes / np.abs(lobes).max()
    reference = radius <= 1
    original = background.voxels_kji.astype(np.float64)
    texture = random.normal(size=radius.shape)
    texture = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(texture), 2.0))
    profile = np.where(radius < 0.6, -0.4, 1.0) if has_rim else 1.0
    inside = 0.6 * np.median(original[reference]) + 0.4 * original
    inside = inside + contrast * profile + 0.18 * abs(contrast) * texture / texture.std()
    share = 1 / (1 + np.exp(np.clip((radius - 1) * min(radii_mm) / 1.2, -30, 30)))
    voxels = np.rint(original * (1 - share) + inside * share).astype(np.int16)
    return Case(name, Volume(voxels, grid), reference)


def irregular_lesion(
    name: str,
    background: Volume,
    center_ras: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
    look: Literal["solid", "rim", "diffuse"],
    contrast: float,
    seed: int,
) -> Case:
    """A lesion whose outline is bent by smooth noise at two scales, uneven inside and blurred at its border.

    Its tight box's ellipsoid has a Dice of some 0.65 to 0.8 with it.

    Args:
        name: of the case.
        background: real surroundings; not changed.
        center_ras: mm.
        radii_mm: before the outline is bent.
        look: ``solid``; ``rim``, a bright rim around a dark core, with a shade around it that does not belong to it,
            as tumours with contrast medium and oedema have in T1; ``diffuse``, through which the surroundings show.
        contrast: to the surroundings, in intensities.
        seed: of everything that is random.
    """
    random = np.random.default_rng(seed)
    grid = background.geometry
    size_mm = float(np.mean(radii_mm))

    def noise(sigma_mm: float) -> npt.NDArray[np.float64]:
        image = sitk.GetImageFromArray(random.normal(size=grid.shape_kji))
        image.SetSpacing(grid.spacing_ijk)
        smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, sigma_mm))
        return smooth / smooth.std()

    k, j, i = np.indices(grid.shape_kji)
    offsets = np.stack((i, j, k), axis=-1) @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3] - center_ras
    turned, _ = np.linalg.qr(random.normal(size=(3, 3)))
    radius = np.linalg.norm(offsets @ turned / radii_mm, axis=-1)
    radius += 0.32 * noise(0.45 * size_mm) + 0.12 * noise(0.2 * size_mm)
    candidates = sitk.GetImageFromArray(
        ((radius <= 1) & (np.linalg.norm(offsets, axis=-1) < 2.2 * size_mm)).astype("u1")
    )
    candidates.SetSpacing(grid.spacing_ijk)
    largest = sitk.RelabelComponent(sitk.ConnectedComponent(candidates)) == 1
    depth_mm = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(largest, True, False, True)).astype(np.float64)
    reference = sitk.GetArrayFromImage(largest) > 0

    def share_within(distance_mm: float, softness_mm: float) -> npt.NDArray[np.float64]:
        return 1 / (1 + np.exp(np.clip((-depth_mm - distance_mm) / softness_mm, -30, 30)))

    original = background.voxels_kji.astype(np.float64)
    local = np.median(original[reference])
    uneven, texture = noise(0.5 * size_mm), noise(2.5)
    around = original
    if look == "rim":
        around = original - 0.35 * abs(contrast) * share_within(0.45 * size_mm, 2.0) * (1 + 0.3 * uneven) * (
            original > 0.3 * local
        )
        profile = 1 - 1.5 * share_within(-0.28 * size_mm, 0.7)
        inside = 0.75 * local + 0.25 * original + contrast * profile * (1 + 0.25 * uneven)
    elif look == "diffuse":
        inside = 0.45 * local + 0.55 * original + contrast * (1 + 0.35 * uneven)
    else:
        inside = 0.65 * local + 0.35 * original + contrast * (1 + 0.25 * uneven)
    inside = inside + 0.15 * abs(contrast) * texture
    share = share_within(0.0, 1.5)
    return Case(name, Volume(np.rint(around * (1 - share) + inside * share).astype(np.int16), grid), reference)


def sample_cases() -> Iterator[Case]:
    """From packages on PyPI."""
    folder = Path(slicerio.__file__).parent / "data"
    chest = read(folder / "CTChest4.nrrd")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "Segmentation.seg.nrrd")))
    yield Case("chest right lung", chest, labels == 5)
    yield Case("chest left lung", chest, labels == 6)
    # Centres in the liver, in a lung, and between the muscles of the back.
    center = chest.geometry.corners_ras.mean(axis=0)
    for n, (offset, radii, contrast) in enumerate(
        (
            ((50.0, 10.0, -115.0), (24.0, 20.0, 27.0), -70.0),
            ((70.0, 0.0, 20.0), (20.0, 17.0, 24.0), 700.0),
            ((-75.0, -20.0, -10.0), (17.0, 22.0, 25.0), 750.0),
        )
    ):
        x, y, z = center + offset
        yield lesion(f"made lesion {n + 1}", chest, (float(x), float(y), float(z)), radii, contrast, seed=20 + n)
    x, y, z = (float(value) for value in center)
    yield irregular_lesion("irregular lesion 1", chest, (x + 60, y, z + 30), (24.0, 22.0, 20.0), "solid", 650.0, 50)
    yield irregular_lesion(
        "irregular lesion 2", chest, (x + 45, y + 12, z - 118), (26.0, 24.0, 22.0), "diffuse", -60.0, 51
    )
    yield from template_cases()


def template_cases() -> Iterator[Case]:
    """Tumours in the MNI152 template, in slices of 2 and 3 mm, if ``nilearn`` is installed."""
    try:
        import nilearn.datasets
    except ImportError:
        return
    for path in sorted((Path(nilearn.datasets.__file__).parent / "data").glob("mni_icbm152_t1*nii.gz")):
        template = read(path)
        bright = template.voxels_kji.astype(np.float32) * (1000 / float(template.voxels_kji.max()))
        thin, thick = (thick_slices(Volume(bright, template.geometry), 2, count) for count in (2, 3))
        yield lesion("made tumour 1", thick, (30.0, -20.0, 30.0), (20.0, 15.0, 14.0), 350.0, seed=30, has_rim=True)
        yield lesion("made tumour 2", thick, (-35.0, 30.0, 15.0), (12.0, 15.0, 10.0), 300.0, seed=31)
        yield irregular_lesion("irregular tumour 1", thin, (28.0, -35.0, 28.0), (16.0, 13.0, 15.0), "rim", 330.0, 55)
        yield irregular_lesion(
            "irregular tumour 2", thin, (-30.0, 25.0, 15.0), (13.0, 12.0, 17.0), "diffuse", -160.0, 56
        )
        yield irregular_lesion("irregular tumour 3", thick, (-28.0, -45.0, 20.0), (15.0, 18.0, 14.0), "rim", 280.0, 57)
        yield irregular_lesion("irregular tumour 4", thick, (32.0, 15.0, 30.0), (14.0, 14.0, 16.0), "solid", 220.0, 58)


def folder_cases(folder: Path) -> Iterator[Case]:
    for label_path in sorted([*folder.glob("*_label.*"), *folder.glob("*_aparc_aseg.mgz")]):
        is_brain = label_path.name.endswith("_aparc_aseg.mgz")
        name = label_path.name.removesuffix("_aparc_aseg.mgz") if is_brain else label_path.name.split("_label.")[0]
        image_path = folder / (f"{name}_norm.mgz" if is_brain else label_path.name.replace("_label.", "."))
        image, labels = read(image_path), read(label_path)
        if is_brain:
            yield from brain_cases(name, image, labels)
            continue
        for value in np.unique(labels.voxels_kji[labels.voxels_kji > 0]):
            reference = labels.voxels_kji == value
            yield Case(name if labels.voxels_kji.max() == 1 else f"{name} {value:g}", image, reference)
