"""Against a hub that the test serves on loopback: see support/small_hub.py."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import constants

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.models import child_process
from MedSAMSegmentLib.models import hub as hub_module
from MedSAMSegmentLib.models.hub import delete_from_cache, download, find_in_cache, sha256_by_name
from MedSAMSegmentLib.models.hub_program import in_plain_words
from support.small_hub import SmallHub, small_hub, use_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEXT_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
FIRST, SECOND = "someone/first", "someone/second"
CONFIG = json.dumps({"model_type": "sam"}).encode()
WEIGHTS = bytes(range(256)) * 20_000  # 5 MB: several pieces
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub, and huggingface_hub told of it as its environment variables would when it is imported."""
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "models"))
    with small_hub() as server:
        use_hub(server.endpoint, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server


def partial_files(tmp_path: Path) -> list[str]:
    """Names of files in the cache that hold weights, whole or not."""
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size > 1000]


def test_nothing_is_in_an_empty_cache(server: SmallHub) -> None:
    assert find_in_cache((FIRST, SECOND)) is None
    assert server.requests == []


def test_a_download_brings_both_files_of_one_commit_and_records_it(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    found = download((FIRST, SECOND))
    assert (found.repository, found.revision) == (FIRST, COMMIT)
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (found.folder / "config.json").read_bytes() == CONFIG
    assert all(path.startswith((f"/{FIRST}/resolve/", f"/cdn/{SHA256}")) for _, path, _ in server.requests)
    assert sha256_by_name(found.folder / "model.safetensors") == SHA256


def test_no_other_file_of_the_repository_is_fetched(server: SmallHub, tmp_path: Path) -> None:
    server.publish(FIRST, FILES | {"pytorch_model.bin": b"a pickle", "README.md": b"text"}, COMMIT)
    found = download((FIRST,))
    assert {path.name for path in found.folder.iterdir()} == {"config.json", "model.safetensors"}


def test_what_was_downloaded_is_found_without_asking_the_network(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    downloaded = download((FIRST,))
    server.requests.clear()
    assert find_in_cache((SECOND, FIRST)) == downloaded
    assert server.requests == []


def test_a_second_download_fetches_nothing_again(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    download((FIRST,))
    server.requests.clear()
    download((FIRST,))
    assert server.paths("GET") == []


def test_a_second_download_without_a_network_gives_what_is_in_the_cache(
    server: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(FIRST, FILES, COMMIT)
    downloaded = download((FIRST,))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert download((FIRST,)) == downloaded


def test_the_second_repository_is_tried_when_the_first_is_gone(server: SmallHub) -> None:
    server.publish(SECOND, FILES, COMMIT)
    assert download((FIRST, SECOND)).repository == SECOND


def test_the_second_repository_is_tried_when_the_first_has_no_safetensors(server: SmallHub) -> None:
    server.publish(FIRST, {"config.json": CONFIG, "pytorch_model.bin": b"a pickle"}, COMMIT)
    server.publish(SECOND, FILES, NEXT_COMMIT)
    assert download((FIRST, SECOND)).revision == NEXT_COMMIT


def test_progress_grows_to_the_size_of_the_weights(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    told: list[tuple[int, int]] = []
    download((FIRST,), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) >= 4


def test_a_broken_connection_is_taken_up_where_it_broke(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    server.breaks_after = [3_000_000]
    found = download((FIRST,))
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for method, path, asked in server.requests if method == "GET" and path.startswith("/cdn/")]
    assert ranges[0] is None
    assert ranges[1] is not None
    # Whole pieces are kept.
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) >= 2 * 2**20


def test_cancelling_in_the_middle_leaves_no_model_and_it_can_be_downloaded_later(
    server: SmallHub, tmp_path: Path
) -> None:
    server.publish(FIRST, FILES, COMMIT)
    server.publish(SECOND, FILES, COMMIT)
    arrived: list[int] = []
    with pytest.raises(CancelledError, match="cancelled"):
        download(
            (FIRST, SECOND),
            progress=lambda done, total: arrived.append(done),
            cancelled=lambda: bool(arrived) and arrived[-1] >= 2_000_000,
        )
    assert 0 < arrived[-1] < len(WEIGHTS)
    assert find_in_cache((FIRST, SECOND)) is None
    assert "model.safetensors" not in partial_files(tmp_path)
    assert not any(path.startswith(f"/{SECOND}") for _, path, _ in server.requests)
    assert (download((FIRST,)).folder / "model.safetensors").read_bytes() == WEIGHTS


def test_cancelled_before_it_starts_asks_nothing(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    with pytest.raises(CancelledError):
        download((FIRST,), cancelled=lambda: True)
    assert server.requests == []


def test_damaged_weights_are_refused_and_not_kept(server: SmallHub, tmp_path: Path) -> None:
    server.publish(FIRST, FILES, COMMIT)
    server.damages = True
    with pytest.raises(WeightsError, match=SHA256):
        download((FIRST,))
    assert find_in_cache((FIRST,)) is None
    assert partial_files(tmp_path) == []
    server.damages = False
    assert (download((FIRST,)).folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (lambda server: None, f"{FIRST}: there is no such repository"),
        (lambda server: server.errors.update({FIRST: (403, "GatedRepo")}), "hf auth login"),
        (lambda server: server.publish(FIRST, {"config.json": CONFIG}, COMMIT), "no model.safetensors"),
        (lambda server: server.errors.update({FIRST: (503, "")}), "error 503"),
        (lambda server: server.errors.update({FIRST: (200, "")}), "not the hub"),
    ],
    ids=["missing", "gated", "no safetensors", "overloaded", "login page"],
)
def test_a_refusal_says_why_and_what_to_do(server: SmallHub, arrange: Callable[[SmallHub], None], words: str) -> None:
    arrange(server)
    with pytest.raises(WeightsError, match=words) as caught:
        download((FIRST,))
    assert "import it" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../../../../escaped", "a" * 63, "A" * 64, "g" * 64, "..", "/escaped", "0" * 64 + "/../../escaped"],
)
@pytest.mark.parametrize("header", ["etag", "commit_header"])
def test_a_server_that_calls_a_file_or_a_commit_by_anything_but_a_hash_is_refused(
    server: SmallHub, tmp_path: Path, name: str, header: str
) -> None:
    """huggingface_hub makes names of files of both."""
    server.publish(FIRST, FILES, COMMIT)
    setattr(server, header, name)
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(WeightsError, match="which are no hashes: nothing was fetched"):
        download((FIRST,))
    assert partial_files(tmp_path) == []
    assert not [path for path in tmp_path.rglob("*") if "escaped" in path.name]
    assert set(tmp_path.parent.iterdir()) == before
    assert find_in_cache((FIRST,)) is None


def test_other_weights_than_the_published_ones_are_refused_though_the_server_vouches_for_them(
    server: SmallHub, tmp_path: Path
) -> None:
    server.publish(FIRST, FILES, COMMIT)
    with pytest.raises(WeightsError, match="SHA-256 is not " + "0" * 64):
        download((FIRST,), revision=COMMIT, sha256="0" * 64)
    assert find_in_cache((FIRST,)) is None
    assert partial_files(tmp_path) == []
    assert download((FIRST,), revision=COMMIT, sha256=SHA256).revision == COMMIT


def test_a_pinned_version_is_asked_for_and_no_other_one_taken(server: SmallHub) -> None:
    server.publish(FIRST, FILES, NEXT_COMMIT)
    with pytest.raises(WeightsError, match="version that is asked for is not there"):
        download((FIRST,), revision=COMMIT)
    assert all(COMMIT in path for _, path, _ in server.requests)


def test_more_bytes_than_the_model_has_are_not_fetched(server: SmallHub, tmp_path: Path) -> None:
    server.publish(FIRST, FILES, COMMIT)
    with pytest.raises(WeightsError, match="no more than 1000000 are expected"):
        download((FIRST,), most_bytes=1_000_000)
    assert partial_files(tmp_path) == []
    assert not any("/cdn/" in path for path in server.paths("GET"))


def cancelled_after(seconds: float, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Download from an address, cancel after some seconds; how long that took until it had an effect."""
    use_hub(endpoint, monkeypatch)
    started = time.monotonic()
    with pytest.raises(CancelledError):
        download((FIRST,), cancelled=lambda: time.monotonic() > started + seconds)
    return time.monotonic() - started - seconds


@pytest.mark.parametrize("trickles_after", [0, 100_000, 3_000_000])
def test_a_download_that_trickles_ends_when_it_is_cancelled_and_leaves_nothing(
    server: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trickles_after: int
) -> None:
    server.publish(FIRST, FILES, COMMIT)
    server.trickles_after = trickles_after
    assert cancelled_after(4.0, server.endpoint, monkeypatch) < 3.0  # 0.1 s on a computer with nothing else to do
    assert any("/cdn/" in path for path in server.paths("GET"))
    assert partial_files(tmp_path) == []
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


@pytest.mark.parametrize("kind", ["never accepts", "silent", "silent after the headers"])
def test_a_hub_that_does_not_answer_ends_when_it_is_cancelled(
    server: SmallHub, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0 if kind == "never accepts" else 8)
        fillers = []
        if kind == "never accepts":
            for _ in range(4):
                fillers.append(socket.socket())
                fillers[-1].setblocking(False)
                with suppress(BlockingIOError):
                    fillers[-1].connect(listener.getsockname())
        elif kind == "silent after the headers":

            def half_an_answer() -> None:
                with suppress(OSError):
                    connection, _ = listener.accept()
                    fillers.append(connection)
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Repo-Commit: " + COMMIT.encode())

            threading.Thread(target=half_an_answer, daemon=True).start()
        try:
            late = cancelled_after(3.0, f"http://127.0.0.1:{listener.getsockname()[1]}", monkeypatch)
        finally:
            for filler in fillers:
                filler.close()
    assert late < 3.0


def test_what_interrupts_a_download_ends_its_process(server: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes as an exception in the thread that waits."""
    started: list[subprocess.Popen] = []
    original = subprocess.Popen

    def recorded(*arguments: object, **options: object) -> subprocess.Popen:
        started.append(original(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    def interrupts() -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", recorded)
    server.publish(FIRST, FILES, COMMIT)
    with pytest.raises(KeyboardInterrupt):
        child_process.run_module(
            "json.tool", [], environment=os.environ, on_line=lambda line: None, cancelled=interrupts
        )
    assert started[0].poll() is not None


def test_the_process_of_a_download_ends_with_the_one_that_started_it(server: SmallHub, tmp_path: Path) -> None:
    program = (
        "import os, sys; from MedSAMSegmentLib.models import child_process\n"
        "child_process.run_module('http.server', ['0', '--bind', '127.0.0.1'], environment=os.environ,\n"
        "    on_line=lambda line: None, cancelled=lambda: os._exit(9) if sys.stdin.read(1) else False)"
    )
    source = str(Path(hub_module.__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": source, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE)
    assert parent.stdin is not None
    parent.stdin.write(b"x")
    parent.stdin.close()
    assert parent.wait(timeout=60) == 9
    (folder,) = tmp_path.glob("medsamsegment-*")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and lives_in(folder):
        time.sleep(0.1)
    assert not lives_in(folder)


def lives_in(folder: Path) -> bool:
    """Whether a process has this current folder; where that cannot be found out, none."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == folder:
                return True
    return False


def test_a_password_in_the_hubs_address_is_not_told(server: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub("http://anna:secret@127.0.0.1:9", monkeypatch)
    with pytest.raises(WeightsError, match=r"http://\*\*\*@127\.0\.0\.1:9 cannot be reached") as caught:
        download((FIRST,))
    assert "secret" not in str(caught.value)


def test_an_unreachable_hub_is_named_and_tried_once(server: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:9"  # the port of the discard service
    use_hub(nowhere, monkeypatch)
    with pytest.raises(WeightsError, match=f"{nowhere} cannot be reached.*proxy") as caught:
        download((FIRST, SECOND))
    assert SECOND not in str(caught.value)


def test_offline_mode_is_obeyed_and_named(server: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(FIRST, FILES, COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        download((FIRST,))
    assert server.requests == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"no space is left.*HF_HOME"),
        (errno.EACCES, "cannot be written to; set HF_HOME"),
        (errno.EROFS, "cannot be written to; set HF_HOME"),
    ],
)
def test_a_disk_that_does_not_take_the_file_is_named(number: int, words: str) -> None:
    assert re.search(words, in_plain_words(OSError(number, os.strerror(number))))


def test_a_cache_that_cannot_be_written_to_is_an_error_that_says_so(server: SmallHub, tmp_path: Path) -> None:
    server.publish(FIRST, FILES, COMMIT)
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(WeightsError, match=f"{FIRST}: "):
        download((FIRST,))


def test_an_older_whole_revision_is_found_while_the_newest_has_not_arrived(server: SmallHub) -> None:
    server.publish(FIRST, FILES, COMMIT)
    download((FIRST,))
    server.publish(FIRST, {"config.json": CONFIG, "model.safetensors": WEIGHTS[:-1]}, NEXT_COMMIT)
    with pytest.raises(CancelledError):
        # Once the new commit's configuration is there.
        download((FIRST,), cancelled=lambda: any("cdn" in path for path in server.paths("GET")[2:]))
    found = find_in_cache((FIRST,))
    assert found is not None
    assert found.revision == COMMIT


def test_deleting_frees_the_space_and_forgets_the_model(server: SmallHub, tmp_path: Path) -> None:
    server.publish(FIRST, FILES, COMMIT)
    download((FIRST,))
    assert delete_from_cache((FIRST, SECOND)) >= len(WEIGHTS)
    assert find_in_cache((FIRST,)) is None
    assert partial_files(tmp_path) == []
    assert delete_from_cache((FIRST, SECOND)) == 0


def test_the_environment_decides_where_models_come_from_and_go_to(tmp_path: Path) -> None:
    program = (
        "import sys; from MedSAMSegmentLib.models.hub import download, find_in_cache\n"
        f"repositories = ({FIRST!r},)\n"
        "found = download(repositories) if 'download' in sys.argv else find_in_cache(repositories)\n"
        "print(found.revision, found.folder)"
    )
    source = str(Path(hub_module.__file__).resolve().parents[2])
    with small_hub() as server:
        server.publish(FIRST, FILES, COMMIT)
        environment = os.environ | {
            "HF_ENDPOINT": server.endpoint,
            "HF_HOME": str(tmp_path / "home"),
            "MEDSAMSEGMENT_MODELS": str(tmp_path / "models"),
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": source,
        }
        environment.pop("HF_HUB_CACHE", None)
        command = [sys.executable, "-c", program]
        first = subprocess.run([*command, "download"], env=environment, capture_output=True, text=True, check=True)
    offline = environment | {"HF_HUB_OFFLINE": "1"}
    second = subprocess.run([*command, "download"], env=offline, capture_output=True, text=True, check=True)
    third = subprocess.run(command, env=offline, capture_output=True, text=True, check=True)
    folder = tmp_path / "home" / "hub" / "models--someone--first" / "snapshots" / COMMIT
    assert first.stdout == second.stdout == third.stdout == f"{COMMIT} {folder}\n"
    assert first.stderr == ""
