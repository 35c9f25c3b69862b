"""How well LiteMedSAM segments under different intensity windows: what the default window rule rests on.

Usage: python3 Testing/Benchmarks/windows.py [FOLDER] [--json FILE] [--slices N]

Cases: the organs of the chest CT in the PyPI package ``slicerio``, and every ``NAME.nrrd`` or ``NAME.nii.gz`` of FOLDER
that has a ``NAME_label.…`` beside it (each label value is a structure). Each structure is segmented on N of its slices,
evenly spread, with two boxes: its own tight box on that slice, which nobody has in practice, and the tight box of the
whole structure, which is what one 3D ROI gives. The numbers are the Dice of all N slices together.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import slicerio

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.sampling import sample
from MedSAMSegmentLib.geometry.slice_stack import SliceStack, acquisition_orientation
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.rules import choose_window, voxels_in
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.prompts import BoxPrompt

Rule = Callable[[Volume, OrientedBox], Window]


def named(rule: str) -> Rule:
    return lambda volume, roi: choose_window(rule, volume, roi)


def percentiles_in_roi(lower: float, upper: float, *, widened: float) -> Rule:
    """Percentiles of the voxels in the ROI; the window then widened by a share of its width at either end."""

    def choose(volume: Volume, roi: OrientedBox) -> Window:
        low, high = np.percentile(voxels_in(volume, roi), (lower, upper))
        more = (high - low) * widened
        return Window(float(low - more), float(high + more + 1e-6), "candidate")

    return choose


def whole_range(volume: Volume, roi: OrientedBox) -> Window:
    if volume.is_eight_bit:
        return Window(0.0, 255.0, "8-bit")
    return Window(float(volume.voxels_kji.min()), float(volume.voxels_kji.max()), "range")


RULES: dict[str, Rule] = {
    "range": whole_range,
    "percentile": named("percentile"),
    "roi": named("roi"),
    "roi +25%": percentiles_in_roi(1, 99, widened=0.25),
    "roi +50%": percentiles_in_roi(1, 99, widened=0.5),
    "auto": named("auto"),
}


@dataclass(frozen=True)
class Case:
    name: str
    volume: Volume
    truth_kji: npt.NDArray[np.bool_]


def read(path: Path) -> Volume:
    """Voxels and geometry of an image file; SimpleITK's LPS becomes RAS."""
    image = sitk.ReadImage(str(path))
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ijk_to_ras[:3, 3] = image.GetOrigin()
    ijk_to_ras[:2] *= -1
    voxels_kji = sitk.GetArrayFromImage(image)
    return Volume(voxels_kji, VolumeGeometry(voxels_kji.shape, ijk_to_ras))


def cases(folder: Path | None) -> Iterator[Case]:
    samples = Path(slicerio.__file__).parent / "data"
    segmentation = slicerio.read_segmentation(str(samples / "Segmentation.seg.nrrd"), skip_voxels=True)
    names = {segment["labelValue"]: segment["name"] for segment in segmentation["segments"]}
    chest, labels = read(samples / "CTChest4.nrrd"), read(samples / "Segmentation.seg.nrrd")
    for value, name in names.items():
        yield Case(f"chest CT, {name}", chest, labels.voxels_kji == value)
    for label_path in sorted(folder.glob("*_label.*")) if folder else ():
        stem, ending = label_path.name.split("_label", 1)
        volume, labels = read(label_path.with_name(stem + ending)), read(label_path)
        for value in np.unique(labels.voxels_kji[labels.voxels_kji > 0]):
            yield Case(f"{stem}, {value}", volume, labels.voxels_kji == value)


def tight_box(mask_hw: npt.NDArray[np.bool_]) -> BoxPrompt:
    rows, columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    return BoxPrompt(columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)


def measure(segmenter: Segmenter, case: Case, slice_count: int) -> dict[str, tuple[float, float]]:
    """Rule → Dice with each slice's own box, and with the structure's box."""
    grid = case.volume.geometry
    truth = Volume(case.truth_kji.astype(np.uint8), grid)
    kji = np.argwhere(case.truth_kji)
    lower, upper = kji.min(axis=0)[::-1] - 0.5, kji.max(axis=0)[::-1] + 0.5
    object_to_ras = grid.ijk_to_ras.copy()
    object_to_ras[:3, 3] = (grid.ijk_to_ras @ (*(lower + upper) / 2, 1.0))[:3]
    roi = OrientedBox(object_to_ras, upper - lower)
    stack = SliceStack.of(grid, acquisition_orientation(grid))
    slab = [index for index in stack.slab_crossed(roi) if sample(truth, stack.plane(index)).sum() >= 10]
    slab = [slab[n] for n in np.unique(((np.arange(slice_count) + 0.5) / slice_count * len(slab)).astype(int))]
    results = {}
    for name, choose in RULES.items():
        window = choose(case.volume, roi)
        agreed, total = np.zeros(2), np.zeros(2)
        for index in slab:
            plane = stack.plane(index)
            truth_hw = sample(truth, plane) > 0
            prompts = [Prompt(tight_box(truth_hw)), Prompt(stack.box_on(index, roi))]
            predictions = segmenter.predict(see(case.volume, plane, window), prompts)
            masks = [segmenter.mask(prediction, MaskOptions()).mask_hw for prediction in predictions]
            agreed += [np.count_nonzero(mask_hw & truth_hw) for mask_hw in masks]
            total += [np.count_nonzero(mask_hw) + np.count_nonzero(truth_hw) for mask_hw in masks]
        own, whole = 2 * agreed / total
        results[name] = (float(own), float(whole))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="with more cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the numbers")
    parser.add_argument("--slices", type=int, default=4, metavar="N", help="of each structure; 4 if left out")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    start = time.perf_counter()
    segmenter = Segmenter(load_model("lite-medsam", precision=arguments.precision))
    table = {}
    print(f"{'own box / structure box':34}" + "".join(f"{name:>14}" for name in RULES))
    for case in cases(arguments.folder):
        table[case.name] = measure(segmenter, case, arguments.slices)
        print(f"{case.name:34}" + "".join(f"{a:7.2f}/{b:.2f} " for a, b in table[case.name].values()), flush=True)
    means = {name: np.mean([row[name] for row in table.values()], axis=0) for name in RULES}
    print(f"{'mean':34}" + "".join(f"{a:7.3f}/{b:.3f}"[:14].rjust(14) for a, b in means.values()))
    if arguments.json:
        seconds = time.perf_counter() - start
        report = {"seconds": seconds, "precision": segmenter.model.precision, "dice_own_box_structure_box": table}
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
