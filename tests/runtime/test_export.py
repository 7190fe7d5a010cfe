"""The shipped model is the trained model: compared on real images, or not written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from runtime_helpers import NAMES, DigitNet, card_for
from torch import Tensor

from manako.errors import DataError, ModelFileError
from manako.images import Preprocess
from manako.models import create_model
from manako.runtime.card import METADATA_KEY
from manako.runtime.onnx_engine import OnnxEngine
from manako.runtime.parity import compare
from manako.runtime.predictor import Predictor
from manako.training.engine import TorchEngine
from manako.training.export import OPSET, ExportResult, export_onnx
from manako.types import Sample


def test_an_export_says_what_it_kept(exported: ExportResult, net: DigitNet) -> None:
    record = exported.as_json()
    assert record["format"] == "onnx" and record["images"] == 64
    assert exported.parity.max_difference <= 1e-4 and exported.parity.same_answers == 1
    assert record["score_before"] == record["score_after"] and exported.parity.score_before > 0.8
    card = OnnxEngine(exported.path).card
    assert card.parity["max_difference"] == exported.parity.max_difference and card.parity["opset"] == OPSET
    assert card.settings == {"temperature": 1.5} and card.classes == NAMES
    assert not list(exported.path.parent.glob(".*")) and exported.path.stat().st_size == exported.bytes
    assert str(exported.parity.count) in exported.text()


def test_the_file_is_one_plain_graph_that_tells_nothing_of_this_machine(exported: ExportResult) -> None:
    model = onnx.load(exported.path, load_external_data=False)
    onnx.checker.check_model(model)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)] and not model.functions
    assert [p.key for p in model.metadata_props] == [METADATA_KEY]
    assert model.graph.input[0].name == "images" and [o.name for o in model.graph.output] == ["logits"]
    data = exported.path.read_bytes()
    assert b"site-packages" not in data and b".py" not in data and b"torch.nn" not in data


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_images(exported: ExportResult, net: DigitNet, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 1), np.uint8)
    ours, theirs = OnnxEngine(exported.path), TorchEngine(net, card_for(net))
    np.testing.assert_allclose(ours.run(pixels)["logits"], theirs.run(pixels)["logits"], atol=1e-4)


@pytest.mark.parametrize("name", ["mlp", "cnn", "small_resnet", "resnet18"])
def test_models_keep_their_answers(name: str, samples: list[Sample], tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = create_model(name, task="classification", classes=10, channels=3, imgsz=32)
    card = card_for(model, model=name, preprocess=Preprocess(32, 32))  # type: ignore[arg-type]
    result = export_onnx(model, card, tmp_path / "m.onnx", samples=samples[:8], classes=NAMES)
    assert result.parity.kept and result.parity.max_difference < 1e-4


class Cheat(DigitNet):
    """Does something else when it is exported."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs = super().forward(images)
        sign = -1 if torch.compiler.is_exporting() or torch.compiler.is_compiling() else 1
        return {"logits": outputs["logits"] * sign}


class Drift(DigitNet):
    """Only slightly else: the score is kept, the numbers are not."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs = super().forward(images)
        factor = 1.001 if torch.compiler.is_exporting() or torch.compiler.is_compiling() else 1
        return {"logits": outputs["logits"] * factor}


@pytest.mark.parametrize(("kind", "code"), [(Cheat, "export.lost"), (Drift, "export.differs")])
def test_a_changed_model_is_not_written(
    kind: type[DigitNet], code: str, net: DigitNet, samples: list[Sample], tmp_path: Path
) -> None:
    model = kind().eval()
    model.load_state_dict(net.state_dict())
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the one before")
    with pytest.raises(ModelFileError) as caught:
        export_onnx(model, card_for(model), path, samples=samples, classes=NAMES)
    assert caught.value.code == code and str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"] and path.read_bytes() == b"the one before"


def test_no_images_no_export(net: DigitNet, tmp_path: Path) -> None:
    missing = Sample("x", tmp_path / "x.png")
    for samples in ([], [missing]):
        with pytest.raises(DataError, match="validation image"):
            export_onnx(net, card_for(net), tmp_path / "m.onnx", samples=samples, classes=NAMES)
    assert not list(tmp_path.iterdir())


def test_parity_counts_what_differs(exported: ExportResult, net: DigitNet, samples: list[Sample]) -> None:
    other = DigitNet().eval()
    found = compare(TorchEngine(net, card_for(net)), TorchEngine(other, card_for(other)), samples, NAMES)
    assert found.lost and not found.kept and found.same_answers < 0.5 and found.max_difference > 0.01


def test_a_file_predicts_the_same_without_pytorch(exported: ExportResult, net: DigitNet, samples: list[Sample]) -> None:
    code = f"""if True:
        import json, sys
        for name in ("torch", "torchvision", "timm", "safetensors", "sklearn", "onnx", "jinja2"):
            sys.modules[name] = None
        from manako.runtime.onnx_engine import OnnxEngine
        from manako.runtime.predictor import Predictor
        predictor = Predictor(OnnxEngine({str(exported.path)!r}))
        for result in predictor.predict({[str(s.image) for s in samples[:12]]!r}, batch=5):
            print(json.dumps(predictor.as_json(result)))"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    card = card_for(net, settings={"temperature": 1.5})
    ours = Predictor(TorchEngine(net, card)).predict([s.image for s in samples[:12]])
    for line, result in zip(done.stdout.splitlines(), ours, strict=True):
        best = json.loads(line)["predictions"][0]
        assert result.prediction and best["class"] == NAMES[result.prediction.best]
        assert best["score"] == pytest.approx(float(result.prediction.score[0]), abs=1e-4)
