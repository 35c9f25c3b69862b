"""Whatever a file does to its reader, this process lives and says which file it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedSAMSegmentLib.errors import InvalidImageError, InvalidPromptError, MedSAMSegmentError
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentSlicer.command_line.input_reader import InputReader
from MedSAMSegmentSlicer.roi_files import read_rois
from MedSAMSegmentSlicer.segmentation_files import check_same_place
from MedSAMSegmentSlicer.volume_files import read_volume
from support.files import roi_markup, write_rois, write_sphere

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="limits are POSIX's")


@pytest.fixture(scope="module")
def reader():
    with InputReader() as made:
        yield made


def test_what_comes_through_the_pipe_is_what_the_readers_read(reader, tmp_path):
    write_sphere(tmp_path / "ct.nrrd")
    apart, here = reader.read_volume(tmp_path / "ct.nrrd", None, print), read_volume(tmp_path / "ct.nrrd")
    np.testing.assert_array_equal(apart.voxels_kji, here.voxels_kji)
    assert apart.voxels_kji.dtype == here.voxels_kji.dtype
    np.testing.assert_array_equal(apart.geometry.ijk_to_ras, here.geometry.ijk_to_ras)
    write_rois(tmp_path / "two.mrk.json", roi_markup(), roi_markup(size=(5.0, 6.0, 7.0)))
    for one, other in zip(
        reader.read_rois(tmp_path / "two.mrk.json", None), read_rois(tmp_path / "two.mrk.json"), strict=True
    ):
        assert (one.name, one.color) == (other.name, other.color)
        np.testing.assert_array_equal(one.box.object_to_ras, other.box.object_to_ras)
        np.testing.assert_array_equal(one.box.size_mm, other.box.size_mm)
    plane = reader.parse_plane("0,0,1 4,5,6")
    np.testing.assert_array_equal([plane.normal_ras, plane.point_ras], [(0, 0, 1), (4, 5, 6)])


def test_a_large_volume_comes_through_the_pipe_whole(reader, tmp_path):
    voxels = np.random.default_rng(0).integers(-1000, 3000, (80, 200, 210)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / "ct.nrrd"))
    np.testing.assert_array_equal(reader.read_volume(tmp_path / "ct.nrrd", None, print).voxels_kji, voxels)


def test_errors_keep_their_kind_and_message(reader, tmp_path):
    with pytest.raises(InvalidImageError, match=r"There is no file or folder .*absent.nrrd"):
        reader.read_volume(tmp_path / "absent.nrrd", None, print)
    with pytest.raises(InvalidPromptError, match=r"There is no file .*absent.mrk.json"):
        reader.read_rois(tmp_path / "absent.mrk.json", None)


def segmentation_header(**changed: str) -> bytes:
    fields = {
        "type": "unsigned char",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "4 4 4",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "kinds": "domain domain domain",
        "encoding": "raw",
        "space origin": "(0,0,0)",
    } | {key.replace("_", " "): value for key, value in changed.items() if key not in ("extent", "name")}
    lines = ["NRRD0004", *(f"{key}: {value}" for key, value in fields.items())]
    lines += ["Segment0_ID:=1", f"Segment0_Name:={changed.get('name', 'a')}", "Segment0_LabelValue:=1"]
    lines += ["Segment0_Layer:=0", f"Segment0_Extent:={changed.get('extent', '0 3 0 3 0 3')}"]
    return "\n".join([*lines, "", ""]).encode() + bytes([1] * 64)


HUGE = 9 * 10**18
DAMAGED = {
    "extent.seg.nrrd": segmentation_header(extent=f"0 {HUGE} 0 {HUGE} 0 {HUGE}"),
    "origin.seg.nrrd": segmentation_header(space_origin=f"({HUGE},{HUGE},{HUGE})"),
    "nan.seg.nrrd": segmentation_header(space_directions="(nan,0,0) (0,nan,0) (0,0,nan)"),
    "sizes.seg.nrrd": segmentation_header(sizes=f"{2**31 - 1} {2**31 - 1} 4"),
    "long.seg.nrrd": segmentation_header(kinds="domain " * 5000),
    "name.seg.nrrd": segmentation_header(name="%s%n" * 2000),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_segmentation_does_not_end_this_process(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    image = VolumeGeometry((4, 4, 4), np.diag([-1.0, -1.0, 1.0, 1.0]))
    with InputReader(seconds=60.0) as reader:
        before = time.monotonic()
        try:
            for grid in reader.check_segmentation(tmp_path / name):
                check_same_place(tmp_path / name, grid, image)
            assert name in ("extent.seg.nrrd", "name.seg.nrrd")  # Slicer does without what is wrong with them
        except MedSAMSegmentError as error:
            assert name in str(error)
        assert time.monotonic() - before < 120
        # The next file is read all the same.
        write_sphere(tmp_path / "ct.nrrd")
        assert reader.read_volume(tmp_path / "ct.nrrd", None, print).voxels_kji.max() == 100


def test_a_sound_segmentation_passes(reader, tmp_path):
    (tmp_path / "sound.seg.nrrd").write_bytes(segmentation_header())
    (grid,) = reader.check_segmentation(tmp_path / "sound.seg.nrrd")
    assert grid.shape_kji == (4, 4, 4)
    np.testing.assert_array_equal(grid.ijk_to_ras, np.diag([-1.0, -1.0, 1.0, 1.0]))


@pytest.mark.parametrize("dimensions", [2**31 - 1, -1, 0])
def test_a_meta_image_of_absurdly_many_dimensions_is_refused(reader, tmp_path, dimensions):
    path = tmp_path / "ct.mha"
    path.write_bytes(f"ObjectType = Image\nNDims = {dimensions}\nElementDataFile = LOCAL\n".encode() + bytes(64))
    with pytest.raises(InvalidImageError, match=r"ct\.mha"):
        reader.read_volume(path, None, print)


@posix
def test_a_file_that_asks_for_more_memory_than_the_limit_is_refused(tmp_path):
    image = sitk.Image([1500, 1500, 400], sitk.sitkUInt8)  # 0.9 GB, and 1 MB compressed
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"), useCompression=True)
    del image
    with InputReader(memory=2**28) as reader:
        with pytest.raises(InvalidImageError, match=r"ct.nrrd cannot be read: it needs more than 0\.3 GiB of memory"):
            reader.read_volume(tmp_path / "ct.nrrd", None, print)
        write_sphere(tmp_path / "small.nrrd")
        assert reader.read_volume(tmp_path / "small.nrrd", None, print).voxels_kji.max() == 100


@posix
def test_a_reader_that_hangs_is_ended(tmp_path):
    write_sphere(tmp_path / "ct.nrrd")
    with InputReader() as reader:
        reader.parse_plane("0,0,1 4,5,6")
        reader._seconds = 2.0
        os.kill(reader._process.pid, signal.SIGSTOP)
        with pytest.raises(InvalidImageError, match=r"ct\.nrrd cannot be read: its reader had not ended after 2 s"):
            reader.read_volume(tmp_path / "ct.nrrd", None, print)
        assert reader._process is None


@posix
def test_a_reader_that_is_killed_is_said(tmp_path):
    write_sphere(tmp_path / "ct.nrrd")
    with InputReader() as reader:
        reader.parse_plane("0,0,1 4,5,6")
        os.kill(reader._process.pid, signal.SIGKILL)
        with pytest.raises(InvalidImageError, match=r"ct\.nrrd cannot be read: its reader ended with code -9"):
            reader.read_volume(tmp_path / "ct.nrrd", None, print)
        assert reader.read_volume(tmp_path / "ct.nrrd", None, print).voxels_kji.max() == 100


@posix
def test_the_reading_process_does_not_outlive_this_one(tmp_path):
    code = (
        "import os, time\n"
        "from MedSAMSegmentSlicer.command_line.input_reader import InputReader\n"
        "reader = InputReader(); reader.__enter__(); reader.parse_plane('0,0,1 4,5,6')\n"
        "print(reader._process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    pid = int(done.stdout)
    for _ in range(300):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it goes on reading for nobody")


def test_nothing_of_the_folder_it_runs_in_is_imported(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("open('was-run', 'w')")
    (tmp_path / "json.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(tmp_path)
    with InputReader() as reader:
        reader.parse_plane("0,0,1 4,5,6")
    assert not (tmp_path / "was-run").exists()


@posix
def test_the_time_limit_of_one_file_ends_with_its_answer(tmp_path):
    write_rois(tmp_path / "one.mrk.json")
    with InputReader(seconds=4.0) as reader:
        reader.read_rois(tmp_path / "one.mrk.json", None)
        time.sleep(6.0)  # longer than the system's own limit, which is a second above this one
        assert len(reader.read_rois(tmp_path / "one.mrk.json", None)) == 1
