"""Installing what is missing: the question, refusals, failures. pip itself is never run."""

import importlib.util
import os
import subprocess
import sys
import types

import pytest
import slicer

from MedSAMSegmentSlicer.inference_engine import ModelChoice
from MedSAMSegmentSlicer.status_text import what_is_missing
from MedSAMSegmentWidgets.set_up_section import REQUIREMENTS_FILE


class Computer:
    """Which packages there are, and what is asked of pip."""

    def __init__(self, missing, find_spec):
        self._find_spec = find_spec
        self.missing = set(missing)
        self.asked = []
        self.answer = None  # an error to raise

    def find_spec(self, name):
        """Stands for importlib.util.find_spec."""
        if name in self.missing:
            return None
        return self._find_spec(name) if name not in sys.modules else sys.modules[name]

    def pip_ensure(self, requirements, requester):
        self.asked.append((list(requirements), requester))
        if self.answer is not None:
            raise self.answer
        self.missing -= {"transformers", "huggingface_hub", "safetensors"}


@pytest.fixture
def computer(monkeypatch):
    """Without transformers; with a slicer.packaging that never runs pip."""
    made = Computer({"transformers"}, importlib.util.find_spec)
    monkeypatch.setattr(importlib.util, "find_spec", made.find_spec)
    packaging = types.ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    packaging.pip_ensure = made.pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    return made


def _install(widget):
    widget.ui.installButton.click()
    return widget.ui.statusLabel.text


def test_set_up_is_open_and_the_button_enabled_when_something_is_missing(widget, computer):
    widget.ui.setUpSection.collapsed = True
    widget.panel.refresh()
    assert not widget.ui.setUpSection.collapsed
    assert widget.ui.installButton.enabled
    assert "transformers is missing (transformers>=5.0)" in widget.ui.setUpLabel.text


def test_segmenting_without_a_package_says_which_and_where_to_get_it(widget, computer):
    widget.ui.modelComboBox.currentIndex = widget.ui.modelComboBox.findData("medsam-vit-b")
    widget.ui.segmentButton.click()
    assert "Needs set-up: transformers not installed" in widget.ui.statusLabel.text
    assert "section Set up" in widget.ui.statusLabel.text


def test_lite_medsam_does_not_need_what_is_for_other_models(computer):
    assert "transformers" in what_is_missing(ModelChoice("medsam-vit-b"))
    assert "transformers" not in (what_is_missing(ModelChoice("lite-medsam")) or "")
    computer.missing = {"torch"}
    assert "torch not installed" in what_is_missing(ModelChoice("lite-medsam"))


def test_a_package_that_is_too_old_is_said_so_and_installed_anew(widget, computer, monkeypatch):
    versions = {"transformers": "4.57.1"}
    monkeypatch.setattr("MedSAMSegmentSlicer.setup_state.installed_version", lambda name: versions.get(name, "99.0"))
    computer.missing = set()
    widget.panel.refresh()
    assert "✗ transformers 4.57.1 is too old (transformers>=5.0)" in widget.ui.setUpLabel.text
    assert "transformers 4.57.1 too old" in what_is_missing(ModelChoice("medsam-vit-b"))
    assert "too old" not in (what_is_missing(ModelChoice("lite-medsam")) or "")
    assert widget.ui.installButton.enabled
    assert "Still missing: transformers" in _install(widget)
    assert len(computer.asked) == 1


def test_what_is_asked_for_are_the_requirements_that_are_shipped(widget, computer):
    widget.panel.refresh()
    assert "Everything is installed" in _install(widget)
    ((requirements, requester),) = computer.asked
    assert requester == "MedSAM Segment"
    assert [each.split(">")[0] for each in requirements] == ["transformers", "huggingface_hub", "safetensors"]
    assert REQUIREMENTS_FILE.is_file()
    assert not widget.ui.installButton.enabled


def test_a_declined_question_installs_nothing_and_says_so(widget, computer):
    computer.answer = RuntimeError("User declined package installation")
    widget.panel.refresh()
    assert "Nothing was installed (User declined" in _install(widget)
    assert widget.ui.installButton.enabled


def test_a_pip_that_fails_says_what_to_do(widget, computer):
    computer.answer = subprocess.CalledProcessError(1, ["pip"])
    widget.panel.refresh()
    text = _install(widget)
    assert "pip failed" in text
    assert "HTTPS_PROXY" in text


def test_torch_comes_from_the_pytorch_extension_only(widget, computer, monkeypatch):
    computer.missing.add("torch")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    widget.panel.refresh()
    assert "The extension PyTorch is not installed" in widget.ui.setUpLabel.text
    assert "Extensions Manager" in _install(widget)
    assert computer.asked == []


@pytest.mark.parametrize("is_installed", [True, False])
def test_torch_is_asked_of_the_pytorch_extension_with_consent(widget, computer, monkeypatch, is_installed):
    computer.missing.add("torch")
    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation, torchVersionRequirement):
            calls.append((askConfirmation, torchVersionRequirement))
            if is_installed:
                computer.missing.discard("torch")
            return types.ModuleType("torch") if is_installed else None

    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))
    widget.panel.refresh()
    text = _install(widget)
    assert calls == [(True, ">=2.10")]
    if is_installed:
        assert "Everything is installed" in text
    else:
        assert "PyTorch was not installed" in text
        assert computer.asked == []


def test_packages_that_stay_missing_ask_for_a_restart(widget, computer, monkeypatch):
    monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda *_arguments, **_options: None)
    widget.panel.refresh()
    assert "Restart Slicer" in _install(widget)


def test_a_torch_that_reads_pickles_unsafely_is_said_to_be_enough_and_for_what(widget, computer, monkeypatch):
    from MedSAMSegmentSlicer import setup_state

    assert "security holes" not in widget.ui.setUpLabel.text
    original = setup_state.installed_version
    monkeypatch.setattr(setup_state, "installed_version", lambda name: "2.7.1" if name == "torch" else original(name))
    widget.panel.refresh()
    assert "✓ torch 2.7.1" in widget.ui.setUpLabel.text
    assert "torch 2.7.1 has known security holes in reading .pth files" in widget.ui.setUpLabel.text


def test_pip_does_not_look_into_the_folder_that_slicer_was_started_in(widget, computer, monkeypatch):
    values = []
    original = slicer.packaging.pip_ensure

    def recorded(*arguments, **options):
        values.append(os.environ.get("PYTHONSAFEPATH"))
        return original(*arguments, **options)

    monkeypatch.setattr(slicer.packaging, "pip_ensure", recorded)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    widget.panel.refresh()
    _install(widget)
    assert values == ["1"]
    assert "PYTHONSAFEPATH" not in os.environ


@pytest.fixture
def older_slicer(computer, monkeypatch):
    """Slicer 5.10, which has no slicer.packaging."""
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.delattr(slicer, "packaging", raising=False)
    asked = []
    monkeypatch.setattr(slicer.util, "pip_install", asked.append, raising=False)
    return asked


@pytest.mark.parametrize("agreed", [True, False])
def test_an_older_slicer_asks_before_it_installs(widget, computer, older_slicer, monkeypatch, agreed):
    questions = []

    def ask(text):
        questions.append(text)
        return agreed

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", ask)
    widget.panel.refresh()
    text = _install(widget)
    assert "transformers>=5.0" in questions[0]
    assert older_slicer == (["transformers>=5.0"] if agreed else [])
    if not agreed:
        assert "Nothing was installed" in text
