"""From a cold start to the first mask: what each import and load takes, in processes of their own.

Usage: python Testing/Benchmarks/start_up.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from machine import describe_machine

STEPS = (
    ("import MedSAMSegmentLib, its models' descriptions", "import MedSAMSegmentLib.models.description"),
    ("import numpy", "import numpy"),
    ("import torch", "import torch"),
    ("load LiteMedSAM", "from MedSAMSegmentLib.models.load import load_model; model = load_model(device='cpu')"),
    ("encode a slice", "embedding, = model.encode([numpy.zeros((512, 512), numpy.uint8)])"),
    (
        "decode a box",
        "from MedSAMSegmentLib.models.protocol import Prompt; from MedSAMSegmentLib.prompts import BoxPrompt; "
        "model.decode(embedding, [Prompt(box=BoxPrompt(10, 10, 90, 90))])",
    ),
)
"""What is timed, one after the other in one process: each step finds what those before it have loaded."""

PROGRAM = """
import json, time
seconds = []
for step in {steps!r}:
    start = time.perf_counter()
    exec(step)
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    arguments = parser.parse_args()
    program = PROGRAM.format(steps=[code for _, code in STEPS])
    runs = []
    for _ in range(2):
        finished = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        runs.append(json.loads(finished.stdout.splitlines()[-1]))
    first, second = runs
    total = sum(second)
    print(f"{'':52}{'first':>8}{'again':>8}{'share':>8}")
    for (name, _), cold, warm in zip(STEPS, first, second, strict=True):
        print(f"{name:52}{cold:7.2f}s{warm:7.2f}s{warm / total * 100:7.0f}%")
    print(f"{'from start to first mask':52}{sum(first):7.2f}s{total:7.2f}s")
    if arguments.json:
        steps = [
            {"step": name, "first_s": cold, "again_s": warm}
            for (name, _), cold, warm in zip(STEPS, first, second, strict=True)
        ]
        arguments.json.write_text(json.dumps({"machine": describe_machine(), "steps": steps}, indent=1))


if __name__ == "__main__":
    main()
