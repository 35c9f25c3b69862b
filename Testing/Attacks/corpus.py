"""Sound files of every kind that the product reads; mutations start from them."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import forked
import workplace

WHEEL_CONTENTS = b"weights of a wheel" * 100
WHEEL_MEMBER = "some_package/asset/w.pth"
EMBEDDING_KEY = ("0" * 32, "model|float32")


def sound_files() -> dict[str, bytes]:
    """Name → contents."""
    with TemporaryDirectory(prefix="attack-corpus-") as name:
        folder = Path(name) / "corpus"
        folder.mkdir()
        ending = forked.run(_write, folder)
        if ending.code != 0:
            raise RuntimeError(f"The sound files cannot be written: {ending.errors}")
        return {name: contents for name, contents in workplace.contents(folder).items() if contents is not None}


def _write() -> None:
    _write_volumes()
    _write_markups()
    _write_dicom()
    _write_models()
    _write_hostile()
    workplace.command_line_or_raise("segment", "raw.nrrd", "--roi", "roi.mrk.json", "-o", "sound.seg.nrrd")


def _write_volumes() -> None:
    import SimpleITK as sitk

    from support.files import sphere_image

    image = sphere_image(size=(12, 14, 8), spacing=(3.0, 3.0, 4.0))
    for name in ("raw.nrrd", "a.nii", "a.nii.gz", "raw.mha"):
        sitk.WriteImage(image, name)
    for name in ("packed.nrrd", "packed.mha"):
        sitk.WriteImage(image, name, useCompression=True)
    grey = sitk.Cast(image, sitk.sitkUInt8)
    for name in ("rgb.nrrd", "rgb.nii", "rgb.mha"):
        sitk.WriteImage(sitk.Compose(grey, grey, grey), name)
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), "float.nii")


def _write_markups() -> None:
    from support.files import PLANE_MARKUP, SPHERE_CENTER_LPS, markup, roi_markup, write_rois

    left, posterior, superior = SPHERE_CENTER_LPS
    rotated = roi_markup() | {"orientation": [0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0], "name": "Lesion [left]"}
    write_rois(Path("roi.mrk.json"))
    write_rois(Path("two.mrk.json"), rotated, roi_markup(size=(10, 10, 10)))
    line = markup("Line", (left - 11, posterior, superior), (left + 11, posterior, superior))
    write_rois(Path("line.mrk.json"), line | {"measurements": [{"name": "length", "enabled": True, "value": 22.0}]})
    corners = (
        (left - 9, posterior - 9),
        (left + 9, posterior - 9),
        (left + 9, posterior + 9),
        (left - 9, posterior + 9),
    )
    write_rois(Path("curve.mrk.json"), markup("ClosedCurve", *((x, y, superior) for x, y in corners)))
    write_rois(Path("plane.mrk.json"), PLANE_MARKUP)


def _write_dicom() -> None:
    import numpy as np
    import pydicom
    import SimpleITK as sitk
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    from support.files import SPHERE_CENTER_LPS, sphere_image

    voxels = sitk.GetArrayFromImage(sphere_image(size=(12, 14, 8), spacing=(3.0, 3.0, 4.0))).astype(np.int16)
    origin = [
        center - (count - 1) * step / 2
        for center, count, step in zip(SPHERE_CENTER_LPS, (12, 14, 8), (3, 3, 4), strict=True)
    ]

    def dataset(instance: int, storage: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = storage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.9.9.{instance}"
        made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        made.SOPClassUID, made.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
        made.SeriesInstanceUID, made.StudyInstanceUID = "1.2.826.0.1.3680043.9.1", "1.2.826.0.1.3680043.9.2"
        made.Modality, made.PatientName, made.PatientID, made.FrameOfReferenceUID = (
            "CT",
            "A^B",
            "1",
            "1.2.826.0.1.3680043.9.3",
        )
        made.Rows, made.Columns, made.SamplesPerPixel = 14, 12, 1
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PhotometricInterpretation = "MONOCHROME2"
        return made

    for k in range(3, 6):
        made = dataset(k, CTImageStorage)
        made.InstanceNumber, made.PixelSpacing, made.SliceThickness = k, [3.0, 3.0], 4.0
        made.ImagePositionPatient = [origin[0], origin[1], origin[2] + 4.0 * k]
        made.ImageOrientationPatient, made.RescaleSlope, made.RescaleIntercept = [1, 0, 0, 0, 1, 0], 1, 0
        made.PixelData = voxels[k].tobytes()
        pydicom.dcmwrite(f"slice{k}.dcm", made, enforce_file_format=True)
    made = dataset(100, "1.2.840.10008.5.1.4.1.1.2.1")
    made.NumberOfFrames, made.PixelData = 8, voxels.tobytes()
    shared = Dataset()
    measures, orientation, rescale = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [3.0, 3.0], 4.0
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, 0, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [rescale]
    made.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(8):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [origin[0], origin[1], origin[2] + 4.0 * k]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    pydicom.dcmwrite("frames.dcm", made, enforce_file_format=True)


def _write_models() -> None:
    import torch
    from safetensors.torch import save_file

    from MedSAMSegmentLib.inference.disk_embedding_cache import DiskEmbeddingCache
    from MedSAMSegmentLib.inference.embedding_cache import EmbeddingKey
    from MedSAMSegmentLib.models.protocol import Embedding
    from support.reference_outputs import DATA
    from support.tiny_sam import tiny_sam_model

    tiny_sam_model().save_pretrained("sam")
    original = DATA / "tiny_sam_original_format.pth"
    Path("original.pth").write_bytes(original.read_bytes())
    tensors = torch.load(original, weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, "original.safetensors")
    with zipfile.ZipFile("some_package-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_package/__init__.py", "raise RuntimeError('this code must not run')")
        wheel.writestr(WHEEL_MEMBER, WHEEL_CONTENTS)
    values = torch.arange(24.0).reshape(2, 3, 4)
    DiskEmbeddingCache(Path("embeddings")).put(EmbeddingKey(*EMBEDDING_KEY), Embedding(values, (30, 40)))


class _Canary:
    """Unpickled, it writes a file."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self._call


