"""Embeddings on disk: found again, never stale, never beyond the bound, whatever happened to the files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache, EmbeddingKey
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import SliceImage, see
from MedSAMSegmentLib.intensity.window import Window
from MedSAMSegmentLib.models.protocol import Embedding
from support.threshold_model import ThresholdModel

KEY = EmbeddingKey("0" * 32, "model|float32")
OTHER = EmbeddingKey("1" * 32, "model|float32")
VALUES = torch.arange(24.0).reshape(2, 3, 4)


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_embedding_is_found_again_by_another_session(tmp_path: Path, dtype: torch.dtype) -> None:
    DiskEmbeddingCache(tmp_path / "cache").put(KEY, Embedding(VALUES.to(dtype), (30, 40)))
    later = DiskEmbeddingCache(tmp_path / "cache")
    assert KEY in later
    assert OTHER not in later
    found = later.get(KEY)
    assert found is not None
    assert found.shape_hw == (30, 40)
    assert found.values.dtype == dtype
    torch.testing.assert_close(found.values, VALUES.to(dtype), rtol=0, atol=0)
    assert later.get(OTHER) is None
    assert later.get(EmbeddingKey(KEY.pixels_digest, "model|bfloat16")) is None


def damaged(contents: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "cut": contents[: len(contents) // 2],
        "one bit": contents[:-5] + bytes([contents[-5] ^ 1]) + contents[-4:],
        "header": b"\xff" * 8 + contents[8:],
        "not ours": b"x" * 4096,
    }


@pytest.mark.parametrize("how", ["empty", "cut", "one bit", "header", "not ours"])
def test_a_damaged_file_is_not_used_and_removed(tmp_path: Path, how: str) -> None:
    DiskEmbeddingCache(tmp_path).put(KEY, Embedding(VALUES, (30, 40)))
    (path,) = files_of(tmp_path)
    path.write_bytes(damaged(path.read_bytes())[how])
    assert DiskEmbeddingCache(tmp_path).get(KEY) is None
    assert files_of(tmp_path) == []


def test_a_file_under_another_ones_name_is_not_used(tmp_path: Path) -> None:
    cache = DiskEmbeddingCache(tmp_path)
    cache.put(KEY, Embedding(VALUES, (30, 40)))
    (first,) = files_of(tmp_path)
    cache.put(OTHER, Embedding(VALUES + 1, (30, 40)))
    (second,) = (path for path in files_of(tmp_path) if path != first)
    second.write_bytes(first.read_bytes())
    assert DiskEmbeddingCache(tmp_path).get(OTHER) is None


def test_files_stay_within_their_bound_and_the_least_recently_used_go_first(tmp_path: Path) -> None:
    DiskEmbeddingCache(tmp_path).put(KEY, Embedding(VALUES, (30, 40)))
    size = files_of(tmp_path)[0].stat().st_size
    keys = [EmbeddingKey(f"{n:032}", "model") for n in range(5)]
    cache = DiskEmbeddingCache(tmp_path, disk_bytes=3 * size + size // 2)
    cache.clear()
    for n, key in enumerate(keys[:3]):
        cache.put(key, Embedding(VALUES, (30, 40)))
        newest = max(files_of(tmp_path), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + n, 1000 + n))
    assert DiskEmbeddingCache(tmp_path).get(keys[0]) is not None  # a use
    for key in keys[3:]:
        cache.put(key, Embedding(VALUES, (30, 40)))
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 3 * size + size // 2
    later = DiskEmbeddingCache(tmp_path)
    assert [key in later for key in keys] == [True, False, False, True, True]


def test_what_others_keep_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "image.nrrd").write_text("theirs")
    (tmp_path / "model.safetensors").write_text("theirs")
    cache = DiskEmbeddingCache(tmp_path, disk_bytes=1)
    cache.put(KEY, Embedding(VALUES, (30, 40)))
    cache.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.nrrd", "model.safetensors"]


def test_what_a_process_that_died_left_behind_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "abc.embedding.tmp"
    left.write_text("half")
    os.utime(left, (1000, 1000))
    DiskEmbeddingCache(tmp_path).put(KEY, Embedding(VALUES, (30, 40)))
    assert not left.exists()


def test_a_disk_that_takes_nothing_costs_the_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    cache = DiskEmbeddingCache(tmp_path)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    cache.put(KEY, Embedding(VALUES, (30, 40)))
    assert cache.get(KEY) is not None
    assert files_of(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidOptionError, match="Choose another one"):
        DiskEmbeddingCache(tmp_path / "file" / "cache")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows gives rights by lists, not by bits")
def test_the_folder_and_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    DiskEmbeddingCache(tmp_path / "cache").put(KEY, Embedding(VALUES, (30, 40)))
    paths = [tmp_path / "cache", *files_of(tmp_path / "cache")]
    assert all(not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for path in paths)


def test_processes_that_write_and_read_together_see_whole_files_only(tmp_path: Path) -> None:
    program = (
        "import sys, torch; from pathlib import Path\n"
        "from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache\n"
        "from MedSAMSegmentLib.inference.embedding_cache import EmbeddingKey\n"
        "from MedSAMSegmentLib.models.protocol import Embedding\n"
        "cache = DiskEmbeddingCache(Path(sys.argv[1]), disk_bytes=60_000, capacity_bytes=0)\n"
        "for n in range(60):\n"
        "    m = n % 6\n"
        "    cache.put(EmbeddingKey(str(m), 'model'), Embedding(torch.full((4096,), float(m)), (1, 1)))\n"
        "    found = cache.get(EmbeddingKey(str((n * 5) % 6), 'model'))\n"
        "    assert found is None or found.values.eq((n * 5) % 6).all()\n"
    )
    library = Path(__file__).resolve().parents[3] / "MedSAMSegment"
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=library) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 60_000
    assert not list(tmp_path.glob("*.tmp"))


changes = st.lists(
    st.one_of(
        st.tuples(st.just("voxel"), st.integers(0, 3 * 8 * 9 - 1), st.integers(-1000, 1000)),
        st.tuples(st.just("window"), st.integers(-500, 500), st.integers(1, 1000)),
        st.tuples(st.just("transform"), st.integers(0, 2), st.sampled_from([-1.0, 1.0])),
        st.tuples(st.just("slice"), st.integers(0, 2), st.just(0)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(changes=changes, on_disk=st.booleans())
def test_no_change_of_voxels_window_or_transform_gives_a_stale_hit(
    changes: list[tuple[str, int, float]], on_disk: bool
) -> None:
    """The stand-in's embedding is what it saw: a stale one would show other pixels."""
    voxels = np.random.default_rng(0).integers(-800, 800, (3, 8, 9)).astype(np.int16)
    ijk_to_ras, window, position = np.diag([-1.0, -1.0, 2.0, 1.0]), Window(-400.0, 400.0, "test"), 1
    memory = EmbeddingCache()
    with tempfile.TemporaryDirectory() as folder:
        for what, first, second in [("start", 0, 0), *changes]:
            if what == "voxel":
                voxels.flat[first] = second
            elif what == "window":
                window = Window(first - second / 2, first + second / 2, "test")
            elif what == "transform":
                ijk_to_ras = ijk_to_ras.copy()
                ijk_to_ras[first] *= second
            elif what == "slice":
                position = first
            volume = Volume(voxels, VolumeGeometry(voxels.shape, ijk_to_ras))
            plane = SliceStack.of(volume.geometry, "axial").plane(position)
            # With files every step is a session of its own: what is found comes from them.
            segmenter = Segmenter(ThresholdModel(), DiskEmbeddingCache(Path(folder)) if on_disk else memory)
            image = see(volume, plane, window)
            for _ in range(2):
                (embedding,) = segmenter.encode([SliceImage(image.pixels_u8.copy(), plane)])
                np.testing.assert_array_equal(np.asarray(embedding.values), image.pixels_u8)
            assert len(segmenter.model.encoded) <= 1  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "link", "link to nothing", "folder", "large", "somebody else's"])
