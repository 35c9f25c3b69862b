"""``medsam-segment``: the entry point. What takes long to import is imported when an interruption is handled."""

from __future__ import annotations

import os
import sys

from MedSAMSegmentSlicer.command_line.interruptions import ending_at_once


def main() -> None:
    """Run the command that the arguments name, and leave with its exit code."""
    with ending_at_once():
        _open_what_is_closed()
        from MedSAMSegmentSlicer.command_line.answers import left_with
        from MedSAMSegmentSlicer.command_line.app import app

        sys.exit(left_with(app))


def _open_what_is_closed() -> None:
    """Without a standard stream, the next file that is opened would take its place, and be written to as such."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


if __name__ == "__main__":
    main()
