"""What the numbers were measured on."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

_MATRIX_INSTRUCTIONS = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "bf16"}


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, versions and date."""
    cpu = platform.processor()
    cpu_info = Path("/proc/cpuinfo")
    flags: set[str] = set()
    if cpu_info.exists():
        lines = cpu_info.read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
        flags = set(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), []))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "system": platform.platform(),
        "processor": cpu,
        "cores": os.cpu_count(),
        "matrix_instructions": sorted(flags & _MATRIX_INSTRUCTIONS),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def peak_memory_mib() -> float:
    """Largest resident size of this process so far; not on Windows."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
