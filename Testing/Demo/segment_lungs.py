"""The main job on a real chest CT: one ROI around each lung in, a Slicer segmentation and a picture out.

The CT and the reference segmentation that the result is compared with come from the PyPI package ``slicerio``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicerio

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(slicerio.__file__).parent / "data"
LUNGS = {"right lung": 5, "left lung": 6}
"""Name and label value in the reference segmentation."""


def write_roi(path: Path, label_kji: np.ndarray, image: sitk.Image, colour: list[float]) -> None:
    """Write the bounding box of a label as Slicer writes a markups ROI."""
    kji = np.argwhere(label_kji)
    corners_ijk = np.array([kji.min(axis=0) - 0.5, kji.max(axis=0) + 0.5])[:, ::-1]
    corners_lps = np.array([image.TransformContinuousIndexToPhysicalPoint(c.tolist()) for c in corners_ijk])
    center = corners_lps.mean(axis=0).tolist()
    roi = {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "roiType": "Box",
        "center": center,
        "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
        "size": np.ptp(corners_lps, axis=0).tolist(),
        "controlPoints": [{"id": "1", "position": center, "positionStatus": "defined"}],
        "display": {"visibility": True, "color": colour, "selectedColor": colour},
    }
    schema = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
    path.write_text(json.dumps({"@schema": schema, "markups": [roi]}, indent=1))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float(np.count_nonzero(a & b)) / (np.count_nonzero(a) + np.count_nonzero(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output", help="folder for the results")
    parser.add_argument("--level", default=None, help="fast or best; the command line's default if left out")
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)

    ct = SAMPLES / "CTChest4.nrrd"
    image = sitk.ReadImage(str(ct))
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(SAMPLES / "Segmentation.seg.nrrd")))
    colours = {"right lung": [0.2, 0.7, 1.0], "left lung": [1.0, 0.5, 0.2]}
    rois = {name: output / f"{name}.mrk.json" for name in LUNGS}
    for name, label in LUNGS.items():
        write_roi(rois[name], reference == label, image, colours[name])

    result, preview = output / "lungs.seg.nrrd", output / "lungs.png"
    command = [str(Path(sys.executable).with_name("medsam-segment")), "segment", str(ct), "--json"]
    command += [argument for roi in rois.values() for argument in ("--roi", str(roi))]
    command += ["--output", str(result), "--preview", str(preview)]
    command += ["--level", arguments.level] if arguments.level else []
    print("$", subprocess.list2cmdline(command), flush=True)
    completed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if completed.returncode:
        sys.exit(completed.returncode)

    report = json.loads(completed.stdout)
    segmentation = slicerio.read_segmentation(str(result))
    labels = {segment["name"]: segment["labelValue"] for segment in segmentation["segments"]}
    # The file's grid may be a part of the CT's.
    on_ct = sitk.Resample(sitk.ReadImage(str(result)), image, sitk.Transform(), sitk.sitkNearestNeighbor)
    result_kji = sitk.GetArrayFromImage(on_ct)
    print(f"\n{'':12}{'Dice':>6}{'mL':>9}{'slices':>8}{'encode':>9}{'decode':>9}{'write':>8}")
    for roi in report["rois"]:
        mask = result_kji == labels[roi["name"]]
        seconds = roi["seconds"]
        print(
            f"{roi['name']:12}{dice(mask, reference == LUNGS[roi['name']]):6.2f}{roi['volume_mm3'] / 1000:9.1f}"
            f"{len(roi['slices']):8}{seconds['encode']:8.1f}s{seconds['decode']:8.1f}s{seconds['write']:7.2f}s"
        )
    print(f"loading the model {report['seconds']['load_model']:.1f} s, all {report['seconds']['total']:.1f} s\n")
    print(f"Segmentation: {result}\nPicture:      {preview}")


if __name__ == "__main__":
    main()
