"""The metrics of classification against scikit-learn, closed forms and planted truths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import beta
from sklearn import metrics as sk

from manako.metrics.bootstrap import mean_interval
from manako.metrics.calibration import best_temperature, expected_calibration_error, reliability
from manako.metrics.classes import score_classes


def make_scores(seed: int, classes: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, random.integers(1, classes + 1), count)  # some classes may not occur
    logits = random.normal(size=(count, classes)) + 2 * np.eye(classes)[truth] * random.random((count, 1))
    return softmax(logits, axis=1).astype(np.float32), truth


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 60))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_metrics_are_scikit_learns(seed: int, classes: int, count: int) -> None:
    scores, truth = make_scores(seed, classes, count)
    found = score_classes(scores, truth).metrics
    answer = scores.argmax(1)
    oracle = {
        "accuracy": sk.accuracy_score(truth, answer),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, answer),
        "macro_precision": sk.precision_score(truth, answer, average="macro", zero_division=0),
        "macro_recall": sk.recall_score(truth, answer, average="macro", zero_division=0),
        "macro_f1": sk.f1_score(truth, answer, average="macro", zero_division=0),
        "nll": -np.log(scores.astype(np.float64))[np.arange(count), truth].mean(),
    }
    if classes > 5:
        ranks = (-scores).argsort(1, kind="stable")[:, :5]
        oracle["top5"] = (ranks == truth[:, None]).any(1).mean()
    assert set(found) == set(oracle) | {"ece"}
    for name, value in oracle.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_tables_of_a_case_done_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.45, 0.55]], np.float32)
    found = score_classes(scores, np.array([0, 1, 1, 0]))
    assert found.tables["confusion"].tolist() == [[1, 1], [1, 1]]
    assert found.per_class.tolist() == [[0.5, 0.5, 0.5, 2], [0.5, 0.5, 0.5, 2]]
    assert found.tables["confidence"].sum(0).tolist() == [2, 2]
    assert found.tables["confidence"][18].tolist() == [1, 1]  # 0.90 .. 0.95
    # Bins of 1/15: 0.55 (wrong), 0.8 (right), 0.9 twice (one right).
    assert found.metrics["ece"] == pytest.approx((0.55 + 0.2 + 2 * 0.4) / 4, abs=1e-6)


@pytest.mark.parametrize(("confidence", "right", "error"), [(0.8, 0.6, 0.2), (0.7, 0.7, 0.0), (1.0, 0.0, 1.0)])
def test_ece_of_one_bin_is_the_distance(confidence: float, right: float, error: float) -> None:
    table = reliability(np.full(10, confidence), np.arange(10) < round(10 * right))
    assert expected_calibration_error(table) == pytest.approx(error)
    assert table[:, 2].sum() == 10 and np.isnan(table[:, 1]).sum() == len(table) - 1


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_temperature_recovers_the_planted_one(planted: float) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(20_000, 5)) * 2
    truth = (softmax(logits, 1).cumsum(1) > random.random((len(logits), 1))).argmax(1)
    assert best_temperature(logits * planted, truth) == pytest.approx(planted, rel=0.03)


def test_temperature_is_the_lowest_point_of_its_loss() -> None:
    scores, truth = make_scores(3, 4, 200)
    logits = np.log(scores.astype(np.float64)) * 3
    target = np.full((200, 4), 1 / 202 / 4)
    target[np.arange(200), truth] += 1 - 1 / 202
    best = best_temperature(logits, truth)

    def loss(temperature: float) -> float:
        return float(-(target * log_softmax(logits / temperature, 1)).sum())

    assert loss(best) < min(loss(best * 1.01), loss(best * 0.99))


def test_a_few_right_answers_do_not_make_certain() -> None:
    logits = np.eye(3)[[0, 1, 2]] * 2.0
    temperature = best_temperature(logits, np.array([0, 1, 2]))
    assert 0.5 < softmax(logits / temperature, 1).max() < 0.9


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_interval_of_a_perfect_score_is_the_exact_bound(count: int) -> None:
    low, high = mean_interval(np.ones(count))
    assert low == pytest.approx(beta.ppf(0.025, count, 1)) and high == 1
    np.testing.assert_allclose(mean_interval(np.zeros(count)), [0, 1 - low])


def test_interval_of_a_large_sample_is_the_normal_one() -> None:
    values = np.arange(4000) < 3000
    low, high = mean_interval(values, seed=5)
    reach = 1.96 * np.sqrt(0.75 * 0.25 / 4000)
    np.testing.assert_allclose([low, high], [0.75 - reach, 0.75 + reach], atol=0.002)
    assert mean_interval(values, seed=5) == (low, high)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = mean_interval(random.random(100) < 0.8)
        held += low <= 0.8 <= high
    assert 0.90 <= held / 200 <= 0.99
