"""What a user may meet is said in the words of a radiologist: no matrices, coordinates, names of classes or types."""

import re

import numpy as np
import pytest

from MedSAMSegmentLib.errors import MedSAMSegmentError
from MedSAMSegmentLib.geometry.free_plane import plane_of_view
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.slice_stack import SliceStack
from MedSAMSegmentLib.geometry.volume import VolumeGeometry
from MedSAMSegmentLib.prompts import BoxPrompt

GRID = VolumeGeometry((10, 20, 30), np.diag([1.0, 1.0, 2.0, 1.0]))
FAR = np.eye(4)
FAR[2, 3] = 500.0
ENGINEERS = re.compile(
    r"\[|\]|vtk|matri|normal|array|dtype|float|int16|\bRAS\b|[0-9]-dimensional|shape|object-to|index-to"
)


def box_at(matrix, size=(4.0, 4.0, 4.0)):
    return OrientedBox(np.asarray(matrix, dtype=float), np.array(size))


@pytest.mark.parametrize(
    "meet",
    [
        lambda: plane_of_view(FAR, GRID),
        lambda: plane_of_view(np.zeros((4, 4)), GRID),
        lambda: plane_of_view(np.full((4, 4), np.nan), GRID),
        lambda: SliceStack.of(GRID, "axial").slab_crossed(box_at(FAR)),
        lambda: box_at(np.eye(4), (0.0, 4.0, 4.0)),
        lambda: box_at(np.full((4, 4), np.nan)),
        lambda: box_at(np.diag([1.0, 1.0, 0.0, 1.0])),
        lambda: BoxPrompt(3.0, 3.0, 3.0, 8.0),
        lambda: BoxPrompt(3.0, np.nan, 3.0, 8.0),
        lambda: VolumeGeometry((10, 20, 30), np.diag([1.0, 0.0, 2.0, 1.0])),
    ],
)
def test_a_message_that_a_user_may_meet_is_in_plain_words_and_says_what_to_do(meet):
    with pytest.raises(MedSAMSegmentError) as raised:
        meet()
    text = str(raised.value)
    assert not ENGINEERS.search(text), text
    assert re.search(r"(Move|Scroll|Draw|Reset|Check)\b", text), text
