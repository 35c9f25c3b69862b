from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from MedSAMSegmentLib.errors import InvalidOptionError, InvalidPromptError, MedSAMSegmentError, WeightsError
from MedSAMSegmentLib.models.description import describe
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import Prompt
from MedSAMSegmentLib.models.weights import WeightsState, verify_weights
from MedSAMSegmentLib.models.weights_transfer import download_weights, import_weights
from MedSAMSegmentLib.prompts import BoxPrompt, PointPrompt
from support.reference_outputs import DATA
from support.small_hub import small_hub, use_hub
from support.tiny_sam import tiny_sam_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BOX = Prompt(BoxPrompt(10.0, 12.0, 60.0, 70.0))
ORIGINAL = DATA / "tiny_sam_original_format.pth"

pytestmark = pytest.mark.usefixtures("hub_cache")


@pytest.fixture
def sam_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-sam"
    tiny_sam_model().save_pretrained(folder)
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that would have everything, and must not be asked."""
    with small_hub() as server:
        use_hub(server.endpoint, monkeypatch)
        yield
        assert server.requests == []


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (90, 100)).astype(np.uint8)


def put_into_cache(folder: Path, repository: str, cache: Path) -> None:
    """As the hub's library lays it out."""
    stored = cache / f"models--{repository.replace('/', '--')}"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text(COMMIT)
    (stored / "snapshots").mkdir()
    folder.rename(stored / "snapshots" / COMMIT)


def test_a_folder_in_hugging_face_format_gives_the_answers_of_its_sam(sam_folder: Path) -> None:
    model = load_model(sam_folder, device="cpu", precision="float32")
    (embedding,) = model.encode([image()])
    decoded = model.decode(embedding, [BOX])
    assert embedding.values.shape == (32, 8, 8)
    assert decoded.logits.shape == (1, 1, 32, 32)
    assert model.identity.model_id == "my-sam"
    assert model.identity.revision == "local"
    assert model.identity.weights_sha256 == sha256(sam_folder / "model.safetensors")


def test_the_weights_file_of_a_folder_stands_for_the_folder(sam_folder: Path) -> None:
    model = load_model(sam_folder / "model.safetensors", device="cpu")
    assert model.identity.model_id == "my-sam"


def test_a_folder_of_the_hubs_cache_is_called_after_its_repository(sam_folder: Path, tmp_path: Path) -> None:
    put_into_cache(sam_folder, "wanglab/medsam-vit-base", tmp_path / "cache")
    snapshot = tmp_path / "cache" / "models--wanglab--medsam-vit-base" / "snapshots" / COMMIT
    blob = tmp_path / "blob"
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    for path in (snapshot, snapshot / "model.safetensors"):
        identity = load_model(path, device="cpu").identity
        assert (identity.model_id, identity.revision) == ("wanglab/medsam-vit-base", COMMIT)
        assert identity.preprocessing == "medsam"


def test_paths_may_have_spaces_and_letters_of_any_script(sam_folder: Path, tmp_path: Path) -> None:
    folder = sam_folder.rename(tmp_path / "Modèles du foie 肝")
    assert load_model(folder, device="cpu").identity.model_id == "Modèles du foie 肝"
    file = tmp_path / "Gewichte für MedSAM.pth"
    file.write_bytes(ORIGINAL.read_bytes())
    assert load_model(file, device="cpu").identity.preprocessing == "medsam"


def test_the_current_folder_has_a_name(sam_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sam_folder)
    assert load_model(".", device="cpu").identity.model_id == "my-sam"


