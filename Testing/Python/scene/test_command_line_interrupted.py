"""Real signals to real processes, anywhere in a run: all files are new or none is, nothing else is left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.files import write_rois, write_sphere
from support.interrupted_runs import OUTPUTS

if not hasattr(os, "fork"):
    pytest.skip("signals are POSIX's", allow_module_level=True)

INT, TERM, HUP = signal.SIGINT.value, signal.SIGTERM.value, signal.SIGHUP.value
BEFORE = "yesterday's work"
FIRST_FILES_ARE_THERE = (False, True)
CASES = [
    # where, after how many calls, which signal, whether the files are new
    ("encode", 1, INT, False),
    ("encode", 1, TERM, False),
    ("encode", 1, HUP, False),
    ("mkdtemp", 1, TERM, False),
    ("sync", 1, INT, False),
    ("sync", 3, TERM, False),
    # The renames are one step: what arrives within waits for its end.
    ("replace", 1, INT, True),
    ("replace", 2, TERM, True),
    ("replace", 3, TERM, True),
    ("report", 1, INT, True),
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Exit code, message, folder of each case with each start."""
    root = tmp_path_factory.mktemp("interrupted")
    all_cases = [(case, there) for case in CASES for there in FIRST_FILES_ARE_THERE]
    for n, (_, there) in enumerate(all_cases):
        folder = root / f"case{n}"
        folder.mkdir()
        write_sphere(folder / "ct.nrrd")
        write_rois(folder / "Lesion.mrk.json")
        if there:
            for name in OUTPUTS:
                (folder / name).write_text(BEFORE)
    script = Path(__file__).parents[1] / "support/interrupted_runs.py"
    command = [sys.executable, str(script), str(root), json.dumps([case[:3] for case, _ in all_cases])]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=True)
    answers = json.loads(done.stdout.splitlines()[-1])
    return {key: (*answer, root / f"case{n}") for n, (key, answer) in enumerate(zip(all_cases, answers, strict=True))}


@pytest.mark.parametrize("there", FIRST_FILES_ARE_THERE, ids=["first-run", "files-are-there"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{signal.Signals(case[2]).name}")
def test_after_a_signal_all_files_are_new_or_none_and_the_message_says_which(runs, case, there):
    code, message, folder = runs[case, there]
    *_, number, new = case
    assert code == 128 + number, message
    assert "Traceback" not in message
    assert ("Nothing was written" in message) is not new
    assert ("had been written" in message) is new
    expected = {"ct.nrrd", "Lesion.mrk.json", *(OUTPUTS if new or there else ())}
    assert {path.name for path in folder.iterdir()} == expected
    for name in OUTPUTS if expected > set(OUTPUTS) else ():
        assert ((folder / name).read_bytes() == BEFORE.encode()) is not new


@pytest.mark.parametrize(("module", "number"), [("typer", INT), ("numpy", TERM), ("torch._C", INT), ("slicer", TERM)])
def test_a_signal_while_libraries_are_imported_leaves_no_traceback(tmp_path, module, number):
    write_sphere(tmp_path / "ct.nrrd")
    write_rois(tmp_path / "Lesion.mrk.json")
    # Python says on stderr what it has imported: so the signal comes in the middle.
    start = "from MedSAMSegmentSlicer.command_line.main import main; main()"
    arguments = ["segment", "ct.nrrd", "--roi", "Lesion.mrk.json", "-o", "out.seg.nrrd", "--debug"]
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-c", start, *arguments],
        cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if line.rpartition("|")[2].strip() == module:
                process.send_signal(number)
                break
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 128 + number, rest
    assert "Traceback" not in rest
    assert "Interrupted" in rest
    assert {path.name for path in tmp_path.iterdir()} == {"ct.nrrd", "Lesion.mrk.json"}
