"""What a prompt costs around the encoder: decoding, writing, memory, and how that grows with slices, boxes and depth.

LiteMedSAM with its real weights, on a synthetic 512 × 512 volume: the time does not depend on what is in it. Every
figure is the fastest of several passes; ratios compare figures of this run.

Usage: python Testing/Benchmarks/cost.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine, peak_memory_mib

from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.prompts import BoxPrompt
from MedSAMSegmentLib.propagation.structure import segment_structure
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.scene import headless_scene
from MedSAMSegmentSlicer.segment_writer import SegmentEdit
from MedSAMSegmentSlicer.volume_nodes import add_volume_node

SIDE = 512
DEPTHS = (60, 600)
BOX = BoxPrompt(199.5, 199.5, 311.5, 311.5)
BAR_LENGTH = 48
STRUCTURE_PASSES = 3
WINDOW = Window(-100.0, 300.0, "benchmark")


def fastest(action: Callable[[], Any], passes: int) -> float:
    """Seconds of the fastest pass."""
    seconds = []
    for _ in range(passes):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def tube_volume(depth: int) -> Volume:
    """A tube of 48 pixels' radius that bends, int16, 0.7 × 0.7 × 1 mm; no array of another type is made.

    No two of sixteen slices in a row are alike, so that each one has to be encoded.
    """
    voxels = np.zeros((depth, SIDE, SIDE), dtype=np.int16)
    row, column = np.indices((SIDE, SIDE)) - SIDE // 2
    for k in range(depth):
        voxels[k][row**2 + (column - k % 16 + 8) ** 2 < 48**2] = 200
    return Volume(voxels, VolumeGeometry(voxels.shape, np.diag([-0.7, -0.7, 1.0, 1.0])))


def measure_write(volume: Volume, passes: int = 7) -> float:
    """From a mask on a slice to voxels in the segment, undo state included."""
    stack = SliceStack.of(volume.geometry, "axial")
    plane = stack.plane(len(stack) // 2)
    mask_hw = see(volume, plane, WINDOW).pixels_u8 > 127
    with headless_scene() as scene:
        node = add_volume_node(scene.mrml, volume, "volume")
        segmentation = scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode")
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
        with logic_segment_writer(scene.mrml, segmentation, node) as writer:
            segment_id = writer.add_segment("tube", (1, 0, 0))

            def write() -> None:
                writer.write([SegmentEdit(segment_id, block_from_plane_mask(mask_hw, plane, volume.geometry))])

            return fastest(write, passes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    arguments = parser.parse_args()

    numbers: dict[str, Any] = {"machine": describe_machine()}
    start = time.perf_counter()
    model = load_model("lite-medsam", device="cpu", precision="float32")
    numbers["load_model_s"] = time.perf_counter() - start

    volume = tube_volume(DEPTHS[0])
    stack = SliceStack.of(volume.geometry, "axial")
    middle = len(stack) // 2
    image = see(volume, stack.plane(middle), WINDOW)
    (embedding,) = model.encode([image.pixels_u8])
    prompt = Prompt(box=BOX)
    numbers["encode_s"] = fastest(lambda: model.encode([image.pixels_u8]), 4)
    numbers["decode_s"] = {
        str(count): fastest(lambda n=count: model.decode(embedding, [prompt] * n), 4) for count in (1, 2, 4, 8, 16)
    }
    numbers["sample_and_window_s"] = fastest(lambda: see(volume, stack.plane(middle), WINDOW), 7)

    segmenter = Segmenter(model)
    segmenter.encode([image])
    # A new image object, as every new look at the slice is one: its digest is computed anew.
    hit = fastest(lambda: segmenter.encode([see(volume, stack.plane(middle), WINDOW)]), 7)
    numbers["cache_hit_share_of_encode"] = hit / numbers["encode_s"]

    (prediction,) = segmenter.predict(image, [prompt])
    numbers["mask_s"] = fastest(lambda: segmenter.mask(prediction, MaskOptions()), 7)
    numbers["write_s"] = {str(depth): measure_write(tube_volume(depth)) for depth in DEPTHS}
    numbers["write_deep_over_shallow"] = numbers["write_s"][str(DEPTHS[1])] / numbers["write_s"][str(DEPTHS[0])]
    ours = numbers["sample_and_window_s"] + numbers["mask_s"] + numbers["write_s"][str(DEPTHS[1])]
    numbers["box_to_voxels_s"] = numbers["decode_s"]["1"] + ours
    numbers["of_which_ours_s"] = ours

    structure = {}
    for count in (4, 8, 16):
        roi = OrientedBox.from_bounds(
            (-219.0, -219.0, middle - count / 2 + 0.4), (-139.0, -139.0, middle + count / 2 - 0.6)
        )
        passes = []
        for _ in range(STRUCTURE_PASSES):
            start = time.perf_counter()
            result = segment_structure(volume, roi, model, level="fast")
            passes.append((time.perf_counter() - start, result.encode_seconds))
        seconds, encode_seconds = min(passes)
        structure[str(len(result.slices))] = {
            "seconds": seconds,
            "slices_per_s": len(result.slices) / seconds,
            "beyond_the_encoder": seconds / encode_seconds - 1,
        }
    numbers["structure"] = structure
    numbers["peak_memory_mib"] = peak_memory_mib()
    show(numbers)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1))


def show(numbers: dict[str, Any]) -> None:
    milliseconds = 1000
    print(f"encode one slice            {numbers['encode_s'] * milliseconds:8.1f} ms")
    for count, seconds in numbers["decode_s"].items():
        print(f"decode {count:>2} boxes together    {seconds * milliseconds:8.1f} ms")
    print(f"sample and window           {numbers['sample_and_window_s'] * milliseconds:8.1f} ms")
    print(f"upscale and threshold       {numbers['mask_s'] * milliseconds:8.1f} ms")
    for depth, seconds in numbers["write_s"].items():
        print(f"write, {SIDE}×{SIDE}×{depth:<4}         {seconds * milliseconds:8.1f} ms")
    print(f"write, deep over shallow    {numbers['write_deep_over_shallow']:8.2f} ×")
    print(f"cache hit, of an encode     {numbers['cache_hit_share_of_encode'] * 100:8.2f} %")
    ours = numbers["of_which_ours_s"] * milliseconds
    print(
        f"box to voxels, encoded      {numbers['box_to_voxels_s'] * milliseconds:8.1f} ms, of which ours {ours:.1f} ms"
    )
    for count, row in numbers["structure"].items():
        print(
            f"structure of {count:>2} slices      {row['seconds']:8.2f} s, {row['slices_per_s']:.2f} slices/s, "
            f"{row['beyond_the_encoder'] * 100:+.1f} % beyond the encoder"
        )
    show_curve("boxes decoded together", numbers["decode_s"])
    show_curve("slices of a structure", {count: row["seconds"] for count, row in numbers["structure"].items()})
    print(f"peak memory                 {numbers['peak_memory_mib']:8.0f} MiB")


def show_curve(what: str, seconds: Mapping[str, float]) -> None:
    """A bar for each count; where cost grows linearly, bars grow as counts do, and each costs the same."""
    most = max(seconds.values())
    print(what)
    for count, taken in seconds.items():
        bar = "█" * round(BAR_LENGTH * taken / most)
        print(f"{count:>5} {bar:{BAR_LENGTH}} {taken:8.3f} s, {taken / int(count):.3f} s each")


if __name__ == "__main__":
    main()
