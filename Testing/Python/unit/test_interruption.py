import pytest
import torch
from torch import nn

from MedSAMSegmentLib.errors import CancelledError
from MedSAMSegmentLib.models.interruption import Interruption


class Blocks(nn.Module):
    """Six blocks, kept as encoders keep them; counts those that ran."""

    def __init__(self):
        super().__init__()
        self.ran = 0
        self.first = nn.Sequential(*(nn.Identity() for _ in range(2)))
        self.second = nn.ModuleList(nn.Identity() for _ in range(4))
        for block in (*self.first, *self.second):
            block.register_forward_hook(self._count)

    def _count(self, *_):
        self.ran += 1

    def forward(self, images):
        images = self.first(images)
        for block in self.second:
            images = block(images)
        return images


IMAGES = torch.zeros(1, 3, 4, 4)


def test_a_pass_ends_at_the_next_block_once_nobody_wants_it():
    encoder = Blocks()
    interruption = Interruption(encoder)
    with pytest.raises(CancelledError), interruption.when(lambda: encoder.ran == 3):
        encoder(IMAGES)
    assert encoder.ran == 3


def test_a_pass_that_is_wanted_runs_to_its_end():
    encoder = Blocks()
    interruption = Interruption(encoder)
    for cancelled in (None, lambda: False):
        with interruption.when(cancelled):
            encoder(IMAGES)
    assert encoder.ran == 12


def test_nobody_is_asked_about_the_passes_that_come_after():
    encoder = Blocks()
    interruption = Interruption(encoder)
    with pytest.raises(CancelledError), interruption.when(lambda: True):
        encoder(IMAGES)
    encoder(IMAGES)
    assert encoder.ran == 6
