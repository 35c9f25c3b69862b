"""Loading LiteMedSAM from its real weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import MedSAMSegmentLib
from MedSAMSegmentLib.errors import InvalidOptionError, WeightsError
from MedSAMSegmentLib.models.description import describe
from MedSAMSegmentLib.models.load import load_model
from MedSAMSegmentLib.models.protocol import Embedding, Prompt
from MedSAMSegmentLib.prompts import BoxPrompt
from support.lite_medsam_weights import lite_medsam_weights_file
from support.reference_outputs import DATA

BOX = Prompt(BoxPrompt(10.0, 12.0, 60.0, 70.0))


@pytest.fixture(autouse=True)
def empty_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSAMSEGMENT_MODELS", str(tmp_path / "models"))


def test_lite_medsam_works_without_transformers_and_imports_no_compiler() -> None:
    program = (
        "import sys; sys.modules['transformers'] = None\n"
        "import torch\n"
        "from MedSAMSegmentLib.models.load import load_model\n"
        "from MedSAMSegmentLib.models.protocol import Embedding, Prompt\n"
        "from MedSAMSegmentLib.prompts import BoxPrompt\n"
        "model = load_model('lite-medsam', 'cpu', 'float32')\n"
        "embedding = Embedding(torch.zeros(256, 64, 64), (90, 100))\n"
        "print(model.decode(embedding, [Prompt(BoxPrompt(10.0, 12.0, 60.0, 70.0))]).logits.shape)\n"
        # torch's compiler, which some initialisers of weights import: a second for nothing.
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    folder = Path(MedSAMSegmentLib.__file__).resolve().parents[1]
    completed = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "(1, 1, 256, 256)"


def test_lite_medsam_weights_are_recognised_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "my-finetuned.pth"
    tensors = torch.load(lite_medsam_weights_file(), weights_only=True, mmap=True)
    torch.save({"model": {f"module.{name}": tensor for name, tensor in tensors.items()}, "epoch": 3}, path)
    model = load_model(path, "cpu", "float32")
    reference = load_model("lite-medsam", "cpu", "float32")
    assert model.identity.preprocessing == "lite-medsam"
    assert model.identity.model_id == "my-finetuned.pth"
    assert reference.identity.weights_sha256 == describe("lite-medsam").source.sha256  # type: ignore[union-attr]
    embedding = Embedding(torch.randn(256, 64, 64, generator=torch.Generator().manual_seed(1)), (90, 100))
    answers = [each.decode(embedding, [BOX]).logits for each in (model, reference)]
    np.testing.assert_array_equal(*answers)
    with pytest.raises(InvalidOptionError, match="its own preprocessing"):
        load_model(path, "cpu", preprocessing="sam")


def test_lite_medsam_is_the_default() -> None:
    assert load_model(device="cpu").identity.model_id == "lite-medsam"


def test_damaged_weights_of_a_described_model_are_refused(tmp_path: Path) -> None:
    contents = bytearray(lite_medsam_weights_file().read_bytes())
    contents[len(contents) // 2] ^= 1
    damaged = tmp_path / "models" / "lite-medsam" / "lite_medsam.pth"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(contents)
    with pytest.raises(WeightsError, match="SHA-256") as caught:
        load_model("lite-medsam", device="cpu")
    assert str(damaged) in str(caught.value)


def test_an_id_wins_over_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lite-medsam").write_bytes((DATA / "tiny_sam_original_format.pth").read_bytes())
    assert load_model("lite-medsam", device="cpu").identity.revision == "0.1.1"
    assert load_model("./lite-medsam", device="cpu").identity.revision == "local"
    assert load_model(tmp_path / "lite-medsam", device="cpu").identity.revision == "local"
