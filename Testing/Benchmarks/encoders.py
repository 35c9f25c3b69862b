"""How long a slice takes in the encoders and a prompt in the decoder, against the published codes in the same run.

- LiteMedSAM: its real weights; the baseline is the published arithmetic as published (``published_tiny_vit.py``).
- MedSAM and SAM: ViT-B with random weights, on which time does not depend; the baseline is transformers' `SamModel` as
  it comes.

Candidates take turns, and each one's fastest pass counts: what else the machine does then hits all alike. Precisions in
which the machine multiplies matrices no faster than in float32 (emulated ones) are left out.

Usage: python Testing/Benchmarks/encoders.py [--json FILE] [--device DEVICE] [--passes N] [--without-vit]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "MedSAMSegment"), str(HERE.parents[0] / "Python")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from machine import describe_machine, peak_memory_mib  # noqa: E402
from published_tiny_vit import PublishedTinyViT  # noqa: E402
from transformers import SamConfig, SamModel  # noqa: E402

from MedSAMSegmentLib.models.description import ModelIdentity  # noqa: E402
from MedSAMSegmentLib.models.devices import choose_device, precisions_of  # noqa: E402
from MedSAMSegmentLib.models.lite_medsam import LiteMedSam  # noqa: E402
from MedSAMSegmentLib.models.protocol import Prompt  # noqa: E402
from MedSAMSegmentLib.models.sam_vit import SamVit  # noqa: E402
from MedSAMSegmentLib.prompts import BoxPrompt  # noqa: E402
from support.lite_medsam_weights import IDENTITY, lite_medsam_state_dict  # noqa: E402

SLICE = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
VIT_IDENTITY = ModelIdentity("sam-vit-b", "random", "0" * 64, "sam")
GFLOP = {"lite-medsam": 75, "vit-b": 742}
"""Of one slice."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--passes", type=int, default=5, help="of each candidate")
    parser.add_argument(
        "--without-vit", action="store_true", help="LiteMedSAM only: ViT-B takes seconds a slice on a CPU"
    )
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    results: dict[str, Any] = {"machine": describe_machine(), "device": device, "threads": torch.get_num_threads()}
    gflops = {name: matrix_gflops(device, name) for name in precisions_of(device)}
    precisions = [name for name in gflops if name == "float32" or gflops[name] > 1.2 * gflops["float32"]]
    results["matrix_gflops"] = gflops
    with torch.inference_mode():
        results["lite-medsam"] = lite_medsam(device, precisions, arguments.passes)
        if not arguments.without_vit:
            results["vit-b"] = vit_b(device, precisions, arguments.passes)
    for model, gflop in GFLOP.items():
        for precision, row in results.get(model, {}).get("slices", {}).items():
            row["share_of_matrix_product"] = gflop * row["slices_per_second"] / gflops[precision]
    results["peak_memory_mib"] = peak_memory_mib()
    if device.startswith("cuda"):
        results["peak_gpu_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    print_table(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def lite_medsam(device: str, precisions: Sequence[str], passes: int) -> dict[str, Any]:
    published = PublishedTinyViT().eval()
    prefix = "image_encoder."
    weights = lite_medsam_state_dict()
    published.load_state_dict({name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)})
    published.to(device)
    models = {name: LiteMedSam.from_state_dict(weights, IDENTITY, device, name) for name in precisions}
    image = models["float32"].preprocessing.to_input(SLICE, device)[None].contiguous()
    candidates: dict[str, Callable[[], Any]] = {"published": lambda: published(image)}
    candidates |= {name: lambda model=model: model.encoder(image) for name, model in models.items()}
    difference = (published(image) - models["float32"].encoder(image)).abs().max()
    encode = fastest(candidates, passes, device)
    return compared(encode, "published") | {
        "largest_difference_in_float32": float(difference),
        "slices": {name: slices(model, passes, device) for name, model in models.items()},
        "around": around(models["float32"], passes, device),
    }


def vit_b(device: str, precisions: Sequence[str], passes: int) -> dict[str, Any]:
    torch.manual_seed(0)
    default = SamModel(SamConfig()).eval()
    with torch.no_grad():
        for name, parameter in default.vision_encoder.named_parameters():
            # transformers starts these with zeros, which would hide an error; time does not depend on them.
            if "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(std=0.02)
    weights = default.state_dict()
    default.to(device)
    models: dict[str, SamVit] = {}
    for precision in precisions:
        copy = SamModel(SamConfig())
        copy.load_state_dict(weights)
        models[precision] = SamVit.from_sam_model(copy, VIT_IDENTITY, device, precision)
    image = models["float32"].preprocessing.to_input(SLICE, device)[None].contiguous()
    candidates: dict[str, Callable[[], Any]] = {"SamModel": lambda: default.vision_encoder(image).last_hidden_state}
    candidates |= {name: lambda model=model: model.encoder(image) for name, model in models.items()}
    difference = (candidates["SamModel"]() - models["float32"].encoder(image)).abs().max()
    encode = fastest(candidates, passes, device)
    return compared(encode, "SamModel") | {
        "largest_difference_in_float32": float(difference),
        "slices": {name: slices(model, passes, device) for name, model in models.items()},
        "around": around(models["float32"], passes, device),
    }


