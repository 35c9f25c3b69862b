"""Where a NIfTI file's image lies: as 3D Slicer places it, and what no reader of Slicer's takes, as the header says."""

import numpy as np
import pytest
import SimpleITK as sitk

from MedSAMSegmentLib.errors import InvalidImageError, InvalidOutputError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.logic_segment_writer import logic_segment_writer
from MedSAMSegmentSlicer.nifti_header import read_nifti_header, same_place
from MedSAMSegmentSlicer.segment_writer import SegmentEdit, reference_grid
from MedSAMSegmentSlicer.segmentation_files import read_segmentation, write_segmentation
from MedSAMSegmentSlicer.volume_files import read_volume
from MedSAMSegmentSlicer.volume_nodes import add_volume_node, volume_from_node
from support.mrml import block, filled
from support.nifti import write_nifti

VOXELS = np.arange(210, dtype=np.float32).reshape(7, 6, 5)
QUARTER = (0.0, 0.0, float(np.sqrt(0.5)))
"""A quarter turn about S: I goes to A, J to the left."""
TURNED = np.array([[0, -3, 0, 11], [2, 0, 0, -7], [0, 0, 4, 5.0]])
"""The sform of the same turn, for spacing 2 × 3 × 4 mm and an offset of (11, -7, 5)."""
STRAIGHT = np.array([[2, 0, 0, 21], [0, 3, 0, -17], [0, 0, 4, 15.0]])
LEFT_HANDED = np.array([[-2, 0, 0, 11], [0, 3, 0, -7], [0, 0, 4, 5.0]])
TURN = {"quaternion": QUARTER, "offset": (11, -7, 5)}

FORMS = {
    "neither": {"codes": (0, 0)},
    "qform": {**TURN, "codes": (1, 0)},
    "sform": {"rows": TURNED, "codes": (0, 1)},
    "aligned sform": {"rows": TURNED, "codes": (0, 2)},
    "both": {**TURN, "rows": TURNED, "codes": (1, 1)},
    "mirrored": {**TURN, "codes": (1, 0), "qfac": -1},
    "qfac of zero": {**TURN, "codes": (1, 0), "qfac": 0},
    "left-handed": {"rows": LEFT_HANDED, "codes": (0, 1)},
    "negative spacing": {**TURN, "codes": (1, 0), "pixdim": (2, -3, 4)},
    "micrometres": {**TURN, "codes": (1, 0), "units": 3},
    "metres": {"rows": TURNED, "codes": (0, 1), "units": 1},
    "no units": {"rows": TURNED, "codes": (0, 1), "units": 0},
    "one time point": {**TURN, "rows": TURNED, "codes": (1, 1), "dim": (5, 6, 7, 1)},
    "differing, scanner and scanner": {**TURN, "rows": STRAIGHT, "codes": (1, 1)},
    "differing, scanner and MNI": {**TURN, "rows": STRAIGHT, "codes": (1, 4)},
    "differing, scanner and aligned": {**TURN, "rows": STRAIGHT, "codes": (1, 2)},
    "differing, aligned and scanner": {**TURN, "rows": STRAIGHT, "codes": (2, 1)},
    "differing, aligned and aligned": {**TURN, "rows": STRAIGHT, "codes": (2, 2)},
    "differing in spacing": {"rows": np.diag([5.0, 3, 4, 1])[:3], "codes": (1, 1)},
    "sheared sform, straight qform": {**TURN, "rows": STRAIGHT + np.eye(3, 4, k=1) * 0.9, "codes": (1, 1)},
}


def places(volume) -> np.ndarray:
    """(210, 3) RAS mm of the voxels, in the order of their values."""
    order = np.argsort(volume.voxels_kji, axis=None)
    kji = np.array(np.unravel_index(order, volume.voxels_kji.shape))
    return (np.column_stack((*kji[::-1], np.ones(len(order)))) @ volume.geometry.ijk_to_ras.T)[:, :3]


def slicers_volume(scene, path):
    node = scene.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    storage = scene.mrml.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return volume_from_node(node)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_every_voxel_lies_where_slicers_own_node_has_it(scene, tmp_path, form):
    path = write_nifti(tmp_path / "image.nii", VOXELS, **FORMS[form])
    volume = read_volume(path)
    np.testing.assert_allclose(places(volume), places(slicers_volume(scene, path)), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("differing")])
