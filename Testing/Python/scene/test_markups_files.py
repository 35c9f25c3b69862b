"""Markups files as Slicer's own node takes them, in any encoding, and what would end its reader."""

import json

import numpy as np
import pytest
import vtk

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError
from MedSAMSegmentSlicer.plane_nodes import parse_plane
from MedSAMSegmentSlicer.roi_files import read_rois
from support.files import PLANE_MARKUP, markup, roi_markup, write_rois
from support.rotations import rotation

TURN = rotation(20, 30, 40)
STRETCHED = TURN * (2.0, 1.0, 3.0)


def turned(matrix=TURN, **changes):
    return roi_markup((10.0, 20.0, 30.0), (10, 20, 30)) | {"orientation": matrix.ravel().tolist()} | changes


def slicers_node(scene, path):
    assert scene.markups.LoadMarkups(str(path), "roi")
    return scene.mrml.GetFirstNodeByClass("vtkMRMLMarkupsROINode")


@pytest.mark.parametrize(
    "roi",
    [
        turned(),
        turned(coordinateSystem="RAS"),
        turned(coordinateSystem="0"),
        turned(STRETCHED),
        turned(STRETCHED, coordinateSystem="RAS"),
        turned(TURN @ np.diag([-1, 1, 1])),
        turned(controlPoints=[{"id": "1", "position": [1, 2, 3], "positionStatus": "defined"}]),
        turned(controlPoints=[{"position": [1, 2, 3]}], coordinateSystem="RAS"),
    ],
    ids=["LPS", "RAS", "old RAS", "stretched", "stretched RAS", "mirrored", "other point", "other point in RAS"],
)
def test_an_roi_is_the_box_that_slicers_own_node_makes_of_the_file(scene, tmp_path, roi):
    path = write_rois(tmp_path / "roi.mrk.json", roi)
    node = slicers_node(scene, path)
    # Not by its matrix, from which the box is made, but by its size and bounds, and the planes that Slicer clips with.
    box = read_rois(path)[0].box
    bounds, size, planes = [0.0] * 6, [0.0] * 3, vtk.vtkPlanes()
    node.GetRASBounds(bounds)
    node.GetSizeWorld(size)
    node.GetTransformedPlanes(planes)
    lower, upper = box.corners_ras.min(axis=0), box.corners_ras.max(axis=0)
    np.testing.assert_allclose(np.column_stack((lower, upper)).ravel(), bounds, atol=1e-4)
    np.testing.assert_allclose(box.size_mm * np.linalg.norm(box.object_to_ras[:3, :3], axis=0), size, atol=1e-4)
    if not np.allclose(size, (10, 20, 30)):
        return  # Slicer's planes leave out the scale that its bounds, its size and its views have
    distances = np.array([[planes.GetPlane(n).EvaluateFunction(each) for n in range(6)] for each in box.corners_ras])
    np.testing.assert_allclose(np.sort(np.abs(distances), axis=1)[:, :3], 0, atol=1e-4)  # three faces meet in a corner
    np.testing.assert_allclose(np.maximum(distances, 0), 0, atol=1e-4)  # and none of them cuts it off


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_is_read_in_any_encoding_of_unicode(tmp_path, encoding):
    path = tmp_path / "roi.mrk.json"
    path.write_bytes(json.dumps({"markups": [turned(name="Läsion 50 %s")]}, ensure_ascii=False).encode(encoding))
    (roi,) = read_rois(path)
    assert roi.name == "Läsion 50 %s"
    np.testing.assert_allclose(roi.box.center_ras, (-10, -20, 30))


