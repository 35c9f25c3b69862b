r"""Run the GUI tests and the self test inside a real 3D Slicer, and exit with their status.

Usage: Slicer --no-splash --testing --additional-module-paths MedSAMSegment \
              --python-script Testing/in_slicer.py

Slicer takes a second script's name for its own: options for pytest go into the environment variable PYTEST_ADDOPTS.
Run it from the checkout. Slicer's Python needs torch, transformers and the packages ``pytest``, ``hypothesis`` and
``slicerio``. Nothing is installed. Exit status: 0 when everything passed, 1 when something failed.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTED = "Slicer has started: running the GUI tests in it."


def gui_tests() -> bool:
    """Run the GUI tests; whether all passed."""
    import pytest

    return pytest.main(["-q", "-p", "no:cacheprovider", "Testing/Python/gui"]) == 0


def self_test() -> bool:
    """Run the self test that is shipped with the module; whether it passed."""
    import slicer

    try:
        slicer.mrmlScene.Clear(False)
        slicer.selfTests["MedSAMSegment"]()
    except Exception:
        traceback.print_exc()
        return False
    return True


def main() -> int:
    print(STARTED, flush=True)
    os.chdir(ROOT)
    tests_passed = gui_tests()
    self_test_passed = self_test()
    print(f"Self test inside Slicer: {'passed' if self_test_passed else 'failed'}.", flush=True)
    return 0 if tests_passed and self_test_passed else 1


if __name__ == "__main__":
    try:
        status = main()
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Slicer may crash while it ends after tests have made and deleted many editors: their result must not depend on it.
    os._exit(status)
