"""Every topic plays in both languages, with finite numbers, whole figures and no text cut off or covered."""

import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import pytest
from tests.figures.recording import record

from manako.errors import UsageError
from manako.learn import autoencoder, cnn
from manako.learn.lesson import Table, number, numbers, screen_width
from manako.learn.play import list_topics, play_topic, topic_names
from manako.learn.topics import learning_curves, three_ways
from manako.messages import catalogue, message, set_language

EXPECTED = [
    *("perceptron", "multi-layer-perceptron", "activations", "loss", "neural-network", "gradient-descent"),
    *("optimisers", "loss-surface", "three-ways", "learning-curves", "convolution", "pooling", "upsampling"),
    *("transposed-convolution", "dropout", "batch-normalisation", "cnn", "autoencoder", "decision-tree", "svm"),
    *("k-means", "hierarchical-clustering", "q-learning"),
]


@pytest.fixture(autouse=True)
def _language():
    yield
    set_language(None)


@pytest.fixture(scope="module")
def played():
    """(topic, language) -> what was played; the slow trainings run once, not once a language."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "learn_digits", cache(cnn.learn_digits))
        patch.setattr(autoencoder, "learn_digits", cache(autoencoder.learn_digits))
        patch.setattr(learning_curves, "run", cache(learning_curves.run))
        patch.setattr(three_ways, "compare", cache(three_ways.compare))

        @cache
        def play(name, language):
            set_language(language)
            return play_topic(name)

        yield play


def test_all_topics_are_found_in_the_order_of_the_course():
    assert topic_names() == EXPECTED
    set_language("ja")
    titles = {topic.title for topic in list_topics().topics}
    assert len(titles) == len(EXPECTED) and all(re.search("[ぁ-んァ-ン一-龥]", title) for title in titles)
    assert all(name in list_topics().text() for name in EXPECTED)
    assert [each["topic"] for each in list_topics().as_json()["topics"]] == EXPECTED


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("name", EXPECTED)
def test_topic_plays(played, name, language):
    result = played(name, language)
    text = result.text()
    japanese = len(re.findall("[ぁ-んァ-ン]", text))
    assert (japanese > 30) if language == "ja" else (japanese == 0)
    assert "{" not in text and "None" not in text and "nan" not in text
    assert _not_finite(result.lesson.values) == []
    json.dumps(result.as_json(), allow_nan=False)
    assert result.lesson.figures and result.lesson.values
    for part, figure in result.lesson.figures.items():
        recording = record(figure)
        assert recording.outside() == [], part
        assert recording.overlaps() == [], part
        assert not [shown for shown, _, _ in recording.texts if shown.endswith("…")], part
        ET.fromstring(figure.svg())


def _not_finite(value, where=""):
    if isinstance(value, dict):
        return [bad for key, item in value.items() for bad in _not_finite(item, f"{where}.{key}")]
    if isinstance(value, (list, tuple)):
        return [bad for index, item in enumerate(value) for bad in _not_finite(item, f"{where}[{index}]")]
    if isinstance(value, np.ndarray):
        return [] if np.isfinite(value).all() else [where]
    return [where] if isinstance(value, float) and not math.isfinite(value) else []


def test_what_the_topics_must_show(played):
    values = {name: played(name, "en").lesson.values for name in EXPECTED}
    assert values["perceptron"]["sum"] == pytest.approx(2.5) and values["perceptron"]["output"] == 0
    assert values["perceptron"]["converged"] == {"and": True, "or": True, "xor": False}
    assert values["multi-layer-perceptron"]["right"] == 4
    assert max(values["neural-network"]["gradient_check"].values()) < 1e-8
    assert values["neural-network"]["loss_after"] < values["neural-network"]["loss"]
    weights = values["gradient-descent"]["weights"]
    assert weights["left"][1] > weights["left"][0] and weights["right"][1] < weights["right"][0]
    assert abs(weights["diverge"][-1] - 2) > abs(weights["diverge"][0] - 2) and abs(weights["good"][-1] - 2) < 0.01
    assert np.ptp(values["transposed-convolution"]["adjoint"]) < 1e-12
    assert values["cnn"]["accuracy"] > 0.97
    assert values["autoencoder"]["error"] < values["autoencoder"]["linear_error"]
    assert (np.diff(values["k-means"]["inertia"]) <= 1e-9).all()
    assert values["q-learning"]["largest_loss_of_an_action"] < 0.1
    assert values["svm"]["accuracy_on_rings"]["rbf"] > 0.98 > 0.8 > values["svm"]["accuracy_on_rings"]["line"]


def test_figures_are_written(tmp_path):
    result = play_topic("Gradient_Descent", tmp_path / "new", format="svg")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [f"gradient-descent-{part}.svg" for part in ("rate", "slope", "valleys")]
    assert sorted(path.name for path in result.figures) == names
    assert all(str(path) in result.text() for path in result.figures)
    assert play_topic("pooling").figures == []


def test_unknown_topics_are_refused_with_a_hint():
    with pytest.raises(UsageError, match="Did you mean: perceptron"):
        play_topic("perceptrom")
    with pytest.raises(UsageError, match="q-learning"):
        play_topic("xyzzy")


def test_chance_follows_the_seed():
    first, again, other = (play_topic("dropout", seed=seed).as_json()["values"] for seed in (1, 1, 2))
    assert first == again != other


def test_listing_is_light():
    code = (
        "import sys; from manako.learn.play import list_topics; list_topics();"
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'scipy', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_both_languages_say_the_same_things():
    keys = [key for key in catalogue("en") if key.startswith(("learn.", "figures."))]
    fields = re.compile(r"\{(\w+)")
    assert len(keys) > 300
    for key in keys:
        assert sorted(set(fields.findall(catalogue("en")[key]))) == sorted(set(fields.findall(catalogue("ja")[key]))), (
            key
        )


def test_tables_line_up_in_both_scripts():
    table = Table(["名前", "value"], [["あ", "1.50"], ["abc", "−10.00"]])
    lines = table.text().split("\n")
    assert {screen_width(line) for line in lines} == {screen_width(lines[1])}
    assert lines[3].endswith("−10.00") and lines[2].endswith("  1.50")
    with pytest.raises(ValueError, match="2 cells"):
        Table(["a", "b"], [["1"]])


def test_numbers_for_people():
    assert number(-0.0004, 2) == "−4.0e−04" and number(1e-17) == "0.000" and number(math.inf) == "∞"
    assert numbers([0.1, -0.00001], 2) == "(0.10, 0.00)"
    assert message("learn.topic")
