"""What goes wrong on the command line, by the user or meanwhile: a clear answer, and nothing half-written."""

import errno
import os
from pathlib import Path

import pytest

from support.command_line import USUAL, files
from support.files import PLANE_MARKUP, roi_markup, write_rois
from support.threshold_model import ThresholdModel


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("segment", "missing.nrrd", "--roi", "Lesion.mrk.json", "-o", "o.seg.nrrd"), "missing.nrrd"),
        (("segment", "ct.nrrd", "--roi", "none.mrk.json", "-o", "o.seg.nrrd"), "none.mrk.json"),
        (("segment", "ct.nrrd", "--roi", "empty.mrk.json", "-o", "o.seg.nrrd"), "ROI"),
        (("segment", "ct.nrrd", "--roi", "broken.mrk.json", "-o", "o.seg.nrrd"), "broken.mrk.json"),
        (("segment", "ct.nrrd", "--roi", "outside.mrk.json", "-o", "o.seg.nrrd"), "outside"),
        (("segment", "ct.nrrd", "--roi", "flat.mrk.json", "-o", "o.seg.nrrd"), "size"),
        (("segment", "text.nrrd", "--roi", "Lesion.mrk.json", "-o", "o.seg.nrrd"), "text.nrrd"),
        (("segment", "void.nrrd", "--roi", "Lesion.mrk.json", "-o", "o.seg.nrrd"), "void.nrrd"),
        ((*USUAL[:-1], "o.stl"), ".stl"),
        ((*USUAL[:-1], "no/such/folder/o.seg.nrrd"), "folder"),
        ((*USUAL[:-1], "ct.nrrd"), "ct.nrrd"),
        ((*USUAL[:-1], "ct.seg.nrrd", "--segmentation", "ct.seg.nrrd"), "ct.seg.nrrd"),
        ((*USUAL, "--preview", "ct.nrrd"), "ct.nrrd"),
        ((*USUAL, "--preview", "o.jpg"), ".png"),
        ((*USUAL, "--table", "o.xlsx"), ".csv"),
        ((*USUAL, "--table", "no/such/folder/o.csv"), "folder"),
        ((*USUAL, "--thickness", "-3"), "-3"),
        ((*USUAL, "--window", "spleen"), "spleen"),
        ((*USUAL, "--window", "40,0"), "40,0"),
        ((*USUAL, "--plane", "diagonal"), "diagonal"),
        ((*USUAL, "--plane", "absent.mrk.json"), "absent.mrk.json"),
        ((*USUAL, "--plane", "broken.mrk.json"), "broken.mrk.json is not a markups file"),
        ((*USUAL, "--plane", "elsewhere.mrk.json"), "coordinateSystem 'XYZ'"),
        ((*USUAL, "--plane", "0,1,1 -4,6,20", "--slices", "19"), "slices '19'"),
        ((*USUAL, "--slices", "some"), "some"),
        ((*USUAL, "--slices", "9999"), "9999"),
        ((*USUAL, "--threshold", "2"), "2"),
        ((*USUAL, "--device", "abacus"), "abacus"),
        ((*USUAL, "--segmentation", "absent.seg.nrrd"), "absent.seg.nrrd"),
        (("segment", "ct.nrrd", "-o", "o.seg.nrrd"), "--roi"),
        (("segment",), "VOLUME"),
        (("fly",), "fly"),
    ],
)
def test_wrong_input_is_answered_with_exit_code_2_its_value_and_nothing_written(
    medsam_segment, case_folder, arguments, complaint
):
    write_rois(case_folder / "outside.mrk.json", roi_markup(center_lps=(900.0, 900.0, 900.0)))
    write_rois(case_folder / "flat.mrk.json", roi_markup(size=(10.0, 0.0, 10.0)))
    write_rois(case_folder / "elsewhere.mrk.json", {**PLANE_MARKUP, "coordinateSystem": "XYZ"})
    (case_folder / "empty.mrk.json").write_text('{"markups": []}')
    (case_folder / "broken.mrk.json").write_text('{"markups": [')
    (case_folder / "text.nrrd").write_text("not an image")
    (case_folder / "void.nrrd").write_bytes(b"")
    before = files(case_folder)
    outcome = medsam_segment(*arguments)
    assert outcome.code == 2, outcome.err
    assert complaint in " ".join(outcome.err.split())
    assert outcome.out == ""
    assert files(case_folder) == before


def test_a_full_disk_leaves_nothing_behind_and_says_so(medsam_segment, case_folder, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files(case_folder)
    monkeypatch.setattr(Path, "replace", full)
    outcome = medsam_segment(*USUAL)
    assert outcome.code == 2, outcome.err
    assert "space" in outcome.err.lower()
    assert files(case_folder) == before


def test_an_existing_output_survives_a_failed_run(medsam_segment, case_folder):
    (case_folder / "out.seg.nrrd").write_text("yesterday's work")
    assert medsam_segment(*USUAL, "--slices", "9999").code == 2
    assert (case_folder / "out.seg.nrrd").read_text() == "yesterday's work"


def test_an_interrupted_run_writes_nothing(medsam_segment, case_folder, monkeypatch):
    def interrupted(self, slices, *, cancelled=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(ThresholdModel, "encode", interrupted)
    before = files(case_folder)
    outcome = medsam_segment(*USUAL)
    assert outcome.code == 130
    assert files(case_folder) == before


def test_a_defect_is_exit_code_1_and_shows_no_local_values(medsam_segment, monkeypatch):
    def defect(self, slices, *, cancelled=None):
        patient = "".join(("DOE", "^", "JANE"))
        raise RuntimeError(f"unexpected {len(patient)}")

    monkeypatch.setattr(ThresholdModel, "encode", defect)
    outcome = medsam_segment(*USUAL)
    assert outcome.code == 1
    assert "defect" in outcome.err
    assert "DOE^JANE" not in outcome.err


def test_a_plane_that_misses_the_roi_is_refused(medsam_segment):
    outcome = medsam_segment(*USUAL, "--plane", "0,0,1 -4,6,40")
    assert outcome.code == 2
    assert "does not cut the ROI" in " ".join(outcome.err.split())
