"""The whole way from files to files, with a model whose answer is known: what is bright inside the box."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentSlicer.command_line import job as job_module
from support.command_line import USUAL, files
from support.files import (
    PLANE_MARKUP,
    SPHERE_CENTER_LPS,
    SPHERE_RADIUS_MM,
    SPHERE_VOLUME_MM3,
    markup,
    roi_markup,
    sphere_image,
    write_rois,
    write_sphere,
)


def test_a_bright_sphere_in_an_roi_becomes_a_segment_of_its_volume_in_its_place(medsam_segment, case_folder):
    outcome = medsam_segment(*USUAL, "--window", "50,100", "--level", "fast", "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    (roi,) = report["rois"]
    assert roi["name"] == "Lesion"
    assert roi["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.03)
    written = sitk.Resample(sitk.ReadImage("out.seg.nrrd"), sphere_image(), sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written) > 0, sitk.GetArrayFromImage(sphere_image()) > 0)


def test_the_report_names_segment_voxels_slices_confidence_and_seconds(medsam_segment):
    report = json.loads(medsam_segment(*USUAL, "--json").out)
    (roi,) = report["rois"]
    assert set(roi) >= {"segment_id", "name", "voxels", "volume_mm3", "predicted_iou", "slices", "seconds"}
    assert roi["voxels"] == pytest.approx(roi["volume_mm3"] / 2.0)  # voxels of 1 × 1 × 2 mm
    assert set(roi["seconds"]) >= {"load_model", "encode", "decode", "write"}
    assert roi["predicted_iou"]["mean"] == pytest.approx(0.9, abs=1e-4)
    assert len(roi["predicted_iou"]["per_slice"]) == len(roi["slices"])
    assert roi["slices"] == sorted(roi["slices"])


def test_the_segment_has_the_name_and_the_colour_of_its_roi(medsam_segment):
    assert medsam_segment(*USUAL).code == 0
    (segment,) = slicerio.read_segmentation("out.seg.nrrd")["segments"]
    assert segment["name"] == "Lesion"
    assert segment["color"] == pytest.approx([0.2, 0.8, 0.4], abs=0.01)


def test_every_roi_of_every_file_becomes_a_segment(medsam_segment, case_folder):
    write_rois(case_folder / "two.mrk.json", roi_markup(size=(10, 10, 10)), roi_markup(size=(6, 6, 6)))
    report = json.loads(medsam_segment(*USUAL, "--roi", "two.mrk.json", "--json").out)
    assert len(report["rois"]) == 3
    assert len({roi["segment_id"] for roi in report["rois"]}) == 3


def test_the_center_slice_alone_is_one_slice(medsam_segment):
    report = json.loads(medsam_segment(*USUAL, "--slices", "center", "--json").out)
    # The sphere's centre, 20 mm, lies between two of the 2 mm layers: 19 and 21; the lower counts.
    assert report["rois"][0]["slices"] == pytest.approx([19.0])


def test_slices_can_be_chosen_by_their_position(medsam_segment):
    report = json.loads(medsam_segment(*USUAL, "--slices", "17,23.4", "--json").out)
    assert report["rois"][0]["slices"] == pytest.approx([17.0, 23.0])


@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_the_plane_is_the_users_to_choose(medsam_segment, plane):
    outcome = medsam_segment(*USUAL, "--plane", plane, "--window", "50,100", "--json", "--level", "fast")
    (roi,) = json.loads(outcome.out)["rois"]
    assert roi["plane"] == plane
    assert roi["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.03)


def test_an_oblique_plane_through_the_centre_cuts_a_disc_one_voxel_thick(medsam_segment):
    # Through the sphere's centre, RAS (-4, 6, 20); 45° between coronal and axial.
    outcome = medsam_segment(*USUAL, "--plane", "0,1,1 -4,6,20", "--window", "50,100", "--json")
    (roi,) = json.loads(outcome.out)["rois"]
    # Voxels of 1 × 1 × 2 mm have an extent of (1 + 2) / √2 mm along the normal.
    thickness = 3 / np.sqrt(2)
    assert roi["volume_mm3"] == pytest.approx(np.pi * SPHERE_RADIUS_MM**2 * thickness, rel=0.06)
    assert roi["plane"] == "oblique"


def test_a_plane_markup_is_a_plane(medsam_segment, case_folder):
    write_rois(case_folder / "plane.mrk.json", PLANE_MARKUP)
    options = ("--window", "50,100", "--json")
    oblique = json.loads(medsam_segment(*USUAL, "--plane", "plane.mrk.json", *options).out)["rois"][0]
    layer = json.loads(medsam_segment(*USUAL, "--plane", "0,0,1 0,0,19", *options).out)["rois"][0]
    assert oblique["voxels"] == layer["voxels"] > 0
    write_rois(case_folder / "planes.mrk.json", PLANE_MARKUP, PLANE_MARKUP)
    ambiguous = medsam_segment(*USUAL, "--plane", "planes.mrk.json", *options)
    assert ambiguous.code == 2
    assert "There are 2 planes in planes.mrk.json" in ambiguous.err


def test_the_level_best_is_said_not_to_be_for_a_single_oblique_plane(medsam_segment):
    outcome = medsam_segment(*USUAL, "--plane", "0,0,1 0,0,19", "--slices", "center", "--level", "best", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["rois"][0]["level"] == "fast"
    assert "there is fast only" in " ".join(outcome.err.split())


def test_a_line_across_the_sphere_is_as_good_as_an_roi(medsam_segment, case_folder):
    left, posterior, superior = SPHERE_CENTER_LPS
    r = SPHERE_RADIUS_MM + 1
    write_rois(
        case_folder / "Target.mrk.json",
        markup("Line", (left - r, posterior, superior), (left + r, posterior, superior)),
    )
    outcome = medsam_segment(
        *("segment", "ct.nrrd", "--roi", "Target.mrk.json", "--output", "out.seg.nrrd"),
        *("--window", "50,100", "--level", "fast", "--json"),
    )
    (roi,) = json.loads(outcome.out)["rois"]
    assert roi["name"] == "Target"
    assert roi["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.03)


def test_the_thickness_of_an_outlines_roi_is_the_users_to_choose(medsam_segment, case_folder):
    left, posterior, superior = SPHERE_CENTER_LPS
    corners = [(left + x, posterior + y, superior) for x, y in ((-12, -12), (12, -12), (12, 12), (-12, 12))]
    write_rois(case_folder / "Outline.mrk.json", markup("ClosedCurve", *corners))
    arguments = ("segment", "ct.nrrd", "--roi", "Outline.mrk.json", "--output", "out.seg.nrrd", "--json")
    # Layers lie 2 mm apart, at 1 mm above and below the outline's plane, and so on.
    assert len(json.loads(medsam_segment(*arguments, "--thickness", "8").out)["rois"][0]["slices"]) == 4
    assert medsam_segment(*arguments, "--thickness", "0").code == 2


def test_a_labelmap_is_written_by_its_extension(medsam_segment):
    assert medsam_segment(*USUAL[:-1], "out.nii.gz", "--window", "50,100", "--level", "fast").code == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage("out.nii.gz"))
    np.testing.assert_array_equal(labels > 0, sitk.GetArrayFromImage(sphere_image()) > 0)


def test_a_labelmap_of_a_sheared_image_is_refused_before_anything_is_computed(medsam_segment, case_folder, monkeypatch):
    image = sphere_image()
    image.SetDirection((1, 0, 0, 0, 1, 0.2, 0, 0, 0.98))
    sitk.WriteImage(image, str(case_folder / "tilted.nrrd"))
    monkeypatch.setattr("MedSAMSegmentSlicer.command_line.job.load_model", lambda *_, **__: pytest.fail("loaded"))
    result = medsam_segment("segment", "tilted.nrrd", "--roi", "Lesion.mrk.json", "-o", "out.nii.gz")
    assert result.code == 2
    assert ".seg.nrrd" in result.err
    assert not (case_folder / "out.nii.gz").exists()


def test_a_segmentation_is_continued_and_its_file_left_alone(medsam_segment, case_folder):
    assert medsam_segment(*USUAL).code == 0
    before = (case_folder / "out.seg.nrrd").read_bytes()
    write_rois(case_folder / "Second.mrk.json")
    outcome = medsam_segment(
        *("segment", "ct.nrrd", "--roi", "Second.mrk.json", "--output", "more.seg.nrrd"),
        *("--segmentation", "out.seg.nrrd", "--overwrite", "none"),
    )
    assert outcome.code == 0, outcome.err
    assert (case_folder / "out.seg.nrrd").read_bytes() == before
    names = [segment["name"] for segment in slicerio.read_segmentation("more.seg.nrrd")["segments"]]
    assert names == ["Lesion", "Second"]


def test_the_preview_is_a_picture(medsam_segment, case_folder):
    assert medsam_segment(*USUAL, "--preview", "sheet.png").code == 0
    picture = sitk.GetArrayFromImage(sitk.ReadImage("sheet.png"))
    assert picture.ndim == 3
    assert picture.std() > 0


def test_the_table_has_the_spheres_volume_and_diameters(medsam_segment, case_folder):
    assert medsam_segment(*USUAL, "--table", "sizes.csv", "--window", "50,100", "--level", "fast").code == 0
    with (case_folder / "sizes.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["image"], row["segment"]) == ("ct.nrrd", "Lesion")
    assert float(row["volume_ml"]) == pytest.approx(SPHERE_VOLUME_MM3 / 1000, rel=0.03)
    # Its centre lies between two layers, at 1 mm from each: almost the whole diameter is seen.
    assert float(row["largest_axial_diameter_mm"]) == pytest.approx(2 * SPHERE_RADIUS_MM, abs=1.0)
    assert float(row["perpendicular_diameter_mm"]) == pytest.approx(2 * SPHERE_RADIUS_MM, abs=1.0)


def test_the_json_says_what_a_segment_has_left_when_a_later_one_lies_on_it(medsam_segment, case_folder):
    write_rois(case_folder / "Same.mrk.json")
    outcome = medsam_segment(*USUAL, "--roi", "Same.mrk.json", "--json", "--window", "50,100", "--overwrite", "all")
    rois = {roi["name"]: roi for roi in json.loads(outcome.out)["rois"]}
    assert (rois["Lesion"]["voxels"], rois["Lesion"]["volume_mm3"]) == (0, 0.0)
    assert rois["Same"]["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.03)
    assert "--overwrite none" in " ".join(outcome.err.split())


def test_the_volume_is_right_in_a_segmentation_on_a_finer_grid(medsam_segment, case_folder):
    finer = sphere_image(size=(80, 88, 96), spacing=(0.5, 0.5, 0.5))
    sitk.WriteImage((finer > 1000), str(case_folder / "finer.nrrd"))
    options = ("--segmentation", "finer.nrrd", "--json", "--window", "50,100")
    outcome = medsam_segment(*USUAL, *options)
    (roi,) = json.loads(outcome.out)["rois"]
    assert roi["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.05)
    assert roi["voxels"] == pytest.approx(SPHERE_VOLUME_MM3 / 0.5**3, rel=0.05)


def test_the_table_says_what_a_segment_has_left_when_a_later_one_lies_on_it(medsam_segment, case_folder):
    write_rois(case_folder / "Same.mrk.json")
    outcome = medsam_segment(
        *USUAL, "--roi", "Same.mrk.json", "--table", "sizes.csv", "--window", "50,100", "--overwrite", "all"
    )
    assert outcome.code == 0, outcome.err
    with (case_folder / "sizes.csv").open(newline="", encoding="utf-8") as file:
        volumes = {row["segment"]: float(row["volume_ml"]) for row in csv.DictReader(file)}
    assert volumes["Lesion"] == 0.0
    assert volumes["Same"] > 0.0


def test_by_default_no_segment_loses_voxels_to_a_later_one(medsam_segment, case_folder):
    assert medsam_segment(*USUAL, "--window", "50,100").code == 0
    arguments = (*USUAL[:-1], "more.seg.nrrd", "--segmentation", "out.seg.nrrd", "--json", "--window", "50,100")
    outcome = medsam_segment(*arguments)
    assert json.loads(outcome.out)["rois"][0]["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.03)
    before, more = (slicerio.read_segmentation(name) for name in ("out.seg.nrrd", "more.seg.nrrd"))
    assert [segment["name"] for segment in more["segments"]] == ["Lesion", "Lesion_1"]
    kept, was = (slicerio.extract_segments(each, [("Lesion", 1)])["voxels"] for each in (more, before))
    assert kept.sum() == was.sum() > 0


def test_in_a_labelmap_the_earlier_segment_stays_and_it_is_said(medsam_segment, case_folder):
    write_rois(case_folder / "Same.mrk.json")
    arguments = (*USUAL[:-1], "out.nii.gz", "--roi", "Same.mrk.json", "--json", "--window", "50,100")
    outcome = medsam_segment(*arguments)
    rois = {roi["name"]: roi for roi in json.loads(outcome.out)["rois"]}
    assert rois["Lesion"]["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.03)
    assert rois["Same"]["voxels"] == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage("out.nii.gz"))
    assert (labels == 1).sum() == rois["Lesion"]["voxels"]
    assert not (labels == 2).any()
    assert "belong to earlier segments" in " ".join(outcome.err.split())


def test_a_cohort_is_a_loop_and_one_bad_case_does_not_spoil_the_others(medsam_segment, case_folder):
    for case in ("first", "bad", "second"):
        (case_folder / case).mkdir()
        write_sphere(case_folder / case / "ct.nrrd")
    (case_folder / "bad" / "ct.nrrd").write_text("not an image")
    codes, images = [], []
    for case in ("first", "bad", "second"):
        arguments = ("segment", f"{case}/ct.nrrd", "--roi", "Lesion.mrk.json", "-o", f"{case}/out.seg.nrrd")
        codes.append(medsam_segment(*arguments, "--table", f"{case}/out.csv").code)
        if codes[-1] == 0:
            with (case_folder / case / "out.csv").open(newline="", encoding="utf-8") as file:
                images += [row["image"] for row in csv.DictReader(file)]
    assert codes == [0, 2, 0]
    # Put together, the tables still tell the cases apart.
    assert images == [str(Path("first/ct.nrrd")), str(Path("second/ct.nrrd"))]
    assert files(case_folder / "bad") == {"ct.nrrd"}


def test_only_the_result_goes_to_stdout(medsam_segment):
    assert medsam_segment(*USUAL).out == ""
    outcome = medsam_segment(*USUAL, "--json")
    assert isinstance(json.loads(outcome.out), dict)


def test_the_window_that_was_used_is_printed(medsam_segment):
    assert "soft-tissue" in medsam_segment(*USUAL, "--window", "soft-tissue").err


def test_help_starts_without_loading_torch():
    code = "import sys; sys.argv=['medsam-segment','--help']\nfrom MedSAMSegmentSlicer.command_line.main import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint('LOADED', {'torch', 'slicer', 'vtk'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_environment())
    assert "LOADED set()" in done.stdout


def _environment() -> dict[str, str]:
    import MedSAMSegmentLib

    return os.environ | {"PYTHONPATH": str(Path(MedSAMSegmentLib.__file__).parents[1])}


def test_a_local_model_is_loaded_with_the_preprocessing_that_was_asked_for(medsam_segment, case_folder, monkeypatch):
    shutil.copy(Path(__file__).parents[2] / "Data" / "tiny_sam_original_format.pth", case_folder / "finetuned.pth")
    monkeypatch.setattr(job_module, "load_model", load_model)
    for chosen in ("medsam", "sam"):
        options = ("--model", "finetuned.pth", "--preprocessing", chosen, "--slices", "center", "--device", "cpu")
        outcome = medsam_segment(*USUAL, *options)
        assert outcome.code == 0, outcome.err
        (segment,) = slicerio.read_segmentation("out.seg.nrrd")["segments"]
        assert segment["tags"]["MedSAMSegment.preprocessing"] == chosen
        assert segment["tags"]["MedSAMSegment.model"] == "finetuned.pth"


@pytest.mark.parametrize("value", [0, 100, -1000])
def test_a_constant_image_gives_a_segment_without_noise_or_complaint(medsam_segment, case_folder, value):
    constant = sphere_image() * 0 + value
    sitk.WriteImage(constant, str(case_folder / "ct.nrrd"))
    outcome = medsam_segment(*USUAL, "--json")
    assert outcome.code == 0, outcome.err
    (roi,) = json.loads(outcome.out)["rois"]
    assert np.isfinite(roi["volume_mm3"])
    assert np.isfinite(roi["confidence"]["mean"])


def test_voxels_without_a_finite_value_do_not_move_the_window(medsam_segment, case_folder):
    voxels = sitk.GetArrayFromImage(sphere_image()).astype(np.float32)
    voxels[:, 10, 20:22] = (np.nan, np.inf)  # inside the ROI, outside the sphere
    image = sitk.GetImageFromArray(voxels)
    image.CopyInformation(sphere_image())
    sitk.WriteImage(image, str(case_folder / "ct.nrrd"))
    outcome = medsam_segment(*USUAL, "--json")
    assert outcome.code == 0, outcome.err
    (roi,) = json.loads(outcome.out)["rois"]
    assert roi["volume_mm3"] == pytest.approx(SPHERE_VOLUME_MM3, rel=0.1)


def test_a_volume_of_a_single_slice_is_segmented(medsam_segment, case_folder):
    sitk.WriteImage(sphere_image()[:, :, 12:13], str(case_folder / "ct.nrrd"))
    (roi,) = json.loads(medsam_segment(*USUAL, "--json", "--window", "50,100").out)["rois"]
    assert len(roi["slices"]) == 1
    assert roi["voxels"] > 0
