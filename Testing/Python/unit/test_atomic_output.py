"""Several files are one: all are replaced, or none is."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from MedSAMSegmentLib.errors import InvalidOutputError
from MedSAMSegmentSlicer import temporary_folders
from MedSAMSegmentSlicer.atomic_output import check_output, written_whole
from MedSAMSegmentSlicer.temporary_folders import remove_leftovers, temporary_folder

NAMES = ("a.nrrd", "b.png", "c.csv")
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="users and links as POSIX has them")


def write(paths: tuple[Path, ...]) -> None:
    with written_whole(*paths) as temporary:
        for path in temporary:
            path.write_text(f"new {path.name}")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("there", [(), NAMES, NAMES[:1], NAMES[1:]])
@pytest.mark.parametrize("failing", range(3))
@pytest.mark.parametrize("links", [True, False])
def test_a_rename_that_fails_leaves_every_file_as_it_was(tmp_path, monkeypatch, there, failing, links):
    for name in there:
        (tmp_path / name).write_text(f"old {name}")
    replace, count = Path.replace, iter(range(100))

    def sometimes(self, target):
        if next(count) == failing:
            raise PermissionError(1, "Operation not permitted")
        return replace(self, target)

    def no_links(*args, **options):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "replace", sometimes)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(InvalidOutputError, match="not permitted"):
        write(tuple(tmp_path / name for name in NAMES))
    assert contents(tmp_path) == {name: f"old {name}" for name in there}


def test_files_in_several_folders_are_all_replaced(tmp_path):
    (tmp_path / "other").mkdir()
    paths = (tmp_path / "a.nrrd", tmp_path / "other/b.png", tmp_path / "c.csv")
    paths[0].write_text("old")
    write(paths)
    assert [path.read_text() for path in paths] == ["new a.nrrd", "new b.png", "new c.csv"]
    assert {path.name for path in tmp_path.rglob("*")} == {"a.nrrd", "b.png", "c.csv", "other"}


def test_done_is_told_when_all_are_in_place_and_not_when_one_failed(tmp_path):
    told = []
    path = tmp_path / "a.nrrd"
    with written_whole(path, done=lambda: told.append(path.read_text())) as (temporary,):
        temporary.write_text("new")
    assert told == ["new"]
    with pytest.raises(InvalidOutputError), written_whole(path, done=lambda: told.append("again")):
        pass  # nothing is written
    assert told == ["new"]
    assert path.read_text() == "new"


@posix
def test_a_file_of_somebody_else_in_a_sticky_folder_is_refused_before_and_at_the_rename(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can make files of somebody else")
    folder = tmp_path / "sticky"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"old {name}")
    os.chown(folder / NAMES[0], 12345, 12345)
    folder.chmod(0o1777)
    for parent in tmp_path.parents:
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    tmp_path.chmod(0o755)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(12345)
            os.setuid(12345)
            check_output(folder / NAMES[0], (".nrrd",), ())  # its own
            for name in NAMES[1:]:
                with pytest.raises(InvalidOutputError, match="belongs to another user"):
                    check_output(folder / name, (".png", ".csv"), ())
            with pytest.raises(InvalidOutputError, match="not permitted"):
                write(tuple(folder / name for name in NAMES))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert contents(folder) == {name: f"old {name}" for name in NAMES}


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from MedSAMSegmentSlicer.temporary_folders import temporary_folder\n"
        "with temporary_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'image').write_text('x'); print(folder, flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        left = Path(process.stdout.readline().strip())
        (tmp_path / "other").mkdir()
        time.sleep(1.1)  # younger ones may be on the way to their lock
        with temporary_folder(tmp_path) as mine:
            remove_leftovers(tmp_path)
            assert {path.name for path in tmp_path.iterdir()} == {left.name, mine.name, "other"}
        process.kill()
        process.wait(timeout=30)
        remove_leftovers(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"other"}
    finally:
        process.kill()
        process.communicate()


@posix
def test_a_name_that_is_a_device_or_a_pipe_is_no_output(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InvalidOutputError, match="pipe"):
        check_output(tmp_path / "pipe.csv", (".csv",), ())
    with pytest.raises(InvalidOutputError, match="too long"):
        check_output(tmp_path / ("x" * 300 + ".csv"), (".csv",), ())


def test_a_signal_that_comes_before_it_can_be_deferred_leaves_no_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def too_late() -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path) as folder:
        (folder / "before-out.png").touch()
        monkeypatch.setattr(temporary_folders, "deferred_signals", too_late)
    assert not any(tmp_path.iterdir())
