"""What is stored in the scene, read back."""

import pytest

from MedSAMSegmentLib.errors import InvalidOptionError
from MedSAMSegmentSlicer.effect_settings import DEFAULTS, read_settings


def _read(**stored):
    return read_settings(lambda name: stored.get(name, ""))


def test_without_anything_stored_the_defaults_hold():
    settings = _read()
    assert settings.choice.model == DEFAULTS["Model"]
    assert (settings.scope, settings.mode, settings.window) == ("slice", "add", "auto")
    assert settings.threshold == 0.5
    assert (settings.fill_holes, settings.keep_largest, settings.smoothing_mm) == (False, False, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("Threshold", "0.8", "threshold", 0.8),
        ("Threshold", "1.5", "threshold", 0.5),
        ("Threshold", "nonsense", "threshold", 0.5),
        ("Threshold", "nan", "threshold", 0.5),
        ("FillHoles", "1", "fill_holes", True),
        ("SmoothingMm", "-3", "smoothing_mm", 0.0),
        ("Scope", "structure", "scope", "structure"),
        ("Scope", "everything", "scope", "slice"),
        ("Mode", "", "mode", "add"),
        ("Window", "lung", "window", "lung"),
    ],
)
def test_a_stored_value_is_used_and_one_that_makes_no_sense_is_not(name, value, field, expected):
    assert getattr(_read(**{name: value}), field) == expected


def test_an_own_window_is_level_and_width():
    assert _read(Window="custom", CustomWindow="50,350").window == "50,350"


def test_the_displayed_window_comes_from_the_display_node(desk):
    desk.volume_node.CreateDefaultDisplayNodes()
    display = desk.volume_node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(200.0, 40.0)
    window = _read(Window="displayed").window_for(desk.volume_node)
    assert (window.lower, window.upper) == (-60.0, 140.0)


def test_a_volume_that_is_not_displayed_has_its_window_chosen(desk):
    desk.volume_node.SetAndObserveDisplayNodeID(None)
    assert _read(Window="displayed").window_for(desk.volume_node) == "auto"


@pytest.mark.parametrize("typed", ["50, 350", " 50 350 ", "50;350", "50/350"])
def test_level_and_width_are_read_as_people_write_them(typed):
    assert _read(Window="custom", CustomWindow=typed).window_for(None) == "50,350"


@pytest.mark.parametrize("typed", ["bone marrow", "50", "50,350,2", "50-350"])
def test_what_is_no_level_and_width_is_said_in_the_words_of_the_panel(typed):
    with pytest.raises(InvalidOptionError, match="write its level and its width"):
        _read(Window="custom", CustomWindow=typed).window_for(None)
