"""Run the benchmarks one after the other, each in a process of its own, and collect what they print and measure.

Usage: python3 Testing/checkout.py bench, or this file with names of benchmarks to run only those.

Every benchmark compares within its own run: machines are shared and noisy, ratios are not. Tables go to the terminal,
``bench-output/NAME.json`` holds each one's numbers and ``bench-output/bench.json`` all of them with the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parents[1] / "bench-output"
BENCHMARKS = ("encoders", "cost", "start_up", "windows", "encode_ahead", "whole_structures")
"""In the order in which they are run. Each script takes ``--json FILE``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or BENCHMARKS
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    OUTPUT.mkdir(exist_ok=True)
    collected = {}
    for name in names:
        print(f"\n== {name} ==", flush=True)
        result = OUTPUT / f"{name}.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(result)]
        completed = subprocess.run(command, check=False)
        if completed.returncode:
            sys.exit(completed.returncode)
        collected[name] = json.loads(result.read_text())
    (OUTPUT / "bench.json").write_text(json.dumps(collected, indent=1))
    print(f"\nNumbers: {OUTPUT / 'bench.json'}")


if __name__ == "__main__":
    main()
