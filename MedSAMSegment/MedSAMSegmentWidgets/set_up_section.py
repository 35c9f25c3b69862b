"""Set up: what is installed, where the model runs, and one button for what is missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MissingPackageError
from MedSAMSegmentLib.packages import reads_pickles_safely
from MedSAMSegmentSlicer.inference_engine import InferenceEngine
from MedSAMSegmentSlicer.setup_state import PackageState, package_states
from MedSAMSegmentSlicer.status_text import device_title, model_title
from MedSAMSegmentWidgets.application_settings import default_choice, set_default_choice
from MedSAMSegmentWidgets.connections import Connections
from MedSAMSegmentWidgets.installer import install_missing

REQUIREMENTS_FILE = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
_DEVICES = ("auto", "cpu", "cuda", "mps")
_PRECISIONS = ("auto", "float32", "bfloat16", "float16")


class SetUpSection:
    """Shows and changes what is the same for all scenes.

    Args:
        ui: the module's widgets.
        engine: whose state is shown.
        changed: called after something was installed or chosen.
    """

    def __init__(self, ui: Any, engine: InferenceEngine, changed: Callable[[], None]) -> None:
        self._ui = ui
        self._engine = engine
        self._changed = changed
        for combo, choices in ((ui.deviceComboBox, _DEVICES), (ui.precisionComboBox, _PRECISIONS)):
            combo.clear()
            for choice in choices:
                combo.addItem(_("Automatic") if choice == "auto" else device_title(choice), choice)
        self._connections = Connections()
        self._connections.add(ui.installButton, "clicked()", self._install)
        self._connections.add(ui.deviceComboBox, "activated(int)", self._chosen)
        self._connections.add(ui.precisionComboBox, "activated(int)", self._chosen)
        ui.setUpSection.collapsed = True
        self.refresh()

    def close(self) -> None:
        self._connections.remove_all()

    def refresh(self) -> None:
        """Look again."""
        choice = default_choice()
        self._ui.deviceComboBox.currentIndex = max(0, self._ui.deviceComboBox.findData(choice.device))
        self._ui.precisionComboBox.currentIndex = max(0, self._ui.precisionComboBox.findData(choice.precision))
        packages = package_states()
        lines = [
            f"✓ {package.name} {package.version}" if package.is_installed else f"✗ {_lack(package)}"
            for package in packages
        ]
        lines += [
            _("{name} {version} has known security holes in reading .pth files: only LiteMedSAM's is read").format(
                name=package.name, version=package.version
            )
            for package in packages
            if package.name == "torch" and package.is_installed and not reads_pickles_safely(str(package.version))
        ]
        lines.append(_("Default model: {title}").format(title=model_title(choice.model)))
        state = self._engine.state
        if state.phase == "ready":
            lines.append(
                _("Loaded on {device}, {precision}, in {seconds:.1f} s").format(
                    device=device_title(state.device), precision=state.precision, seconds=state.seconds
                )
            )
        is_complete = all(package.is_installed for package in packages)
        lacks_torch = any(package.name == "torch" and not package.is_installed for package in packages)
        if lacks_torch and importlib.util.find_spec("PyTorchUtils") is None:
            lines.append(_("The extension PyTorch is not installed: get it with the Extensions Manager first."))
        self._ui.setUpLabel.text = "\n".join(lines)
        self._ui.installButton.enabled = not is_complete
        if not is_complete:
            self._ui.setUpSection.collapsed = False

    def _install(self) -> None:
        text = ""
        with slicer.util.tryWithErrorDisplay(_("Installation failed.")):
            try:
                text = install_missing(REQUIREMENTS_FILE)
            except MissingPackageError as error:
                text = str(error)
        self.refresh()
        self._changed()
        if text:
            self._ui.statusLabel.text = text

    def _chosen(self, _index: int) -> None:
        choice = replace(
            default_choice(),
            device=self._ui.deviceComboBox.currentData,
            precision=self._ui.precisionComboBox.currentData,
        )
        set_default_choice(choice)
        self._changed()


def _lack(package: PackageState) -> str:
    if package.version is None:
        return _("{name} is missing ({requirement})").format(name=package.name, requirement=package.requirement)
    return _("{name} {version} is too old ({requirement})").format(
        name=package.name, version=package.version, requirement=package.requirement
    )
