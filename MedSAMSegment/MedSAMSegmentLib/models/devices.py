"""Where to compute, and in which precision."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import DeviceError, InvalidOptionError
from MedSAMSegmentLib.packages import require

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class DeviceDescription:
    """A device of this computer: ``name`` for people, ``precisions`` that it does, the one that `auto` takes first."""

    device: str
    name: str
    precisions: tuple[str, ...]


def choose_device(device: str) -> str:
    """``auto`` is an NVIDIA GPU if there is one that torch can use, else an Apple GPU, else the CPU.

    Raises:
        InvalidOptionError: no such choice.
        DeviceError: it was asked for and is not there, or torch cannot use it.
    """
    kind, _, index = device.partition(":")
    if kind not in DEVICES or (index and not (kind == "cuda" and index.isdecimal())):
        raise InvalidOptionError(f"There is no device {device!r}. Use one of: {', '.join(DEVICES)}, cuda:0, cuda:1 ….")
    torch = require("torch")
    if device == "auto":
        if torch.cuda.is_available() and _has_kernels_for(torch, 0):
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.backends.mps.is_available()):
        raise DeviceError(_absent(kind, torch.__version__))
    if kind == "cuda":
        number = int(index or 0)
        if number >= torch.cuda.device_count():
            raise DeviceError(
                f"There is no device {device!r}: this computer has {torch.cuda.device_count()} CUDA device(s), counted "
                "from cuda:0."
            )
        if not _has_kernels_for(torch, number):
            raise DeviceError(
                f"torch {torch.__version__} was built for {', '.join(torch.cuda.get_arch_list())}, and "
                f"{torch.cuda.get_device_name(number)} is none of these. Install a torch build for it (in 3D Slicer: "
                "the module PyTorch), or use --device cpu."
            )
    return device


def choose_precision(precision: str, device: str, half: str = "bfloat16") -> str:
    """``auto`` is the fastest precision that the device does in hardware and that keeps the masks.

    - CUDA: from compute capability 8.0 on (Ampere, 2020) the half precision that suits the model, float16 from 7.0 on,
      else float32.
    - MPS: float32. The Apple GPU gains little from half precision here, and float16 overflows in SAM's attention.
    - CPU: bfloat16 with AVX-512 BF16, AMX or Arm's BF16 instructions; float32 otherwise, where bfloat16 is emulated.

    Args:
        precision: ``auto``, or the precision itself.
        device: from `choose_device`.
        half: the half precision that suits the model, taken where the device does both as well.

    Raises:
        InvalidOptionError: no such choice, or one that the device cannot do.
    """
    if precision not in PRECISIONS:
        raise InvalidOptionError(f"There is no precision {precision!r}. Use one of: {', '.join(PRECISIONS)}.")
    possible = precisions_of(device)
    if precision == "auto":
        return half if possible[0] != "float32" and half in possible else possible[0]
    if precision not in possible:
        raise InvalidOptionError(
            f"Precision {precision!r} is not possible on {device}. Use one of: {', '.join(possible)}."
        )
    return precision


def precisions_of(device: str) -> tuple[str, ...]:
    """What a device can do, best first."""
    kind = device.split(":", maxsplit=1)[0]
    if kind == "cuda":
        major, _ = require("torch").cuda.get_device_capability(device)
        if major >= 8:
            return ("bfloat16", "float16", "float32")
        return ("float16", "float32") if major >= 7 else ("float32", "float16")
    if kind == "mps":
        return ("float32", "float16")
    return ("bfloat16", "float32") if cpu_has_bfloat16() else ("float32", "bfloat16")


def describe_devices() -> list[DeviceDescription]:
    """All devices that torch sees here, best first."""
    torch = require("torch")
    found = []
    for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        note = "" if _has_kernels_for(torch, n) else " (not used: this torch build has no code for it)"
        name = torch.cuda.get_device_name(n) + note
        found.append(DeviceDescription(f"cuda:{n}", name, precisions_of(f"cuda:{n}")))
    if torch.backends.mps.is_available():
        found.append(DeviceDescription("mps", "Apple GPU", precisions_of("mps")))
    found.append(DeviceDescription("cpu", f"{_cpu_name()}, {torch.get_num_threads()} threads", precisions_of("cpu")))
    return found


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware."""
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        # x86: "flags"; Arm: "Features".
        words = set(cpu_info.read_text(encoding="utf-8", errors="replace").split())
        return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
    torch = require("torch")
    if sys.platform == "win32" and hasattr(torch.cpu, "_is_amx_tile_supported"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def _cpu_name() -> str:
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _has_kernels_for(torch: Any, index: int) -> bool:
    """Whether a torch build has code for a GPU: its own generation's, or an older one's that the driver translates."""
    architectures = torch.cuda.get_arch_list()
    if not any(name.startswith(("sm_", "compute_")) for name in architectures):
        return True  # AMD's names follow another rule
    major, minor = torch.cuda.get_device_capability(index)
    for name in architectures:
        form, _, number = name.partition("_")
        digits = number.rstrip("af")  # sm_90a, sm_100f
        if not digits.isdecimal():
            continue
        built_major, built_minor = int(digits[:-1]), int(digits[-1])
        same_generation = form == "sm" and built_major == major and built_minor <= minor
        if same_generation or (form == "compute" and (built_major, built_minor) <= (major, minor)):
            return True
    return False


def _absent(kind: str, torch_version: str) -> str:
    if kind == "cuda":
        return (
            f"CUDA was asked for, and torch {torch_version} finds no NVIDIA GPU. Use --device auto or cpu; or install "
            "a torch build with CUDA (in 3D Slicer: the module PyTorch) and a current NVIDIA driver."
        )
    return (
        f"MPS was asked for, and torch {torch_version} finds no Apple GPU: it takes an Apple silicon Mac. Use --device "
        "auto or cpu."
    )
