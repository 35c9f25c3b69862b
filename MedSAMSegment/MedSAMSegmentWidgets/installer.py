"""Installs the Python packages that are missing, after the user has agreed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentLib.errors import MissingPackageError
from MedSAMSegmentLib.packages import REQUIREMENTS
from MedSAMSegmentSlicer.setup_state import missing_packages


def install_missing(requirements_file: Path) -> str:
    """Install what is missing; a sentence on how it went. For the main thread: pip in another one has crashed on macOS.

    Raises:
        MissingPackageError: something cannot be installed from here, or the user declined; says what to do.
    """
    with _nothing_from_the_current_folder():
        return _installed(requirements_file)


def _installed(requirements_file: Path) -> str:
    names = [package.name for package in missing_packages()]
    if "torch" in names:
        _install_torch()
    others = [package for package in missing_packages() if package.name != "torch"]
    if others:
        _install_others(requirements_file, [package.requirement for package in others])
    left = [package.name for package in missing_packages()]
    if left:
        raise MissingPackageError(
            _("Still missing: {names}. Restart Slicer and look here again.").format(names=", ".join(left))
        )
    return _("Everything is installed. If a package was in use before, restart Slicer.")


@contextmanager
def _nothing_from_the_current_folder() -> Iterator[None]:
    """Slicer runs ``python -m pip`` where it was started, which may be a folder from elsewhere with a pip of its own.

    Python, from 3.11 on, leaves that folder out where this variable is set. The child processes inherit it.
    """
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise MissingPackageError(
            _(
                "PyTorch is installed by the extension PyTorch, which is not there. Install it with the Extensions "
                "Manager, restart Slicer, and click here again."
            )
        ) from error
    version = REQUIREMENTS["torch"].removeprefix("torch")
    torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=version)
    if torch is None:
        raise MissingPackageError(_("PyTorch was not installed. Nothing can be segmented without it."))


def _install_others(requirements_file: Path, requirements: list[str]) -> None:
    try:
        from slicer import packaging
    except ImportError:
        # Slicer 5.10
        text = _("These Python packages will be downloaded and installed: {names}. Go on?")
        if not slicer.util.confirmOkCancelDisplay(text.format(names=", ".join(requirements))):
            raise MissingPackageError(_("Nothing was installed. Without these packages no model runs.")) from None
        try:
            slicer.util.pip_install(" ".join(requirements))
        except subprocess.CalledProcessError as error:
            raise _pip_failed() from error
        return
    try:
        packaging.pip_ensure(packaging.load_requirements(requirements_file), requester="MedSAM Segment")
    except subprocess.CalledProcessError as error:
        raise _pip_failed() from error
    except RuntimeError as error:
        raise MissingPackageError(
            _("Nothing was installed ({reason}). Without these packages no model runs.").format(reason=error)
        ) from error


def _pip_failed() -> MissingPackageError:
    return MissingPackageError(
        _(
            "The packages cannot be installed: pip failed, and the application log says why. Check the network, or, "
            "where there is a proxy, set HTTPS_PROXY; then click again."
        )
    )
