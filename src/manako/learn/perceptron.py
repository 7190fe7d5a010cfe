"""Perceptron: weigh the inputs, add them up, fire when the sum reaches the threshold.

    sum = w1 x1 + ... + wD xD        output = 1 if threshold <= sum else 0

    learning rule, for each datum in turn:   w += rate (label - output) x      threshold -= rate (label - output)

Shapes: inputs and weights (D,), data (N, D), labels (N,) of 0 and 1. The rule stops changing anything after finitely
many mistakes exactly when a straight line (a hyperplane) separates the data; XOR has none, two layers solve it.
Source: F. Rosenblatt, "The perceptron", 1958; A. B. J. Novikoff, "On convergence proofs on perceptrons", 1962;
M. Minsky, S. Papert, "Perceptrons", 1969.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manako.learn.layer import Array, Integers
from manako.learn.shapes import require_shape


@dataclass(frozen=True, eq=False)
class Firing:
    """One decision with every number in it; `products` are the weighted inputs."""

    inputs: Array
    weights: Array
    products: Array
    total: float
    threshold: float
    output: int


class Perceptron:
    """`weights` (D,) and the `threshold` that their weighted sum must reach."""

    def __init__(self, weights: npt.ArrayLike, threshold: float) -> None:
        self.weights: Array = np.array(weights, dtype=np.float64)
        self.threshold = float(threshold)
        require_shape("perceptron", self.weights, ("D",))

    def fire(self, inputs: npt.ArrayLike) -> Firing:
        x = np.asarray(inputs, dtype=np.float64)
        require_shape("perceptron", x, self.weights.shape)
        products = self.weights * x
        total = float(products.sum())
        return Firing(x, self.weights.copy(), products, total, self.threshold, int(self.threshold <= total))

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """0 or 1 for each row of `x` (N, D)."""
        rows = np.asarray(x, dtype=np.float64)
        require_shape("perceptron", rows, ("N", len(self.weights)))
        totals: Array = (rows * self.weights).sum(axis=1)
        return (self.threshold <= totals).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Update:
    """One correction: the datum `index` gave `output` instead of `label`; `weights`, `threshold` are those after it."""

    epoch: int
    index: int
    output: int
    label: int
    weights: Array
    threshold: float


@dataclass(frozen=True, eq=False)
class Learning:
    """`mistakes`: how many each epoch made. `converged`: the last epoch made none."""

    perceptron: Perceptron
    updates: tuple[Update, ...]
    mistakes: tuple[int, ...]
    converged: bool


def learn(x: npt.ArrayLike, labels: npt.ArrayLike, *, rate: float = 1.0, epochs: int = 100) -> Learning:
    """The learning rule, from weights and threshold 0, until an epoch makes no mistake or the epochs are used up."""
    rows, wanted = np.asarray(x, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    require_shape("perceptron", rows, ("N", "D"))
    require_shape("perceptron labels", wanted.astype(np.float64), (len(rows),))
    perceptron = Perceptron(np.zeros(rows.shape[1]), 0.0)
    updates: list[Update] = []
    mistakes: list[int] = []
    for epoch in range(1, epochs + 1):
        before = len(updates)
        for index, (inputs, label) in enumerate(zip(rows, wanted, strict=True)):
            output = perceptron.fire(inputs).output
            if output == label:
                continue
            step = rate * (int(label) - output)
            perceptron.weights = perceptron.weights + step * inputs
            perceptron.threshold -= step
            now = (perceptron.weights.copy(), perceptron.threshold)
            updates.append(Update(epoch, index, output, int(label), *now))
        mistakes.append(len(updates) - before)
        if not mistakes[-1]:
            break
    return Learning(perceptron, tuple(updates), tuple(mistakes), bool(mistakes) and mistakes[-1] == 0)


class MultiLayerPerceptron:
    """Layers of threshold units: the outputs of one layer are the inputs of the next.

    `layers`: (weights (outputs, inputs), thresholds (outputs,)) of each, first to last.
    """

    def __init__(self, layers: tuple[tuple[npt.ArrayLike, npt.ArrayLike], ...]) -> None:
        self.layers = tuple((np.array(w, dtype=np.float64), np.array(t, dtype=np.float64)) for w, t in layers)
        for number, (weights, thresholds) in enumerate(self.layers):
            require_shape(f"{number}.weights", weights, ("outputs", "inputs"))
            require_shape(f"{number}.thresholds", thresholds, (len(weights),))

    def fire(self, inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """The inputs, then each layer's outputs; one datum (D,) or many (N, D)."""
        values: list[Array] = [np.asarray(inputs, dtype=np.float64)]
        for number, (weights, thresholds) in enumerate(self.layers):
            rows = np.atleast_2d(values[-1])
            require_shape(f"{number}.perceptrons", rows, ("N", weights.shape[1]))
            values.append((thresholds <= values[-1] @ weights.T).astype(np.float64))
        return tuple(values)

    def predict(self, x: npt.ArrayLike) -> Integers:
        """The last layer's outputs (N, outputs), or (N,) where there is one."""
        last = self.fire(x)[-1].astype(np.int64)
        return last[..., 0] if last.shape[-1] == 1 else last


def xor() -> MultiLayerPerceptron:
    """XOR by hand: one unit fires for "or", one for "and"; the output fires for "or, and not and"."""
    return MultiLayerPerceptron((([[1, 1], [1, 1]], [0.5, 1.5]), ([[1, -1]], [0.5])))
