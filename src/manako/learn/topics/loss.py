"""Losses: one number for how far a prediction is from the teacher's target."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Line, Panel
from manako.learn.activations import sigmoid, softmax
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.losses import BinaryCrossEntropy, CategoricalCrossEntropy, MeanSquaredError
from manako.messages import message

TITLE = "learn.loss.title"
ORDER = 40

PREDICTIONS = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
SCORES = np.array([[2.0, 1.0, 0.1]])


def play(seed: int = 0) -> Lesson:
    targets = np.ones_like(PREDICTIONS)
    squared = MeanSquaredError().each(PREDICTIONS[:, None], targets[:, None])
    entropy = BinaryCrossEntropy().each(_logits(PREDICTIONS)[:, None], targets[:, None])
    head = [message("learn.prediction"), message("learn.target"), message("learn.loss.mse"), message("learn.loss.bce")]
    rows = [
        [number(p, 2), "1", number(s, 4), number(e, 4)] for p, s, e in zip(PREDICTIONS, squared, entropy, strict=True)
    ]
    lines = [message("learn.loss.what"), message("learn.loss.sure_and_wrong", loss=number(entropy[0], 2))]
    sections = [Section(message("learn.loss.compared"), lines, Table(head, rows)), _classes()]
    data = {"prediction": PREDICTIONS, "mean_squared_error": squared, "binary_cross_entropy": entropy, **_values()}
    return Lesson(sections, {"losses": _figure()}, data)


def _logits(
    probability: Array,
) -> Array:
    return np.log(probability / (1 - probability))


def _values() -> dict[str, object]:
    loss = CategoricalCrossEntropy()
    each = [loss.value(SCORES, np.array([k])) for k in range(3)]
    gradient = loss.gradient(SCORES, np.array([0]))[0]
    return {"scores": SCORES[0], "probabilities": softmax(SCORES)[0], "categorical": each, "gradient": gradient}


def _classes() -> Section:
    loss, probabilities = CategoricalCrossEntropy(), softmax(SCORES)[0]
    rows = []
    for k in range(3):
        target = np.array([k])
        gradient = loss.gradient(SCORES, target)[0]
        rows.append([str(k), number(probabilities[k]), number(loss.value(SCORES, target)), numbers(gradient)])
    head = [
        message("learn.target"),
        message("learn.probability"),
        message("learn.loss_word"),
        message("learn.gradient"),
    ]
    line = message("learn.loss.categorical", scores=numbers(SCORES[0], 1), probabilities=numbers(probabilities))
    return Section(message("learn.loss.cce"), [line], Table(head, rows))


def _figure() -> Figure:
    z = np.linspace(-6, 6, 400)
    p = sigmoid(z)
    ones = np.ones((len(z), 1))
    squared = MeanSquaredError().each(p[:, None], ones)
    entropy = BinaryCrossEntropy().each(z[:, None], ones)
    lines = [Line(p, squared, message("learn.loss.mse")), Line(p, entropy, message("learn.loss.bce"))]
    of_p = Panel(
        lines, message("learn.loss.by_prediction"), Axis(message("learn.prediction"), 0, 1),
        Axis(message("learn.loss_word"), 0, 5),
    )  # fmt: skip
    # dL/dz: through the sigmoid the squared error's slope vanishes just where the unit is most wrong.
    slopes = [
        Line(z, 2 * (p - 1) * p * (1 - p), message("learn.loss.mse")),
        Line(z, p - 1, message("learn.loss.bce")),
    ]
    of_z = Panel(slopes, message("learn.loss.by_sum"), Axis(message("learn.loss.sum")), Axis(message("learn.slope")))
    return Figure([of_p, of_z], message("learn.loss.title"), message("learn.loss.note"), columns=2)
