"""Whole structures from one 3D ROI: Dice of each method and case, with the published slice chain in the same run.

Usage: python3 Testing/Benchmarks/whole_structures.py [--cases FOLDER] [--json FILE] [--levels fast,best]
                                                      [--margin X] [--jitter X] [--only NAME] [--embeddings FOLDER]

Cases: those of ``structure_cases.py``, and every ``NAME.nrrd`` or ``NAME.nii.gz`` of FOLDER that has a
``NAME_label.…`` beside it. A ``NAME_norm.mgz`` with a ``NAME_aparc_aseg.mgz`` (needs nibabel) gives brain structures in
5 mm slices. The ROI is the tight box of the reference, or one with a margin, or one whose sides are moved at random.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from structure_cases import Case, folder_cases, sample_cases

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import SliceStack, acquisition_orientation
from MedSAMSegmentLib.geometry.volume import MaskBlock, Volume
from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import Prompt, SegmentationModel
from MedSAMSegmentLib.models.resizing import resize_area
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.structure import Structure, segment_structure


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
        shape_hw = (int(mask.shape[0] * scale + 0.5), int(mask.shape[1] * scale + 0.5))
        small = resize_area(torch.from_numpy(mask.astype(np.uint8)), shape_hw).numpy()
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


def measure(
    case: Case, roi: OrientedBox, model: SegmentationModel, levels: list[str], new_cache: Callable[[], EmbeddingCache]
) -> dict:
    record: dict = {"dice": {}, "seconds": {}, "slices": {}, "touches_roi_border": {}}

    def timed(name: str, compute) -> object:  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        result = compute()
        record["seconds"][name] = round(time.perf_counter() - start, 2)
        return result

    published = PublishedSlices(case, roi, Segmenter(model, new_cache()))
    reference = Volume(case.reference_kji.astype(np.uint8), case.volume.geometry)
    # The chain comes first: it pays for the encoder, the two others find its embeddings.
    for name, compute in (
        ("chain", published.chain),
        ("same box", published.same_box),
        ("true boxes", lambda: published.true_boxes(reference)),
    ):
        record["dice"][name] = dice(timed(name, compute), case.reference_kji)  # type: ignore[arg-type]
    for level in levels:
        structure = timed(
            level, lambda level=level: segment_structure(case.volume, roi, model, level=level, cache=new_cache())
        )
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
    parser.add_argument("--jitter", type=float, default=0.0, help="of the ROI: up to this share of a side, either way")
    parser.add_argument("--embeddings", type=Path, help="folder of embeddings to use again; makes the seconds useless")
    parser.add_argument("--model", default="lite-medsam")
    arguments = parser.parse_args()
    levels = arguments.levels.split(",")
    methods = ["chain", "same box", "true boxes", *levels]

    model = load_model(arguments.model)
    folder = arguments.embeddings
    new_cache = EmbeddingCache if folder is None else lambda: DiskEmbeddingCache(folder)
    random = np.random.default_rng(0)
    found = [*sample_cases(), *(folder_cases(arguments.cases) if arguments.cases else [])]
    cases = [case for case in found if arguments.only in case.name]
    if not cases:
        parser.error(
            f"--only: no case has {arguments.only!r} in its name. There are: {', '.join(c.name for c in found)}"
        )
    records: dict[str, dict] = {}
    print(
        f"{'case':<28}"
        + "".join(f"{name:>12}" for name in methods)
        + "   seconds: chain"
        + "".join(f"{n:>7}" for n in levels)
    )
    for case in cases:
        record = records[case.name] = measure(
            case, case.roi(arguments.margin, arguments.jitter, random), model, levels, new_cache
        )
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
    summary: dict = {"cases": records, "mean": means, "margin": arguments.margin, "jitter": arguments.jitter}
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
