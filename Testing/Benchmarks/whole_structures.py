"""Whole structures from one 3D ROI: Dice of each method and case, with the published slice chain in the same run.

Usage: python3 Testing/Benchmarks/whole_structures.py [--cases FOLDER] [--json FILE] [--levels fast,best] [--margin X]

Cases: the lungs of the chest CT in the PyPI package ``slicerio``; lesions of known shape in real surroundings, made
here with fixed seeds, in that CT and, where it is installed, in the MNI152 template of ``nilearn``; and every
``NAME.nrrd`` or ``NAME.nii.gz`` of FOLDER that has a ``NAME_label.…`` beside it. A ``NAME_norm.mgz`` with a
``NAME_aparc_aseg.mgz`` (needs nibabel) gives brain structures in 5 mm slices. The ROI is the tight box of the
reference, or one with a margin.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import slicerio

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import SliceStack, acquisition_orientation
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume, VolumeGeometry
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import Prompt, SegmentationModel
from MedSAMSegmentLib.models.resampling import resize_area
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.structure import Structure, segment_structure

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

    def roi(self, margin: float) -> OrientedBox:
        """The tight box of the reference, longer by a share of each side at either end."""
        kji = np.argwhere(self.reference_kji)
        low, high = kji.min(axis=0)[::-1], kji.max(axis=0)[::-1]
        i, j, k = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
        return OrientedBox.around_grid(self.volume.geometry.crop((*i, *j, *k))).scaled(1 + 2 * margin)


# --- Cases ---


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
    try:
        import nilearn.datasets
    except ImportError:
        return
    template = sorted((Path(nilearn.datasets.__file__).parent / "data").glob("mni_icbm152_t1*nii.gz"))
    if template:
        brain = thick_slices(read(template[0]), 2, 3)
        yield lesion("made tumour 1", brain, (30.0, -20.0, 30.0), (20.0, 15.0, 14.0), 0.35, seed=30, has_rim=True)
        yield lesion("made tumour 2", brain, (-35.0, 30.0, 15.0), (12.0, 15.0, 10.0), 0.3, seed=31)


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


# --- Methods that the project's own are compared with ---


class PublishedSlices:
    """LiteMedSAM as published (``CVPR24_LiteMedSAM_infer.py`` of bowang-lab/MedSAM): whole slices, global window."""

    def __init__(self, case: Case, roi: OrientedBox, segmenter: Segmenter) -> None:
        volume = case.volume
        rule = "auto" if volume.is_eight_bit else "percentile"
        self._window = None if volume.is_rgb else choose_window(rule, volume)
        self._volume, self._segmenter = volume, segmenter
        self.stack = SliceStack.of(volume.geometry, acquisition_orientation(volume.geometry))
        self.layers = list(self.stack.slab_crossed(roi))
        boxes = np.array([self.stack.box_on(layer, roi).xyxy for layer in self.layers])  # type: ignore[union-attr]
        # Published boxes run from the first to the last pixel.
        self.box = BoxPrompt(*(*(boxes[:, :2].min(axis=0) + 0.5), *np.maximum(boxes[:, 2:].max(axis=0) - 0.5, 1)))

    def mask(self, layer: int, box: BoxPrompt) -> npt.NDArray[np.bool_]:
        image = see(self._volume, self.stack.plane(layer), self._window)
        (prediction,) = self._segmenter.predict(image, [Prompt(box=box)])
        return self._segmenter.model.logits_on_slice(prediction.logits[0], image.plane.shape_hw) > 0

    def block(self, masks: dict[int, npt.NDArray[np.bool_]]) -> MaskBlock | None:
        grid = self._volume.geometry
        blocks = [block_from_plane_mask(mask, self.stack.plane(layer), grid) for layer, mask in masks.items()]
        found = [block for block in blocks if block is not None]
        return MaskBlock.union(found) if found else None

    def chain(self) -> MaskBlock | None:
        """From the middle slice outwards; each box is that of the mask before, three model pixels wider."""
        middle = len(self.layers) // 2
        masks = {}
        for direction in (range(middle, len(self.layers)), range(middle - 1, -1, -1)):
            box = self.box if direction.step > 0 else self._next_box(masks[self.layers[middle]])
            for n in direction:
                masks[self.layers[n]] = self.mask(self.layers[n], box)
                box = self._next_box(masks[self.layers[n]])
        return self.block(masks)

    def same_box(self) -> MaskBlock | None:
        return self.block({layer: self.mask(layer, self.box) for layer in self.layers})

    def true_boxes(self, reference: Volume) -> MaskBlock | None:
        """The tight box of the reference on each slice, which nobody has in practice."""
        masks = {}
        for layer in self.layers:
            rows, columns = np.nonzero(sample(reference, self.stack.plane(layer), fill=0))
            if rows.size:
                box = BoxPrompt(columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
                masks[layer] = self.mask(layer, box)
        return self.block(masks)

    def _next_box(self, mask: npt.NDArray[np.bool_], shift: int = 3, size: int = 256) -> BoxPrompt:
        scale = size / max(mask.shape)
        small = resize_area(mask.astype(np.uint8), tuple(int(n * scale + 0.5) for n in mask.shape))  # type: ignore[arg-type]
        rows, columns = np.nonzero(small > 0)
        if rows.size == 0:
            return self.box
        low = np.maximum([columns.min() - shift, rows.min() - shift], 0)
        high = np.minimum([columns.max() + shift, rows.max() + shift], size)
        # A little more, so that scaling back to model pixels does not lose one.
        return BoxPrompt(*(float(value) / scale + 1e-6 for value in (*low, *high)))


# --- Measuring ---


def dice(block: MaskBlock | None, reference_kji: npt.NDArray[np.bool_]) -> float:
    if block is None:
        return 0.0
    i_min, i_max, j_min, j_max, k_min, k_max = block.extent_ijk
    part = reference_kji[k_min : k_max + 1, j_min : j_max + 1, i_min : i_max + 1]
    return 2 * float(np.count_nonzero(part & block.mask_kji)) / (block.voxel_count + np.count_nonzero(reference_kji))


def slice_records(case: Case, structure: Structure) -> list[dict[str, float]]:
    """What is known of each slice, and its true Dice."""
    reference = Volume(case.reference_kji.astype(np.uint8), case.volume.geometry)
    found = Volume(
        (structure.block.whole() if structure.block else np.zeros_like(case.reference_kji)).astype(np.uint8),
        case.volume.geometry,
    )
    records = []
    for result in structure.slices:
        truth, mask = (sample(volume, result.plane, fill=0) > 0 for volume in (reference, found))
        total = np.count_nonzero(truth) + np.count_nonzero(mask)
        records.append(
            {
                "predicted_iou": result.predicted_iou,
                "stability": result.stability,
                "agreement": result.agreement,
                "neighbour_dice": result.neighbour_dice,
                "confidence": result.confidence,
                "is_doubtful": float(result.is_doubtful),
                "dice": 2 * float(np.count_nonzero(truth & mask)) / total if total else 1.0,
            }
        )
    return records


def measure(case: Case, model: SegmentationModel, levels: list[str], margin: float) -> dict:
    roi = case.roi(margin)
    record: dict = {"dice": {}, "seconds": {}, "slices": {}, "touches_roi_border": {}}

    def timed(name: str, compute) -> object:  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        result = compute()
        record["seconds"][name] = round(time.perf_counter() - start, 2)
        return result

    published = PublishedSlices(case, roi, Segmenter(model, EmbeddingCache()))
    reference = Volume(case.reference_kji.astype(np.uint8), case.volume.geometry)
    # The chain comes first: it pays for the encoder, the two others find its embeddings.
    for name, compute in (
        ("chain", published.chain),
        ("same box", published.same_box),
        ("true boxes", lambda: published.true_boxes(reference)),
    ):
        record["dice"][name] = dice(timed(name, compute), case.reference_kji)  # type: ignore[arg-type]
    for level in levels:
        structure = timed(level, lambda level=level: segment_structure(case.volume, roi, model, level=level))
        record["dice"][level] = dice(structure.block, case.reference_kji)  # type: ignore[attr-defined]
        record["slices"][level] = slice_records(case, structure)  # type: ignore[arg-type]
        record["touches_roi_border"][level] = structure.touches_roi_border  # type: ignore[attr-defined]
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, help="folder with NAME.nrrd and NAME_label.nrrd pairs")
    parser.add_argument("--only", default="", help="part of the names of the cases that are run")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--levels", default="fast,best")
    parser.add_argument("--margin", type=float, default=0.0, help="of the ROI: share of each side, at either end")
    parser.add_argument("--model", default="lite-medsam")
    arguments = parser.parse_args()
    levels = arguments.levels.split(",")
    methods = ["chain", "same box", "true boxes", *levels]

    model = load_model(arguments.model)
    cases = list(sample_cases()) + (list(folder_cases(arguments.cases)) if arguments.cases else [])
    records: dict[str, dict] = {}
    print(
        f"{'case':<28}"
        + "".join(f"{name:>12}" for name in methods)
        + "   seconds: chain"
        + "".join(f"{n:>7}" for n in levels)
    )
    for case in cases:
        if arguments.only not in case.name:
            continue
        record = records[case.name] = measure(case, model, levels, arguments.margin)
        seconds = record["seconds"]
        print(
            f"{case.name:<28}"
            + "".join(f"{record['dice'][name]:>12.3f}" for name in methods)
            + f"{seconds['chain']:>17.1f}"
            + "".join(f"{seconds[level]:>7.1f}" for level in levels),
            flush=True,
        )
    means = {name: float(np.mean([record["dice"][name] for record in records.values()])) for name in methods}
    print(f"{'mean':<28}" + "".join(f"{means[name]:>12.3f}" for name in methods))
    summary: dict = {"cases": records, "mean": means, "margin": arguments.margin}
    for level in levels:
        gains = [record["dice"][level] - record["dice"]["chain"] for record in records.values()]
        slices = [record for case in records.values() for record in case["slices"][level]]
        truth = [record["dice"] for record in slices]
        correlation = {
            key: float(np.corrcoef([record[key] for record in slices], truth)[0, 1])
            for key in ("predicted_iou", "stability", "agreement", "neighbour_dice", "confidence")
        }
        summary[level] = {
            "mean_gain": float(np.mean(gains)),
            "worst_gain": float(min(gains)),
            "correlation": correlation,
        }
        found = ", ".join(f"{key} {value:.2f}" for key, value in correlation.items())
        print(
            f"{level}: {np.mean(gains):+.3f} over the chain in the mean, {min(gains):+.3f} at worst; correlation of "
            f"its slices' Dice with {found}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
