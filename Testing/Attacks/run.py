"""Attack the product with signals, mutated inputs and faults, and print what was tried and what was lost.

Usage: python3 Testing/checkout.py attack, or this file. Exit code 1 if anything was lost. See README.md beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

# Before torch and ITK are imported: threads do not survive a fork.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "MedSAMSegment"), str(ROOT / "Testing" / "Python"), str(HERE)]

import faults  # noqa: E402
import mutations  # noqa: E402
import signals  # noqa: E402
import workplace  # noqa: E402
from table import Table  # noqa: E402

OUTPUT = ROOT / "attack-output"
ATTACKS = ("signals", "mutations", "faults")
FULL, SHORT = 20_000, 500
"""Mutated inputs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "attacks", nargs="*", metavar="ATTACK", help=f"which: {', '.join(ATTACKS)}; all if none is named"
    )
    parser.add_argument("--short", action="store_true", help="about a minute, for every change")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    parser.add_argument("--inputs", type=int, help=f"how many mutated inputs; {FULL}, or {SHORT} in short")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.attacks) - set(ATTACKS))
    if unknown:
        parser.error(f"no attack named {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    if os.name != "posix":
        sys.exit("The attacks need a POSIX system: they fork, limit and kill processes.")
    start = time.monotonic()
    workplace.import_what_a_run_imports()
    table = Table(OUTPUT / "lost")
    for attack in arguments.attacks or ATTACKS:
        if attack == "signals":
            signals.attack(table, arguments.short)
        elif attack == "mutations":
            mutations.attack(table, arguments.seed, arguments.inputs or (SHORT if arguments.short else FULL))
        else:
            faults.attack(table, arguments.short)
    tried = sum(row.tried for row in table.rows.values())
    closing = f"{tried:,} attacks in {time.monotonic() - start:.0f} s, lost: {table.lost or 'nothing'}"
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "table.md").write_text(f"{table.text()}\n\n{closing}\n", encoding="utf-8")
    print(f"\n{table.text()}\n")
    if table.lost:
        print(f"Each is in {OUTPUT / 'lost'} with its input.")
    print(closing)
    sys.exit(1 if table.lost else 0)


if __name__ == "__main__":
    main()