def test_another_encoding_is_refused_by_name(tmp_path):
    path = tmp_path / "roi.mrk.json"
    path.write_bytes(json.dumps({"markups": [turned(name="Läsion")]}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(InvalidPromptError, match=r"roi\.mrk\.json is not a markups file"):
        read_rois(path)


@pytest.mark.parametrize("name", ["50 %", "%s%n%d", "a%20b"])
def test_a_percent_sign_in_the_name_of_a_file_is_a_percent_sign(tmp_path, name):
    outline = markup("ClosedCurve", (0, 0, 5), (20, 0, 5), (20, 30, 5))
    path = write_rois(tmp_path / f"{name}.mrk.json", turned(), outline, markup("Line", (1, 2, 3), (4, 5, 6)))
    assert [roi.name for roi in read_rois(path)] == [name, f"{name}_1", f"{name}_2"]
    write_rois(tmp_path / f"{name}.mrk.json", PLANE_MARKUP)
    assert parse_plane(str(tmp_path / f"{name}.mrk.json")).normal_ras.shape == (3,)


POINT = {"position": [1, 2, 3], "positionStatus": "defined"}


@pytest.mark.parametrize(
    "odd",
    [
        {"measurements": [None]},
        {"measurements": 5},
        {"display": [None]},
        {"display": {"color": [None, 2], "selectedColor": "red", "visibility": None}},
        {"labelFormat": "%s%n%d"},
        {"locked": None, "properties": [None], "description": 5, "unknown": {"a": [None]}},
        {"controlPoints": [POINT | {"label": None, "orientation": [1], "selected": 3, "associatedNodeID": []}]},
    ],
)
def test_what_does_not_matter_for_the_place_does_not_matter(tmp_path, odd):
    (roi,) = read_rois(write_rois(tmp_path / "roi.mrk.json", turned() | odd))
    np.testing.assert_allclose(roi.box.size_mm, (10, 20, 30))


@pytest.mark.parametrize(
    "wrong",
    [
        {"center": [1e308, 1e308, 1]},
        {"center": None},
        {"orientation": [1, 0]},
        {"orientation": [None] * 9},
        {"orientation": [0] * 9},
        {"orientation": [1e-320, 0, 0, 0, 1, 0, 0, 0, 1]},
        {"size": [True, 1, 1]},
        {"size": [10**400, 1, 1]},
        {"objectToBase": [1e308] * 16},
        {"controlPoints": 5},
        {"controlPoints": [None]},
        {"controlPoints": [{"position": [1, 2]}]},
        {"controlPoints": [{"position": [float("nan"), 2, 3]}]},
        {"controlPoints": [{"position": [float("inf"), 2, 3]}]},
        {"controlPoints": [POINT | {"positionStatus": "odd"}]},
        {"controlPoints": [{"positionStatus": "undefined"}]},
        {"controlPoints": [POINT | {"positionStatus": "undefined"}]},
        {"controlPoints": []},
    ],
)
def test_a_value_that_cannot_be_is_refused_and_ends_nothing(tmp_path, wrong):
    with pytest.raises(InvalidPromptError) as refused:
        read_rois(write_rois(tmp_path / "roi.mrk.json", turned() | wrong))
    assert "roi" in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"markups": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested"),
        (json.dumps({"markups": [{"type": "ROI"}] * 20_000}), "20000 markups"),
        (json.dumps({"markups": [markup("ClosedCurve", *[(1, 2, 3)] * 20_001)]}), "20001 control points"),
    ],
)
def test_a_file_that_is_more_than_slicers_reader_takes_is_refused(tmp_path, content, words):
    (tmp_path / "roi.mrk.json").write_text(content)
    with pytest.raises(InvalidPromptError, match=words):
        read_rois(tmp_path / "roi.mrk.json")


@pytest.mark.parametrize(
    "text", ["1e-320,0,0 1,2,3", "0,0,0 1,2,3", "nan,0,1 1,2,3", "0,0,1 1e308,2,3", "0,0,inf 1,2,3"]
)
def test_a_plane_without_a_normal_or_a_place_is_refused(text):
    with pytest.raises(InvalidOptionError, match="normal"):
        parse_plane(text)
