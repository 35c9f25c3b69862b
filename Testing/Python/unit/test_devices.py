"""With a stand-in for torch where a device is needed that a computer without it does not have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest
import torch

from MedSAMSegmentLib.errors import DeviceError, InvalidOptionError
from MedSAMSegmentLib.models import devices
from MedSAMSegmentLib.models.description import HALF_PRECISIONS, Family
from MedSAMSegmentLib.models.devices import choose_device, choose_precision, cpu_has_bfloat16, describe_devices

MODERN_BUILD = ["sm_75", "sm_80", "sm_86", "sm_90", "compute_90"]


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: list[tuple[int, int]] | None = None,
    build: list[str] | None = None,
    mps: bool = False,
) -> None:
    """Have the module see a torch with these GPUs."""
    capabilities = capabilities or []

    def capability(device: str | int) -> tuple[int, int]:
        return capabilities[int(str(device).partition(":")[2] or device) if device != "cuda" else 0]

    stand_in = SimpleNamespace(
        __version__="2.13.0",
        get_num_threads=lambda: 8,
        cuda=SimpleNamespace(
            is_available=lambda: bool(capabilities),
            device_count=lambda: len(capabilities),
            get_device_capability=capability,
            get_device_name=lambda n: f"GPU {n}",
            get_arch_list=lambda: build or MODERN_BUILD,
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        cpu=SimpleNamespace(),
    )
    monkeypatch.setattr(devices, "require", lambda name: stand_in)


@pytest.fixture
def no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [(8, 0)], mps=True)
    assert choose_device("auto") == "cuda"
    pretend(monkeypatch, mps=True)
    assert choose_device("auto") == "mps"
    pretend(monkeypatch)
    assert choose_device("auto") == "cpu"


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_there_is_taken_as_asked(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    pretend(monkeypatch, [(8, 0), (8, 6)], mps=True)
    assert choose_device(device) == device


@pytest.mark.parametrize("device", ["tpu", "", "cuda:first", "cuda:-1", "cpu:0", "auto:1", "CUDA"])
def test_a_device_that_does_not_exist_is_refused_with_those_that_do(device: str) -> None:
    with pytest.raises(InvalidOptionError, match="auto, cpu, cuda, mps"):
        choose_device(device)


def test_cuda_that_is_absent_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(DeviceError, match=r"finds no NVIDIA GPU.*--device auto or cpu.*module PyTorch.*driver"):
        choose_device("cuda")
    with pytest.raises(DeviceError, match="Apple silicon"):
        choose_device("mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this computer has an NVIDIA GPU")
def test_cuda_is_refused_on_this_computer_without_one() -> None:
    with pytest.raises(DeviceError, match="CUDA was asked for"):
        choose_device("cuda")


def test_a_device_number_beyond_those_that_are_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [(8, 0)])
    with pytest.raises(DeviceError, match=r"cuda:1.*1 CUDA device"):
        choose_device("cuda:1")


@pytest.mark.parametrize(
    ("capability", "build", "usable"),
    [
        ((8, 6), ["sm_80"], True),  # same generation
        ((8, 0), ["sm_86"], False),  # code for a later member of the generation
        ((12, 0), ["sm_80", "sm_90"], False),  # a generation after the build
        ((12, 0), ["sm_90", "compute_90"], True),  # the driver translates
        ((6, 1), ["sm_75", "compute_80"], False),  # a generation that builds no longer have
        ((9, 0), ["sm_90a"], True),
        ((10, 0), ["gfx90a", "gfx1100"], True),  # AMD
    ],
)
def test_a_gpu_that_the_torch_build_has_no_code_for_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], build: list[str], usable: bool
) -> None:
    """https://docs.nvidia.com/cuda/cuda-c-programming-guide/#application-compatibility"""
    pretend(monkeypatch, [capability], build)
    assert choose_device("auto") == ("cuda" if usable else "cpu")
    if usable:
        assert choose_device("cuda") == "cuda"
    else:
        with pytest.raises(DeviceError, match=build[0]):
            choose_device("cuda")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"), ((7, 0), "float16"), ((6, 1), "float32")],
)
def test_auto_precision_on_cuda_follows_the_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    pretend(monkeypatch, [capability])
    assert choose_precision("auto", "cuda:0") == expected
    assert choose_precision("float32", "cuda") == "float32"


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "float16"), ((8, 0), "float16"), ((7, 5), "float16"), ((6, 1), "float32")]
)
def test_a_model_that_suits_float16_gets_it_where_the_gpu_does_both(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    pretend(monkeypatch, [capability])
    assert choose_precision("auto", "cuda", "float16") == expected
    assert choose_precision("float32", "cuda:0", "float16") == "float32"


@pytest.mark.parametrize(("has_bfloat16", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_a_model_that_suits_float16_gets_what_the_cpu_does(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, expected: str
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: has_bfloat16)
    assert choose_precision("auto", "cpu", "float16") == expected


def test_every_family_has_a_half_precision_that_exists() -> None:
    assert set(HALF_PRECISIONS) == set(get_args(Family))
    assert set(HALF_PRECISIONS.values()) <= {"float16", "bfloat16"}


def test_auto_precision_on_a_cpu_is_bfloat16_only_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    assert choose_precision("auto", "cpu") == "bfloat16"
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    assert choose_precision("auto", "cpu") == "float32"
    assert choose_precision("bfloat16", "cpu") == "bfloat16"


def test_auto_precision_on_an_apple_gpu_is_float32() -> None:
    assert choose_precision("auto", "mps") == "float32"


def test_a_precision_that_does_not_exist_or_fit_is_refused(no_bfloat16: None) -> None:
    with pytest.raises(InvalidOptionError, match="auto, float32, bfloat16, float16"):
        choose_precision("int8", "cpu")
    with pytest.raises(InvalidOptionError, match=r"not possible on cpu\. Use one of: float32, bfloat16"):
        choose_precision("float16", "cpu")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flags : fpu sse4_2 avx2 avx512f avx512_bf16", True),
        ("flags : fpu avx512f amx_bf16 amx_tile", True),
        ("Features : fp asimd bf16 i8mm", True),
        ("flags : fpu sse4_2 avx2 avx512f avx512_vnni", False),
    ],
    ids=["Cooper Lake", "Sapphire Rapids", "Neoverse V1", "Ice Lake"],
)
def test_the_processors_own_list_tells_whether_it_does_bfloat16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, words: str, expected: bool
) -> None:
    class CpuInfo:
        def __init__(self, path: str) -> None:
            assert path == "/proc/cpuinfo"

        def exists(self) -> bool:
            return True

        def read_text(self, **_: object) -> str:
            return f"processor : 0\n{words}\n"

    monkeypatch.setattr(devices, "Path", CpuInfo)
    cpu_has_bfloat16.cache_clear()
    try:
        assert cpu_has_bfloat16() is expected
    finally:
        cpu_has_bfloat16.cache_clear()


def test_the_devices_of_this_computer_end_with_its_cpu() -> None:
    *_, cpu = describe_devices()
    assert cpu.device == "cpu"
    assert "float32" in cpu.precisions
    assert f"{torch.get_num_threads()} threads" in cpu.name


def test_all_gpus_are_described_and_those_that_cannot_be_used_are_marked(
    monkeypatch: pytest.MonkeyPatch, no_bfloat16: None
) -> None:
    pretend(monkeypatch, [(9, 0), (5, 0)], mps=True)
    described = {found.device: found for found in describe_devices()}
    assert list(described) == ["cuda:0", "cuda:1", "mps", "cpu"]
    assert described["cuda:0"].name == "GPU 0"
    assert described["cuda:0"].precisions[0] == "bfloat16"
    assert "not used" in described["cuda:1"].name