def test_forms_that_differ_are_named_with_the_one_that_counts(tmp_path, form):
    notes: list[str] = []
    path = write_nifti(tmp_path / "image.nii.gz", VOXELS, **FORMS[form])
    volume = read_volume(path, note=notes.append)
    header = read_nifti_header(path)
    used = header.sform if "Its sform is used" in notes[0] else header.qform
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, used, atol=1e-4)
    assert len(notes) == 1
    assert "image.nii.gz" in notes[0]


@pytest.mark.parametrize("form", ["both", "qform", "sform", "neither"])
def test_of_forms_that_agree_nothing_is_said(tmp_path, form):
    notes: list[str] = []
    read_volume(write_nifti(tmp_path / "image.nii", VOXELS, **FORMS[form]), note=notes.append)
    assert notes == []


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("turn", ["axial", "coronal"])
def test_a_2d_file_lies_where_its_header_says(tmp_path, codes, turn):
    # The same as nibabel 5.4 gives for these headers.
    coronal = np.array([[-2, 0, 0, 11], [0, 0, 4, -7], [0, 3, 0, 5.0]])
    half = float(np.sqrt(0.5))
    rows, quaternion = (TURNED, QUARTER) if turn == "axial" else (coronal, (0.0, half, half))
    path = write_nifti(
        tmp_path / "flat.nii", VOXELS[0], quaternion=quaternion, offset=(11, -7, 5), rows=rows, codes=codes
    )
    notes: list[str] = []
    volume = read_volume(path, note=notes.append)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras[:3], rows, atol=1e-5)
    np.testing.assert_array_equal(volume.voxels_kji, VOXELS[:1])
    assert "S = 5.0 mm" in notes[0]


def test_a_2d_file_without_a_third_axis_gets_one(tmp_path):
    rows = TURNED.copy()
    rows[:, 2] = 0
    path = write_nifti(tmp_path / "flat.nii", VOXELS[0], rows=rows, codes=(0, 1))
    np.testing.assert_allclose(read_volume(path).geometry.ijk_to_ras[:3, 2], (0, 0, 1))


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
def test_nifti_2_is_read(tmp_path, name):
    stored = (np.arange(210) - 100).astype(np.int16).reshape(7, 6, 5)
    path = write_nifti(tmp_path / name, stored, rows=TURNED, codes=(0, 1), version=2, scale=(0.5, -3))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras[:3], TURNED)
    np.testing.assert_allclose(volume.voxels_kji, stored * 0.5 - 3)


@pytest.mark.parametrize("scale", [(1, 0), (2, -5), (0, 0), (0.5, -1024)])
def test_slope_and_intercept_are_applied_as_in_slicer(scene, tmp_path, scale):
    path = write_nifti(tmp_path / "image.nii", VOXELS.astype(np.int16), rows=TURNED, codes=(0, 1), scale=scale)
    values = (scale[0] or 1) * VOXELS + scale[1]
    np.testing.assert_allclose(read_volume(path).voxels_kji, values)
    np.testing.assert_allclose(slicers_volume(scene, path).voxels_kji, values)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("dim", [(5, 6, 7), (5, 6)])
def test_colours_are_read(tmp_path, channels, name, dim):
    colours = np.arange(np.prod(dim) * channels).astype(np.uint8).reshape(*dim[::-1], channels)
    volume = read_volume(write_nifti(tmp_path / name, colours, dim=dim, rows=TURNED, codes=(0, 1)))
    assert volume.is_rgb
    np.testing.assert_array_equal(volume.voxels_kji, colours.reshape(-1, 6, 5, channels)[..., :3])
    np.testing.assert_allclose(volume.geometry.ijk_to_ras[:3], TURNED)


def test_a_file_that_is_not_compressed_is_read_whatever_its_name_says(tmp_path):
    path = write_nifti(tmp_path / "image.nii.gz", VOXELS, rows=TURNED, codes=(0, 1), compress=False)
    np.testing.assert_array_equal(read_volume(path).voxels_kji, VOXELS)


def test_a_compressed_file_with_another_name_is_refused_with_the_right_one(tmp_path):
    path = write_nifti(tmp_path / "image.nii", VOXELS, rows=TURNED, codes=(0, 1), compress=True)
    with pytest.raises(InvalidImageError, match=r"compressed.*image\.nii\.gz"):
        read_volume(path)


def test_a_sheared_grid_that_slicer_does_not_read_is_refused_with_the_reason(tmp_path):
    path = write_nifti(tmp_path / "image.nii", VOXELS, rows=STRAIGHT + np.eye(3, 4, k=1) * 0.9, codes=(0, 1))
    with pytest.raises(InvalidImageError, match="right angles"):
        read_volume(path)


