"""Giving up an encoder pass that nobody waits for any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from MedSAMSegmentLib.cancellation import stop_if


class Interruption:
    """Asks between an encoder's blocks whether to go on: a pass takes a second or more, a block a tenth of it.

    Args:
        encoder: its blocks are what its ``ModuleList`` and ``Sequential`` modules hold; the arithmetic stays as it is.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self._cancelled: Callable[[], bool] | None = None
        for group in encoder.modules():
            if isinstance(group, nn.ModuleList | nn.Sequential):
                for block in group:
                    block.register_forward_pre_hook(self._ask)

    @contextmanager
    def when(self, cancelled: Callable[[], bool] | None) -> Iterator[None]:
        """Within, a pass raises `CancelledError` as soon as ``cancelled`` says so; None: it runs to its end."""
        self._cancelled = cancelled
        try:
            yield
        finally:
            self._cancelled = None

    def _ask(self, _block: nn.Module, _arguments: Any) -> None:
        stop_if(self._cancelled)
