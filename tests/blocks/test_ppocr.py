"""PP-OCR's recogniser: the published numbers, weights found by character, ready without training."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manako import api
from manako.config import RunConfig
from manako.errors import ConfigError
from manako.models import is_ready
from manako.models.ppocr import Ppocr, packaged
from manako.runtime.predictor import Predictor
from manako.samples.text_lines import write_text_lines
from manako.training.targets.ocr import with_known
from manako.types import Dataset

pytestmark = pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the package rapidocr")


@pytest.fixture(scope="module")
def reader() -> Predictor:
    return api.load("ppocr", device="cpu")


def test_the_numbers_are_those_of_the_published_graph() -> None:
    import onnxruntime

    known = Ppocr.packaged_classes()
    model = Ppocr(classes=len(known), channels=3, imgsz=64, weights="packaged").eval()
    session = onnxruntime.InferenceSession(str(packaged().path), providers=["CPUExecutionProvider"])
    for width in (64, 200):
        images = torch.randn(2, 3, 48, width, generator=torch.Generator().manual_seed(width))
        (wanted,) = session.run(None, {"x": images.flip(1).numpy()})  # it takes blue, green, red
        with torch.no_grad():
            found = model(images)["log_probabilities"].exp().numpy()
        assert np.abs(found - wanted).max() < 1e-5


def test_weights_of_an_alphabet_are_found_by_character() -> None:
    known = Ppocr.packaged_classes()
    whole = Ppocr(classes=len(known), channels=3, imgsz=64, weights="auto")
    some = Ppocr(classes=4, channels=1, imgsz=64, weights="auto", alphabet="あ A\U0001d11e")
    for row, character in enumerate("あ A", 1):
        assert torch.equal(some.head.weight[row], whole.head.weight[known.index(character) + 1])
    assert torch.equal(some.head.weight[0], whole.head.weight[0])  # the blank
    assert ("weights.new_characters", {"count": 1, "characters": "\U0001d11e"}) in some.notes
    with pytest.raises(ConfigError):
        Ppocr(classes=3, channels=3, imgsz=64, weights="auto", alphabet="AB")


@pytest.mark.parametrize(("keep", "least", "most"), [("data", 2, 2), ("scripts", 90, 100), ("all", 18_000, 19_000)])
def test_an_alphabet_keeps_what_later_lines_need(keep: str, least: int, most: int) -> None:
    data = Dataset(Path(), "text_lines", "ocr", ("7", "A"), ())
    found = with_known(RunConfig(model="ppocr", options={"keep": keep}), data).classes
    assert found[:2] == ("7", "A") and least <= len(found) <= most and len(set(found)) == len(found)


def test_it_reads_as_it_is_whatever_stands_beside_a_line(reader: Predictor, tmp_path: Path) -> None:
    assert is_ready("ppocr")
    write_text_lines(tmp_path, seed=1, count=12, texts=("Total 12.50", "A", "Manako reads this line"))
    paths = sorted(p for p in tmp_path.rglob("*.png"))
    together = [result.prediction for result in reader.predict(paths)]
    for path, found in zip(paths, together, strict=True):
        (alone,) = reader.predict(path)
        assert np.array_equal(alone.prediction.class_id, found.class_id)
        assert np.allclose(alone.prediction.score, found.score, atol=1e-4)
    texts = {found.text(reader.card.classes).replace(" ", "") for found in together}
    assert len(texts & {"Total12.50", "A", "Manakoreadsthisline"}) >= 2


def test_a_line_one_pixel_high_is_no_error(reader: Predictor) -> None:
    (result,) = reader.predict(Image.new("RGB", (40, 1), (255, 255, 255)))
    assert result.error is None and result.prediction is not None