def test_several_time_points_are_refused(tmp_path):
    voxels = np.stack([VOXELS, VOXELS])
    for version in (1, 2):
        path = write_nifti(tmp_path / "image.nii", voxels, rows=TURNED, codes=(0, 1), version=version)
        with pytest.raises(InvalidImageError, match=r"3D volume.*single time point"):
            read_volume(path)


@pytest.mark.parametrize("dim", [(0, 6, 7), (-5, 6, 7), (32767, 32767, 32767)])
def test_dimensions_that_cannot_be_are_refused(tmp_path, dim):
    path = write_nifti(tmp_path / "image.nii", VOXELS, dim=(5, 6, 7), rows=TURNED, codes=(0, 1))
    content = bytearray(path.read_bytes())
    content[42:48] = np.array(dim, "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(InvalidImageError, match=r"damaged|truncated"):
        read_volume(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("form", "version"),
    [(form, version) for version in (1, 2) for form in FORMS if form.startswith("differing")]
    + [("sheared sform, straight qform", 1)],
)
def test_a_labelmap_lies_on_its_image_whichever_form_a_program_uses(scene, tmp_path, form, version):
    path = write_nifti(tmp_path / "image.nii.gz", VOXELS, **FORMS[form], version=version)
    image = read_nifti_header(path)
    volume = read_volume(path)
    place = slice(2, 5), slice(1, 4), slice(0, 3)
    write_segmentation(segmented(scene, volume, place), tmp_path / "mask.nii.gz", path)
    mask = read_nifti_header(tmp_path / "mask.nii.gz")
    np.testing.assert_allclose(mask.qform, image.qform, atol=1e-5)
    np.testing.assert_allclose(mask.sform, image.sform, atol=1e-5)
    read = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read) == 1, filled(VOXELS.shape, *place))
    if version == 1:  # ITK reads no other
        same = sitk.ReadImage(str(path))
        np.testing.assert_allclose(read.GetDirection(), same.GetDirection(), atol=1e-5)
        np.testing.assert_allclose(read.GetOrigin(), same.GetOrigin(), atol=1e-5)


@pytest.mark.parametrize("units", [1, 2, 3])
def test_a_labelmap_on_an_image_whose_forms_agree_has_the_place_of_the_image(scene, tmp_path, units):
    path = write_nifti(tmp_path / "image.nii.gz", VOXELS, **FORMS["both"] | {"units": units})
    volume = read_volume(path)
    write_segmentation(segmented(scene, volume, (slice(2, 5), slice(1, 4), slice(0, 3))), tmp_path / "m.nii.gz", path)
    mask = read_nifti_header(tmp_path / "m.nii.gz")
    for written in (mask.qform, mask.sform):
        assert same_place(written, volume.geometry.ijk_to_ras, (5, 6, 7), tolerance=1e-5)


@pytest.mark.parametrize(("shear", "is_held"), [(0.5, False), (0.05, False), (1e-6, True)])
def test_a_labelmap_of_a_sheared_grid_is_refused_and_the_format_that_holds_it_named(scene, tmp_path, shear, is_held):
    sheared = np.vstack((STRAIGHT, (0, 0, 0, 1)))
    sheared[1, 2] = 4 * shear
    volume = Volume(VOXELS, VolumeGeometry(VOXELS.shape, sheared))
    segmentation = segmented(scene, volume, (slice(2, 5), slice(1, 4), slice(0, 3)))
    if is_held:
        write_segmentation(segmentation, tmp_path / "mask.nii.gz")
    else:
        with pytest.raises(InvalidOutputError, match=r"right angles.*\.seg\.nrrd"):
            write_segmentation(segmentation, tmp_path / "mask.nii.gz")
        assert not (tmp_path / "mask.nii.gz").exists()
    write_segmentation(segmentation, tmp_path / "mask.seg.nrrd")
    assert reference_grid(read_segmentation(scene.mrml, tmp_path / "mask.seg.nrrd")).is_same_as(volume.geometry)


def segmented(scene, volume, place):
    """A segmentation of a volume with one segment that fills a place."""
    node = add_volume_node(scene.mrml, volume, "image")
    segmentation = scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    with logic_segment_writer(scene.mrml, segmentation, node) as writer:
        writer.write([SegmentEdit(writer.add_segment("Lesion", (1, 0, 0)), block(volume.geometry, *place))])
    return segmentation
