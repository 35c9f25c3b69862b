"""pip itself, with a folder or a server on loopback as its index."""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
import time
import zipfile
from pathlib import Path

import pytest

from MedSAMSegmentLib.errors import CancelledError, MissingPackageError, WeightsError
from MedSAMSegmentLib.models import wheel_download
from MedSAMSegmentLib.models.wheel_download import download_wheel, python_program

NAME = "weights_for_tests"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only index pip knows."""
    folder = tmp_path / "index"
    folder.mkdir()
    settings = {"PIP_CONFIG_FILE": str(tmp_path / "none"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


def write_wheel(folder: Path, requires: str = "") -> Path:
    info = f"{NAME}-1.0.dist-info"
    files = {
        f"{NAME}/w.pth": "weights",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: weights-for-tests\nVersion: 1.0\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{NAME}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        record = ""
        for name, text in files.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


def test_a_wheel_arrives_without_what_it_depends_on(index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, requires="Requires-Dist: a-package-that-nobody-has\n")
    target = tmp_path / "target"
    target.mkdir()
    download_wheel("weights-for-tests==1.0", target)
    assert [path.name for path in target.iterdir()] == [wheel.name]
    assert (target / wheel.name).read_bytes() == wheel.read_bytes()


def test_a_source_package_whose_code_would_run_is_not_taken(index: Path, tmp_path: Path) -> None:
    (index / "weights-for-tests-1.0.tar.gz").write_bytes(b"never unpacked")
    with pytest.raises(WeightsError, match="No matching distribution"):
        download_wheel("weights-for-tests==1.0", tmp_path)


def test_a_missing_package_is_an_error_with_pips_last_line_and_advice(index: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"No matching distribution.*import it"):
        download_wheel("weights-for-tests==1.0", tmp_path)


def test_a_download_from_a_server_that_does_not_answer_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        started = time.monotonic()
        with pytest.raises(CancelledError):
            download_wheel("weights-for-tests==1.0", tmp_path, lambda: time.monotonic() > started + 0.5)
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_pip_is_an_error_that_says_so(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python-without-pip"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(sys.argv[0] + ': No module named pip')\n")
    program.chmod(0o700)
    monkeypatch.setattr(wheel_download, "python_program", lambda: str(program))
    with pytest.raises(MissingPackageError, match="ensurepip"):
        download_wheel("weights-for-tests==1.0", tmp_path)


def test_this_python_is_the_program_and_inside_slicer_its_python_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert python_program() == sys.executable
    for name in ("SlicerApp-real", "PythonSlicer"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    assert python_program() == str(tmp_path / "PythonSlicer")
