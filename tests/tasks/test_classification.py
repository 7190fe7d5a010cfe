"""What a classifier's outputs mean, and how that is shown."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.special import softmax

from manako.messages import set_language
from manako.tasks import get_task
from manako.types import Frame, Labels, Prediction

TASK = get_task("classification")
HOSTILE = '<script>alert("1")</script>&\x07\n\u202e'


def decode(logits: np.ndarray, temperature: float = 1.0) -> list[Prediction]:
    frames = [Frame(10, 10)] * len(logits)
    return TASK.decode({"logits": np.asarray(logits, np.float32)}, frames, {"temperature": temperature})


@given(
    arrays(np.float32, (3, 7), elements=st.floats(-1e4, 1e4, width=32)),
    st.floats(0.05, 20),
)
def test_decoding_is_softmax_best_first(logits: np.ndarray, temperature: float) -> None:
    expected = softmax(logits.astype(np.float64) / temperature, axis=1)
    for row, prediction in zip(expected, decode(logits, temperature), strict=True):
        assert sorted(prediction.class_id.tolist()) == list(range(7))
        assert prediction.score.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(prediction.score, row[prediction.class_id], atol=1e-4)
        assert all(a >= b for a, b in pairwise(prediction.score.tolist()))


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    assert decode(np.zeros((1, 5)))[0].class_id.tolist() == [0, 1, 2, 3, 4]


def test_calibration_does_not_change_answers_and_lowers_the_loss() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 500)
    logits = (random.normal(size=(500, 4)) + 2 * np.eye(4)[truth]) * 6
    truths = [Labels.truth(int(t)) for t in truth]
    found = TASK.calibrate([({"logits": logits.astype(np.float32)}, [Frame(1, 1)] * 500, truths)])
    names = ["a", "b", "c", "d"]
    before = TASK.evaluate(decode(logits), truths, names)
    after = TASK.evaluate(decode(logits, found["temperature"]), truths, names)
    assert after.main == before.main
    assert found["temperature"] == pytest.approx(3, rel=0.15)  # the posterior is softmax(2 x the noisy scores)
    assert after.metrics["nll"] < 0.7 * before.metrics["nll"]
    assert after.metrics["ece"] < 0.5 * before.metrics["ece"]


def test_worst_mistakes_are_the_most_confident_ones() -> None:
    logits = np.array([[5, 0], [0, 1], [0, 3], [9, 0], [0, 2]])
    found = TASK.evaluate(decode(logits), [Labels.truth(0)] * 5, ["a", "b"])
    assert found.worst == (2, 4, 1)
    assert found.main.value == 0.4 and found.main.low < 0.4 < found.main.high
    assert found.per_class["b"]["support"] == 0


def test_json_has_five_names_and_a_table_one() -> None:
    names = [f"class {i}" for i in range(9)]
    (prediction,) = decode(np.arange(9)[None])
    shown = TASK.as_json(prediction, names)
    assert [entry["class"] for entry in shown] == names[:3:-1]
    assert TASK.as_rows(prediction, names) == shown[:1] and set(TASK.columns) == set(shown[0])


@pytest.mark.parametrize("size", [(640, 480), (300, 40), (28, 28), (1, 600), (600, 1)], ids=str)
@pytest.mark.parametrize("right", [True, False])
def test_drawing_keeps_the_image_and_shows_the_score(size: tuple[int, int], right: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 100, (size[1], size[0], 3), np.uint8)
    prediction = Labels(np.array([1, 0]), np.array([0.75, 0.25], np.float32))
    drawn = TASK.draw(Image.fromarray(pixels), prediction, [HOSTILE, "りんご"], truth=Labels.truth(int(right)))
    if size[0] >= 224:
        assert (np.asarray(drawn)[: size[1]] == pixels).all()
    foot = np.asarray(drawn).astype(int)
    bar = (86, 180, 233) if right else (240, 128, 60)
    rest = (70, 77, 87)
    lengths = [((foot == colour).all(2)).sum(1).max() for colour in (bar, rest)]
    assert lengths[0] / sum(lengths) == pytest.approx(0.75, abs=0.02)


def test_drawing_without_truth_differs_only_in_its_mark() -> None:
    image = Image.new("L", (400, 300), 90)
    prediction = Labels(np.array([0]), np.array([1.0], np.float32))
    plain, marked = (TASK.draw(image, prediction, ["cat"], truth=truth) for truth in (None, Labels.truth(0)))
    assert plain.size == marked.size and plain.tobytes() != marked.tobytes()


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(("classes", "images"), [(2, 1), (2, 60), (100, 300)])
def test_figures_of_few_and_many_classes(classes: int, images: int, language: str) -> None:
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes, images)
    logits = random.normal(size=(images, classes)) + 2 * np.eye(classes)[truth]
    names = [HOSTILE, *(f"クラス{i}" for i in range(1, classes))]
    set_language(language)
    try:
        found = TASK.evaluate(decode(logits), [Labels.truth(int(t)) for t in truth], names)
        figures = TASK.figures(found, names)
        expected = {"confusion", "per_class", "reliability", "confidence"}
        assert set(figures) == expected | ({"confused_pairs"} if found.worst else set())
        for figure in figures.values():
            svg = figure.svg()
            assert "nan" not in svg and "<script" not in svg
    finally:
        set_language(None)


def test_synthetic_images_read_back(tmp_path: Path) -> None:
    dataset = TASK.synthetic(tmp_path, seed=3, count=16)
    assert len(dataset.samples) == 16 and len(dataset.classes) >= 2
    assert not dataset.problems
