"""What is said of work in progress."""

import pytest

from MedSAMSegmentSlicer.status_text import WorkProgress, time_left_text


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_of_26_slices_at_3_s_each_57_s_are_left_after_the_seventh():
    clock = Clock()
    progress = WorkProgress(clock)
    clock.now += 30.0  # the model is loaded
    for done in range(1, 8):
        progress.tell(round(1000 * done / 26), 1000, f"Slice {done} of 26")
        clock.now += 3.0
    clock.now -= 3.0
    assert progress.text() == "slice 7 of 26, about 1 min left"
    clock.now += 8.0  # of 57 s, 49 s
    assert progress.text() == "slice 7 of 26, about 50 s left"


def test_how_long_it_will_take_is_not_guessed_from_the_first_part_which_loads_the_model():
    clock = Clock()
    progress = WorkProgress(clock)
    assert progress.text() == ""
    clock.now += 20.0
    progress.tell(1, 4)
    assert progress.text() == "slice 1 of 4"


def test_one_step_is_no_share():
    progress = WorkProgress(Clock())
    progress.tell(1, 1)
    assert progress.share is None
    assert progress.text() == ""


def test_something_else_begins_at_nothing():
    progress = WorkProgress(Clock())
    progress.tell(3, 4)
    progress.begin()
    assert progress.share is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "a few seconds left"),
        (4.9, "a few seconds left"),
        (5.0, "about 10 s left"),
        (23.0, "about 20 s left"),
        (54.0, "about 50 s left"),
        (55.0, "about 1 min left"),
        (89.0, "about 1 min left"),
        (125.0, "about 2 min left"),
    ],
)
def test_the_time_left_is_said_as_exactly_as_it_can_be_known(seconds, text):
    assert time_left_text(seconds) == text
