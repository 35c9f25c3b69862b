from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.models import file_digest
from MedSAMSegmentLib.models.file_digest import (
    check_sha256,
    matches_at_a_glance,
    remember_arrival,
    sha256_at_arrival,
    sha256_of,
)

# FIPS 180-4, the examples of one block and of a million letters.
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
SHA256_OF_A_MILLION = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large."""
    monkeypatch.setattr(file_digest, "_SMALL", 1000)
    path = tmp_path / "large.bin"
    path.write_bytes(b"a" * 1_000_000)
    return path


def readings(path: Path) -> int:
    """How many times a file is read to tell its SHA-256 once more."""
    pieces: list[int] = []
    sha256_of(path, lambda done, total: pieces.append(done))
    return len(pieces)


def test_known_answers(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    (tmp_path / "million").write_bytes(b"a" * 1_000_000)
    assert sha256_of(tmp_path / "abc") == SHA256_OF_ABC
    assert sha256_of(tmp_path / "million") == SHA256_OF_A_MILLION
    assert check_sha256(tmp_path / "abc", SHA256_OF_ABC) == SHA256_OF_ABC


def test_another_sum_is_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "abd").write_bytes(b"abd")
    with pytest.raises(WeightsError, match=SHA256_OF_ABC) as caught:
        check_sha256(tmp_path / "abd", SHA256_OF_ABC)
    assert hashlib.sha256(b"abd").hexdigest() in str(caught.value)
    assert matches_at_a_glance(tmp_path / "abd", SHA256_OF_ABC) is False


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "_CHUNK", 300_000)
    path = tmp_path / "file"
    path.write_bytes(bytes(1_000_000))
    told: list[tuple[int, int]] = []
    sha256_of(path, lambda done, total: told.append((done, total)))
    assert told == [(n, 1_000_000) for n in (300_000, 600_000, 900_000, 1_000_000)]


def test_progress_can_end_the_work(large_file: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        sha256_of(large_file, cancel)
    assert sha256_at_arrival(large_file) is None


def test_a_large_file_is_read_once_as_long_as_it_does_not_change(large_file: Path) -> None:
    assert readings(large_file) > 0
    assert readings(large_file) == 0
    assert sha256_of(large_file) == SHA256_OF_A_MILLION
    assert matches_at_a_glance(large_file, SHA256_OF_A_MILLION) is True


def test_a_large_file_that_has_changed_is_read_again(large_file: Path) -> None:
    sha256_of(large_file)
    with large_file.open("r+b") as file:
        file.write(b"b")
    assert sha256_of(large_file) == hashlib.sha256(large_file.read_bytes()).hexdigest() != SHA256_OF_A_MILLION


@pytest.mark.skipif(os.name == "nt", reason="Windows has no time of change that programs cannot set")
def test_a_changed_file_whose_time_was_set_back_is_read_again(large_file: Path) -> None:
    before = large_file.stat()
    sha256_of(large_file)
    large_file.write_bytes(b"b" * 1_000_000)
    os.utime(large_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert large_file.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(WeightsError):
        check_sha256(large_file, SHA256_OF_A_MILLION)


def test_checking_anew_reads_a_file_that_has_not_changed(large_file: Path, folder: Path) -> None:
    check_sha256(large_file, SHA256_OF_A_MILLION)
    pieces: list[int] = []
    check_sha256(large_file, SHA256_OF_A_MILLION, lambda done, total: pieces.append(done))
    assert pieces == []
    check_sha256(large_file, SHA256_OF_A_MILLION, lambda done, total: pieces.append(done), anew=True)
    assert pieces[-1] == 1_000_000


def test_a_failed_check_is_not_remembered_as_passed(large_file: Path) -> None:
    for _ in range(2):
        with pytest.raises(WeightsError):
            check_sha256(large_file, "0" * 64)
    assert matches_at_a_glance(large_file, "0" * 64) is None
    sha256_of(large_file)
    assert matches_at_a_glance(large_file, "0" * 64) is False


def test_a_small_file_is_read_every_time_and_leaves_no_trace(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    assert readings(path) == readings(path) == 1
    assert not folder.exists()


def test_what_arrived_is_known_even_after_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    assert sha256_at_arrival(path) is None
    assert remember_arrival(path) == SHA256_OF_ABC
    path.write_bytes(b"abd")
    assert sha256_at_arrival(path) == SHA256_OF_ABC


@pytest.mark.parametrize("contents", ["", "not json", "[]", '{"x": 1}', '{"x": {}}'])
def test_a_broken_record_costs_time_and_nothing_else(large_file: Path, folder: Path, contents: str) -> None:
    folder.mkdir()
    (folder / "digests.json").write_text(contents)
    assert sha256_of(large_file) == SHA256_OF_A_MILLION
    assert readings(large_file) == 0


def test_files_that_are_gone_are_forgotten(large_file: Path, tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(bytes(2000))
    sha256_of(other)
    other.unlink()
    sha256_of(large_file)
    assert list(json.loads((folder / "digests.json").read_text())) == [str(large_file.resolve())]
    assert [path.name for path in folder.iterdir()] == ["digests.json"]


def test_a_models_folder_that_cannot_be_made_is_no_obstacle(
    large_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("in the way")
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "a file" / "models"))
    assert sha256_of(large_file) == SHA256_OF_A_MILLION


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        sha256_of(tmp_path / "absent")
    assert matches_at_a_glance(tmp_path / "absent", SHA256_OF_ABC) is False


def test_what_a_killed_process_left_unfinished_is_removed_and_what_is_being_written_stays(
    large_file: Path, folder: Path
) -> None:
    folder.mkdir()
    abandoned, young = folder / ".digests.json-abandoned", folder / ".digests.json-young"
    abandoned.touch()
    young.touch()
    os.utime(abandoned, (0, 0))
    remember_arrival(large_file)
    assert {path.name for path in folder.iterdir()} == {"digests.json", young.name}
