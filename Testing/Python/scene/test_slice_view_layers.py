"""Whether a slice view shows a volume."""

import pytest

from MedSAMSegmentSlicer.slice_view_layers import shows_volume


@pytest.fixture
def view(scene):
    """A slice node and the node that says which volumes it shows."""
    slice_node = scene.mrml.AddNewNodeByClass("vtkMRMLSliceNode")
    slice_node.SetLayoutName("Red")
    composite = scene.mrml.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetLayoutName("Red")
    return slice_node, composite


@pytest.mark.parametrize(
    ("behind", "in_front", "opacity", "expected"),
    [
        ("it", None, 0.0, True),
        ("it", None, 1.0, True),
        ("it", "other", 0.5, True),
        ("it", "other", 1.0, False),
        ("other", "it", 0.5, True),
        ("other", "it", 0.0, False),
        ("other", None, 0.0, False),
        (None, None, 0.0, False),
    ],
)
def test_a_volume_is_shown_where_it_is_not_covered_or_transparent(scene, view, behind, in_front, opacity, expected):
    slice_node, composite = view
    volumes = {name: scene.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("it", "other")}
    composite.SetBackgroundVolumeID(volumes[behind].GetID() if behind else None)
    composite.SetForegroundVolumeID(volumes[in_front].GetID() if in_front else None)
    composite.SetForegroundOpacity(opacity)
    assert shows_volume(slice_node, volumes["it"]) is expected


def test_a_view_of_which_nothing_is_known_is_taken_to_show_it(scene, view):
    slice_node, composite = view
    composite.SetLayoutName("Green")
    volume = scene.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert shows_volume(slice_node, volume)