def test_an_original_checkpoint_and_its_saved_conversion_answer_alike(tmp_path: Path) -> None:
    from MedSAMSegmentLib.models.checkpoint_file import read_tensors
    from MedSAMSegmentLib.models.original_checkpoint import sam_model_from_original

    folder = tmp_path / "converted"
    sam_model_from_original(read_tensors(ORIGINAL)).save_pretrained(folder)
    answers = []
    for path in (ORIGINAL, folder):
        model = load_model(str(path), "cpu", "float32")
        answers.append(model.decode(model.encode([image()])[0], [BOX]).logits)
    np.testing.assert_allclose(*answers, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("sam_vit_b.pth", None, "sam"),
        ("medsam_vit_b.pth", None, "medsam"),
        ("My-MedSAM-finetuned.pth", None, "medsam"),
        ("medsam_vit_b.pth", "sam", "sam"),
        ("liver.pth", "medsam", "medsam"),
    ],
)
def test_preprocessing_of_a_local_checkpoint_is_told_by_its_name_unless_it_is_asked_for(
    tmp_path: Path, name: str, asked: str | None, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(ORIGINAL.read_bytes())
    model = load_model(path, device="cpu", preprocessing=asked)  # type: ignore[arg-type]
    assert model.identity.preprocessing == expected
    assert model.identity.model_id == name
    assert model.identity.weights_sha256 == sha256(ORIGINAL)


def test_a_model_trained_with_boxes_refuses_points_and_sam_takes_them(tmp_path: Path) -> None:
    points = Prompt(points=(PointPrompt(20.0, 30.0),))
    sam = load_model(ORIGINAL, device="cpu", preprocessing="sam")
    assert sam.decode(sam.encode([image()])[0], [points]).logits.shape[:2] == (1, 1)
    medsam = load_model(ORIGINAL, device="cpu", preprocessing="medsam")
    with pytest.raises(InvalidPromptError, match="boxes only"):
        medsam.decode(medsam.encode([image()])[0], [points])


def test_a_hub_model_in_the_cache_is_loaded_with_its_commit_and_without_a_network(
    sam_folder: Path, tmp_path: Path, no_network: None
) -> None:
    expected = sha256(sam_folder / "model.safetensors")
    put_into_cache(sam_folder, "flaviagiammarino/medsam-vit-base", tmp_path / "cache")
    identity = load_model("medsam-vit-b", device="cpu").identity
    assert (identity.model_id, identity.revision) == ("medsam-vit-b", COMMIT)
    assert (identity.weights_sha256, identity.preprocessing) == (expected, "medsam")


@pytest.mark.parametrize("model_id", ["medsam-vit-b", "sam-vit-b", "sam-vit-l", "sam-vit-h"])
def test_a_hub_model_that_is_not_here_is_not_fetched_but_explained(model_id: str, no_network: None) -> None:
    with pytest.raises(WeightsError, match=f"medsam-segment models download {model_id}") as caught:
        load_model(model_id, device="cpu")
    assert "3D Slicer" in str(caught.value)
    assert "Offline" in str(caught.value)


def test_imported_weights_that_change_afterwards_are_refused(sam_folder: Path) -> None:
    from dataclasses import replace

    weights = sam_folder / "model.safetensors"
    description = replace(describe("sam-vit-b"), byte_count=weights.stat().st_size)
    imported = import_weights(description, sam_folder).path
    assert load_model("sam-vit-b", device="cpu").identity.weights_sha256 == sha256(weights)
    tensors = load_file(imported)
    tensors["vision_encoder.pos_embed"] = tensors["vision_encoder.pos_embed"] + 1
    save_file(tensors, imported, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="SHA-256"):
        load_model("sam-vit-b", device="cpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "x" * 5000}, "Use one of: lite-medsam"),
        ({"model": "a\0b"}, "Use one of: lite-medsam"),
        ({"model": "no-such-model"}, "lite-medsam, medsam-vit-b, sam-vit-b, sam-vit-l, sam-vit-h"),
        ({"device": "tpu"}, "auto, cpu, cuda, mps"),
        ({"device": "cpu", "precision": "int8"}, "auto, float32, bfloat16, float16"),
        ({"device": "cpu", "precision": "float16"}, "not possible on cpu"),
        ({"preprocessing": "resnet"}, "lite-medsam, medsam, sam"),
        ({"model": "lite-medsam", "preprocessing": "sam"}, "local models only"),
        ({"model": ORIGINAL, "device": "cpu", "preprocessing": "lite-medsam"}, "for LiteMedSAM only"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(arguments: dict, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        load_model(**arguments)


def test_a_folder_without_a_configuration_is_refused(sam_folder: Path) -> None:
    (sam_folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        load_model(sam_folder, device="cpu")


def test_a_folder_with_a_pickle_alone_is_refused_and_the_pickle_not_read(sam_folder: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path / 'it-ran'}",)

    (sam_folder / "model.safetensors").unlink()
    torch.save({"weights": Payload()}, sam_folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"has no model\.safetensors\. A pickle"):
        load_model(sam_folder, device="cpu")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("contents", ["", "not json", "[1]", "{}"])
def test_a_folder_with_a_broken_configuration_is_refused(sam_folder: Path, contents: str) -> None:
    (sam_folder / "config.json").write_text(contents)
    with pytest.raises(WeightsError, match="not the configuration of a model"):
        load_model(sam_folder, device="cpu")


def test_a_folder_of_another_model_is_refused_by_its_type(sam_folder: Path) -> None:
    (sam_folder / "config.json").write_text(json.dumps({"model_type": "sam2"}))
    with pytest.raises(WeightsError, match="'sam2'"):
        load_model(sam_folder, device="cpu")


def test_a_folder_whose_weights_are_incomplete_is_refused_rather_than_filled_with_noise(sam_folder: Path) -> None:
    weights = sam_folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["mask_decoder.upscale_conv1.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"mask_decoder\.upscale_conv1\.weight"):
        load_model(sam_folder, device="cpu")


@pytest.mark.parametrize("section", [None, "vision_config", "prompt_encoder_config", "mask_decoder_config"])
def test_what_a_configuration_says_besides_numbers_reaches_nobody(
    sam_folder: Path, section: str | None, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To transformers these names mean kernels to fetch from the hub and classes to import."""
    import transformers

    before = load_model(sam_folder, "cpu", "float32")
    config = json.loads((sam_folder / "config.json").read_text())
    (config if section is None else config[section]).update(
        {
            "attn_implementation": "someone/kernels",
            "_attn_implementation": "someone/kernels",
            "_attn_implementation_internal": "someone/kernels:main",
            "_experts_implementation_internal": "someone/kernels",
            "auto_map": {"AutoModel": "someone/code--modeling.Model"},
            "trust_remote_code": True,
            "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
            "torch_dtype": "int8",
            "dtype": "nonsense",
        }
    )
    (sam_folder / "config.json").write_text(json.dumps(config))
    seen: list[dict] = []
    original = transformers.SamConfig

    def recorded(**sections: dict) -> object:
        seen.append(sections)
        return original(**sections)

    monkeypatch.setattr(transformers, "SamConfig", recorded)
    after = load_model(sam_folder, "cpu", "float32")
    assert "someone" not in json.dumps(seen)
    assert all(type(value) in (int, float, bool, str, list) for part in seen[0].values() for value in part.values())
    answers = [each.decode(each.encode([image()])[0], [BOX]).logits for each in (before, after)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("vision_config", "num_hidden_layers", 10**7),
        ("vision_config", "num_hidden_layers", -1),
        ("vision_config", "num_hidden_layers", True),
        ("vision_config", "hidden_size", 10**9),
        ("vision_config", "hidden_size", "32"),
        ("vision_config", "hidden_size", 32.5),
        ("vision_config", "image_size", 10**6),
        ("vision_config", "image_size", [128, 128]),
        ("vision_config", "patch_size", 0),
        ("vision_config", "num_attention_heads", 0),
        ("vision_config", "mlp_dim", 10**12),
        ("vision_config", "mlp_ratio", float("nan")),
        ("vision_config", "mlp_ratio", float("inf")),
        ("vision_config", "hidden_act", "someone/activation"),
        ("vision_config", "global_attn_indexes", [0] * 1000),
        ("prompt_encoder_config", "num_point_embeddings", 10**9),
        ("mask_decoder_config", "num_hidden_layers", 10**7),
        ("mask_decoder_config", "num_multimask_outputs", 10**6),
        ("mask_decoder_config", "attention_downsample_rate", 0),
    ],
)
def test_a_configuration_with_a_number_that_no_sam_has_is_refused_by_name(
    sam_folder: Path, section: str, name: str, value: object
) -> None:
    config = json.loads((sam_folder / "config.json").read_text())
    config[section][name] = value
    (sam_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=rf"(?s){name}.*{section}: no SAM is like that"):
        load_model(sam_folder, device="cpu")


@pytest.mark.parametrize("contents", ['{"model_type": "sam", "vision_config": [1]}', "[" * 100_000, " " * 2**21 + "{}"])
def test_a_configuration_that_is_nested_or_large_without_reason_is_refused(sam_folder: Path, contents: str) -> None:
    (sam_folder / "config.json").write_text(contents)
    with pytest.raises(WeightsError, match=r"config\.json (has no section|is not the configuration)"):
        load_model(sam_folder, device="cpu")


def test_a_pickle_under_the_name_of_safetensors_is_not_read_from_a_folder(sam_folder: Path) -> None:
    torch.save({"a": torch.zeros(2)}, sam_folder / "model.safetensors")
    with pytest.raises(WeightsError, match="is a pickle"):
        load_model(sam_folder, device="cpu")


@pytest.mark.parametrize("kept", [0, 100, 10_000])
def test_a_folder_with_truncated_weights_is_refused(sam_folder: Path, kept: int) -> None:
    weights = sam_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"is empty|damaged or not complete"):
        load_model(sam_folder, device="cpu")


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(WeightsError, match=r"it starts with 'conv1\.weight'"):
        load_model(path, device="cpu")


@pytest.mark.parametrize("name", sorted(torch.load(ORIGINAL, weights_only=True)))
def test_a_checkpoint_with_a_tensor_of_another_shape_is_refused_or_of_a_model_that_answers(
    tmp_path: Path, name: str
) -> None:
    tensors = torch.load(ORIGINAL, weights_only=True)
    tensors[name] = torch.zeros([count + 1 for count in tensors[name].shape])
    torch.save(tensors, tmp_path / "sam.pth")
    try:
        model = load_model(tmp_path / "sam.pth", "cpu", "float32")
    except WeightsError:
        return
    decoded = model.decode(model.encode([image()])[0], [BOX])
    assert np.isfinite(decoded.logits).all()


def test_loading_says_nothing_on_the_console(sam_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    load_model(sam_folder, device="cpu")
    load_model(ORIGINAL, device="cpu")
    assert capfd.readouterr() == ("", "")


def test_every_refusal_is_an_error_that_users_are_shown(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"something")
    for model in (tmp_path / "folder", tmp_path / "file", tmp_path / "absent", "", "."):
        with pytest.raises(MedSAMSegmentError):
            load_model(model, device="cpu")


def test_a_model_downloaded_from_a_hub_segments_when_the_hub_is_gone(
    sam_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    description = describe("medsam-vit-b")
    with small_hub() as server:
        use_hub(server.endpoint, monkeypatch)
        files = {path.name: path.read_bytes() for path in sam_folder.iterdir()}
        server.publish("wanglab/medsam-vit-base", files, COMMIT)
        downloaded = download_weights(description)
        assert verify_weights(description) is WeightsState.UNCHECKED
    model = load_model("medsam-vit-b", "cpu", "float32")
    assert downloaded.revision == model.identity.revision == COMMIT
    assert model.identity.weights_sha256 == hashlib.sha256(files["model.safetensors"]).hexdigest()
    same = load_model(sam_folder, "cpu", "float32", preprocessing="medsam")
    answers = [each.decode(each.encode([image()])[0], [BOX]).logits for each in (model, same)]
    np.testing.assert_array_equal(*answers)


def test_a_configuration_that_is_no_text_is_refused_without_its_contents(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"model_type": "' + b"x" * 4000 + b'\xff"}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(WeightsError, match="is not the configuration of a model") as refused:
        load_model(str(tmp_path), "cpu", "float32")
    assert "xxx" not in str(refused.value)
