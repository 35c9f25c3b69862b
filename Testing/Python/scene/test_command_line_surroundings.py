"""Odd terminals, odd names and odd numbers: one sentence, and an exit code that is right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from MedSAMSegmentSlicer.command_line.console import shown
from support.command_line import USUAL, files
from support.files import PLANE_MARKUP, roi_markup, write_rois

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="shells and files of POSIX")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
START = "from MedSAMSegmentSlicer.command_line.main import main; main()"


def in_a_shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $M is the command line."""
    command = f"M() {{ '{sys.executable}' -c '{START}' \"$@\"; }}; {line}"
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


@posix
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("M info --json >&-", None, ""),
        ("M --help >/dev/full", 2, "no space left"),
        ("M --version >/dev/full", 2, "no space left"),
        ("M segment nix.nrrd --roi x.mrk.json -o y.nii.gz 2>&-", 2, ""),
        ("M segment nix.nrrd --roi x.mrk.json -o y.nii.gz 2>/dev/full", 2, ""),
        ("M segment nix.nrrd --roi x.mrk.json -o y.nii.gz <&- >&-", 2, "x.mrk.json"),
        ("M segment nix.nrrd --roi x.mrk.json -o y.nii.gz --json >&-", 2, "stdout is closed"),
        ("M models | head -1; exit ${PIPESTATUS[1]}", 0, ""),
    ],
)
def test_closed_and_full_streams_end_in_a_sentence(tmp_path, line, code, words):
    done = in_a_shell(line, tmp_path)
    assert code is None or done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception" not in done.stderr
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("models",), 0), (("info",), 0), (("segment", "nix.nrrd", "--roi", "x.mrk.json", "-o", "y.seg.nrrd"), 2)],
)
def test_a_user_without_a_home_and_a_name_is_answered(tmp_path, arguments, code):
    # As in a container that is run with the number of a user it does not know.
    nobody = "import os, pwd; pwd.getpwuid = {}.__getitem__; os.environ.pop('HOME', None); "
    done = subprocess.run(
        [sys.executable, "-c", nobody + START, *arguments],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_pipes_devices_and_names_that_are_not_utf_8_are_refused(medsam_segment, case_folder):
    os.mkfifo(case_folder / "pipe.nrrd")
    odd = os.fsdecode(b"ct\xff.nrrd")
    (case_folder / odd).write_bytes((case_folder / "ct.nrrd").read_bytes())
    before = files(case_folder)
    for arguments, words in (
        (("segment", "pipe.nrrd", *USUAL[2:]), "pipes and devices"),
        (("segment", "/dev/zero", *USUAL[2:]), "pipes and devices"),
        ((*USUAL, "--segmentation", "pipe.nrrd"), "pipes and devices"),
        (("segment", odd, *USUAL[2:]), "not UTF-8"),
        ((*USUAL[:-1], os.fsdecode(b"o\xff.seg.nrrd")), "not UTF-8"),
        ((*USUAL[:-1], "x" * 300 + ".seg.nrrd"), "too long"),
    ):
        outcome = medsam_segment(*arguments)
        assert outcome.code == 2, outcome.err
        assert words in outcome.err
    assert files(case_folder) == before


ODD_NAME = "[/]Lesion [left]\x1b]0;title\x07\x9b31m\u202egnp\n:smile: end"
AS_SHOWN = "[/]Lesion [left]\\x1b]0;title\\x07\\x9b31m\\u202egnp\\n:smile: end"


def test_a_name_is_neither_markup_nor_a_command_to_the_terminal(medsam_segment, case_folder):
    write_rois(case_folder / "odd.mrk.json", roi_markup() | {"name": ODD_NAME})
    outcome = medsam_segment("segment", "ct.nrrd", "--roi", "odd.mrk.json", "-o", "out.seg.nrrd", "--json")
    assert outcome.code == 0, outcome.err
    assert AS_SHOWN in outcome.err
    assert not set(outcome.err + outcome.out) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert json.loads(outcome.out)["rois"][0]["name"] == ODD_NAME
    table = medsam_segment("segment", "ct.nrrd", "--roi", "odd.mrk.json", "-o", "out.seg.nrrd")
    assert table.code == 0, table.err
    assert not set(table.err) & {"\x1b", "\x07", "\x9b", "\u202e"}
    in_table = "".join(line.split("│")[1].strip() for line in table.err.splitlines() if line.startswith("│"))
    assert in_table.replace(" ", "") == AS_SHOWN.replace(" ", "")


def test_letters_of_all_languages_are_shown_as_they_are():
    for name in ("Läsion links", "左肺", "رئة", "फेफड़ा", "ปอด", "Tumor №2 – 50 %"):
        assert shown(name) == name


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--smoothing", value) for value in ("nan", "inf", "-1", "1e9", "1e308")),
        *(("--threshold", value) for value in ("nan", "inf", "-1", "0", "1", "1e308")),
        *(("--thickness", value) for value in ("nan", "inf", "0", "1e308", "1e-320")),
        *(("--window", value) for value in ("nan,1", "1e308,1e308", "1,1e-320", "inf,inf", "1,1e308", "-1e308,1")),
        *(("--slices", value) for value in ("nan", "inf", "1e308", "1,nan")),
        *(("--plane", value) for value in ("0,0,1e-320 0,0,0", "0,nan,1 0,0,0", "0,0,1 1e308,0,0", "0,0,0 0,0,0")),
    ],
    ids=" ".join,
)
def test_numbers_that_mean_nothing_are_refused_in_a_sentence(medsam_segment, case_folder, arguments):
    write_rois(case_folder / "Plane.mrk.json", PLANE_MARKUP)
    before = files(case_folder)
    outcome = medsam_segment(*USUAL, *arguments)
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1, outcome.err
    assert files(case_folder) == before