def slices(model: LiteMedSam | SamVit, passes: int, device: str) -> dict[str, float]:
    """From pixels to embeddings: a slice alone, and as many at a time as suit the device."""
    count = model.batch_size
    candidates: dict[str, Callable[[], Any]] = {"alone": lambda: model.encode([SLICE])}
    if count > 1:
        candidates["together"] = lambda: model.encode([SLICE] * count)
    seconds = fastest(candidates, passes, device)
    each = seconds.get("together", seconds["alone"]) / count
    return {"seconds_alone": seconds["alone"], "together": count, "slices_per_second": 1 / each}


def around(model: LiteMedSam | SamVit, passes: int, device: str) -> dict[str, float]:
    """Seconds of what surrounds the encoder, for a slice of 512 × 512."""
    (embedding,) = model.encode([SLICE])
    prompts = [Prompt(BoxPrompt(100 + 10 * n, 120, 300, 340)) for n in range(8)]
    logits = model.decode(embedding, prompts).logits
    region = (slice(100, 360), slice(80, 320))
    return fastest(
        {
            "preprocessing": lambda: model.preprocessing.to_input(SLICE, device),
            "decode 1 box": lambda: model.decode(embedding, prompts[:1]),
            "decode 8 boxes": lambda: model.decode(embedding, prompts),
            "upscale the slice": lambda: model.logits_on_slice(logits[0], SLICE.shape),
            "upscale the region": lambda: model.logits_on_slice(logits[0], SLICE.shape, region),
        },
        passes,
        device,
    )


def compared(seconds: Mapping[str, float], baseline: str) -> dict[str, Any]:
    return {
        "encode_seconds": dict(seconds),
        "times_as_fast": {name: seconds[baseline] / taken for name, taken in seconds.items()},
    }


def fastest(candidates: Mapping[str, Callable[[], Any]], passes: int, device: str) -> dict[str, float]:
    """Seconds of each one's fastest pass, after one that does not count."""
    best = dict.fromkeys(candidates, float("inf"))
    for turn in range(passes + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def matrix_gflops(device: str, precision: str) -> float:
    """What the machine reaches in a square matrix product: the ceiling of an encoder."""
    # Small products do not keep a GPU busy, and large ones take a CPU seconds.
    size = 8192 if device.startswith("cuda") else 2048
    matrix = torch.randn(size, size, device=device).to(getattr(torch, precision))
    seconds = fastest({"product": lambda: matrix @ matrix}, 5, device)["product"]
    return 2 * size**3 / seconds / 1e9


def print_table(results: Mapping[str, Any]) -> None:
    print(f"{results['machine']['processor']}, {results['device']}, {results['threads']} threads")
    for precision, gflops in results["matrix_gflops"].items():
        print(f"  matrix product in {precision}: {gflops:.0f} GFLOP/s")
    for model, gflop in GFLOP.items():
        if model not in results:
            continue
        print(f"{model}, one slice ({gflop} GFLOP)")
        for name, seconds in results[model]["encode_seconds"].items():
            ratio = results[model]["times_as_fast"][name]
            print(f"  encode, {name:<10} {1000 * seconds:9.1f} ms  {ratio:5.2f}×  {gflop / seconds:6.0f} GFLOP/s")
        for name, row in results[model]["slices"].items():
            print(
                f"  from pixels, {name:<8} {1000 * row['seconds_alone']:6.1f} ms alone; {row['together']} together: "
                f"{row['slices_per_second']:.1f} slices/s, {100 * row['share_of_matrix_product']:.0f} % of the product"
            )
        print(f"  largest difference of embeddings in float32: {results[model]['largest_difference_in_float32']:.1e}")
        for name, seconds in results[model]["around"].items():
            print(f"  {name:<18} {1000 * seconds:9.1f} ms")
    print(f"peak memory {results['peak_memory_mib']:.0f} MiB")
    if "peak_gpu_memory_mib" in results:
        print(f"peak memory of the GPU {results['peak_gpu_memory_mib']:.0f} MiB")


if __name__ == "__main__":
    main()