def test_what_this_user_has_not_written_counts_as_not_there_and_nobody_waits(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    DiskEmbeddingCache(tmp_path / "cache").put(KEY, Embedding(VALUES, (30, 40)))
    (path,) = files_of(tmp_path / "cache")
    good = path.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(good)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "link to nothing":
        path.symlink_to(tmp_path / "absent")
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.write_bytes(good)
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    cache = DiskEmbeddingCache(tmp_path / "cache")
    assert KEY not in cache
    assert cache.get(KEY) is None
    # What is written next does not go through the link.
    cache.put(KEY, Embedding(VALUES + 1, (30, 40)))
    assert elsewhere.read_bytes() == good
    assert not (tmp_path / "absent").exists()
    found = cache.get(KEY)
    assert found is not None
    torch.testing.assert_close(found.values, VALUES + 1)


@pytest.mark.parametrize(
    "values", [torch.tensor([1.0, float("nan")]).reshape(1, 1, 2), torch.zeros(3), torch.zeros(2, 3, 4).int()]
)
def test_a_forged_file_with_the_right_digest_is_not_an_embedding(tmp_path: Path, values: torch.Tensor) -> None:
    DiskEmbeddingCache(tmp_path / "cache").put(KEY, Embedding(values, (30, 40)))
    assert len(files_of(tmp_path / "cache")) == 1
    assert DiskEmbeddingCache(tmp_path / "cache").get(KEY) is None
