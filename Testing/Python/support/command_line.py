"""The command line as a shell calls it, beside a volume and an ROI, and with a model whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from MedSAMSegmentSlicer.command_line import job as job_module
from MedSAMSegmentSlicer.command_line import segment as segment_module
from MedSAMSegmentSlicer.command_line.input_reader import InputReader
from MedSAMSegmentSlicer.command_line.main import main
from support.files import write_rois, write_sphere
from support.threshold_model import ThresholdModel


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    write_sphere(tmp_path / "ct.nrrd")
    write_rois(tmp_path / "Lesion.mrk.json")
    return tmp_path


class LastingReader(InputReader):
    """Serves one run after the other: each would import Slicer's libraries anew."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def lasting_reader():
    with LastingReader() as reader:
        yield reader
    InputReader.close(reader)


@pytest.fixture
def medsam_segment(monkeypatch, capfd, case_folder, lasting_reader):
    """Runs the command line in the folder with the stand-in model, as a shell would."""
    monkeypatch.chdir(case_folder)
    monkeypatch.setattr(segment_module, "InputReader", lambda **options: lasting_reader)
    monkeypatch.setattr(job_module, "load_model", lambda *args, **options: ThresholdModel())

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["medsam-segment", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return Outcome(left.value.code or 0, out, err)

    return call


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


USUAL = ("segment", "ct.nrrd", "--roi", "Lesion.mrk.json", "--output", "out.seg.nrrd")