def _write_hostile() -> None:
    """Checkpoints that write the file ``canary`` if anything of them is run, and formats that can do so."""
    import torch

    folder = Path("hostile")
    folder.mkdir()
    script = "open('canary', 'w').close()"
    calls = (_Canary(exec, script), _Canary(open, "canary", "w"))
    for n, call in enumerate(calls):
        (folder / f"plain{n}.pth").write_bytes(pickle.dumps({"model": call}))
        torch.save({"image_encoder.x": torch.zeros(2), "more": call}, folder / f"zip{n}.pth")
        torch.save({"more": call}, folder / f"old{n}.pth", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(folder / "script.pth", "w") as archive:
        archive.writestr("archive/version", "3\n")
        archive.writestr(
            "archive/code/__torch__.py", "class A(Module):\n  def forward(self): aten::save(1, 'canary')\n"
        )
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"archive/{name}", pickle.dumps({"model": calls[0]}))
    torch.save({"image_encoder.x": torch.zeros(2)}, folder / "old-format.pth", _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 2)).save(folder / "real-script.pth")
    config = json.loads(Path("sam/config.json").read_text())
    odd = {
        "attn_implementation": "../canary/kernel", "_attn_implementation": "nobody/kernel",
        "_attn_implementation_internal": "nobody/kernel:run",
        "auto_map": {"AutoModel": "canary.Model"}, "trust_remote_code": True,
        "quantization_config": {"quant_method": "bitsandbytes"},
        "dtype": "os.system", "torch_dtype": "open", "device_map": "auto", "use_kernels": True,
    }  # fmt: skip
    for name, value in odd.items():
        for place, changed in (("", config), ("vision_config", config["vision_config"])):
            changed[name] = value
            Path(f"hostile/{name}-{place}.config.json").write_text(json.dumps(config))
            del changed[name]
    for layers in (10**7, -1, 10**18):
        changed = config | {"vision_config": config["vision_config"] | {"num_hidden_layers": layers}}
        Path(f"hostile/layers{layers}.config.json").write_text(json.dumps(changed))
