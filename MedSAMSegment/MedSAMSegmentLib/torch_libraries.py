"""torch's shared libraries, loaded so that the other threads of the process go on meanwhile."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

_LIBRARIES = (("libtorch_global_deps.so", "RTLD_GLOBAL"), ("libtorch_python.so", "RTLD_LOCAL"))
"""In the order and with the visibility with which ``import torch`` loads them on Linux; it brings the others."""


def load_beside_other_threads() -> None:
    """Have the libraries in memory before ``import torch`` asks for them.

    An import holds the interpreter's lock while the system loads a library: half a second for torch's, in which
    nothing else of the application runs. A function that ctypes calls does not. Where a library is not found or does
    not load nothing happens: the import itself loads it, or says what is wrong. On Windows torch loads its own in this
    way, and on macOS they are small.
    """
    if not sys.platform.startswith("linux") or "torch" in sys.modules:
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    dlopen = getattr(ctypes.CDLL(None), "dlopen", None)
    if dlopen is None:  # of a Python that was linked statically
        return
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = [ctypes.c_char_p, ctypes.c_int]
    for name, visibility in _LIBRARIES:
        library = Path(spec.origin).parent / "lib" / name
        if not dlopen(os.fsencode(library), os.RTLD_LAZY | getattr(os, visibility)):
            return
