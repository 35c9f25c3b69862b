"""An exception in a slot, a timer or a VTK observer fails the test in which it is raised."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import qt
import slicer
import vtk


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """The types of the exceptions that reach the hook that the fixture of all GUI tests reads."""
    kinds: list[type[BaseException]] = []

    def remember(kind: type[BaseException], _error: BaseException, _trace: Any) -> None:
        kinds.append(kind)

    monkeypatch.setattr(sys, "excepthook", remember)
    return kinds


def test_an_exception_in_a_timers_slot_is_noticed(caught) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", fail)
    timer.start(0)
    for _ in range(200):
        slicer.app.processEvents()
        if caught:
            break
    assert caught == [ZeroDivisionError]


def test_an_exception_in_a_vtk_observer_is_noticed(caught) -> None:
    def fail(_caller: Any, _event: str) -> None:
        raise ZeroDivisionError

    node = slicer.vtkMRMLScalarVolumeNode()
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, fail)
    node.Modified()
    assert caught == [ZeroDivisionError]
