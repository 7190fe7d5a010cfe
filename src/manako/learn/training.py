"""Training: epochs of steps, in a chosen order of the data, watched on data that the network does not learn from.

    an epoch = every datum once = ceil(n / batch size) steps

Orders: "shuffled" anew each epoch; "sorted" by label; "stratified": shuffled so that every mini-batch has its share of
each label. Early stopping: when the validation loss has not been lower for `patience` epochs, stop, and go back to the
parameters of the best epoch. Shapes: x (N, ...), target (N,) class ids or like the outputs.
Source: L. Bottou, "Stochastic gradient descent tricks", 2012; L. Prechelt, "Early stopping, but when?", 1998.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from manako.doctor.curves import Curves
from manako.errors import ConfigError, DataError
from manako.learn.layer import Array, Integers
from manako.learn.network import Network
from manako.learn.optimisers import Optimiser
from manako.learn.shapes import require_count

ORDERS = ("shuffled", "sorted", "stratified")


@dataclass(frozen=True, eq=False)
class History:
    """Epochs count from 1. `step_losses`: the loss of every step; `best_epoch`: of the lowest validation loss."""

    curves: Curves
    step_losses: tuple[float, ...]
    epochs: int
    best_epoch: int
    stopped_early: bool
    seconds: float


def batches(labels: Array | Integers, size: int, order: str, rng: np.random.Generator) -> Iterator[Integers]:
    """The indices of one epoch's mini-batches; labels (N,) are looked at by "sorted" and "stratified" only."""
    require_count("training", "batch_size", size)
    if order not in ORDERS:
        raise ConfigError("learn.choice", layer="training", field="order", value=order, choices=", ".join(ORDERS))
    count = len(labels)
    sequence = rng.permutation(count)
    if order == "sorted":
        sequence = np.argsort(labels, kind="stable")
    if order == "stratified":
        places = np.empty(count)  # each label's data stand evenly from 0 to 1, beginning at a chance place
        for label in np.unique(labels):
            own = sequence[labels[sequence] == label]
            places[own] = (np.arange(len(own)) + rng.random()) / len(own)
        sequence = np.argsort(places, kind="stable")
    for start in range(0, count, size):
        yield sequence[start : start + size]


def train(
    network: Network, x: Array, target: Array | Integers, *, epochs: int, batch_size: int, optimiser: Optimiser,
    validation: tuple[Array, Array | Integers] | None = None, order: str = "shuffled", patience: int | None = None,
    planned: int | None = None, seed: int = 0,
) -> History:  # fmt: skip
    """Trains `network` in place. `planned`: epochs of the whole schedule, where this run is its beginning only."""
    require_count("training", "epochs", epochs)
    if len(x) != len(target) or not len(x):
        raise DataError("learn.counts", data=len(x), targets=len(target))
    rng, begun = np.random.default_rng(seed), time.perf_counter()
    steps: list[float] = []
    rows: list[tuple[float, float, float, float]] = []  # training loss, score; validation loss, score
    best, kept = (np.inf, 0), {n: p.copy() for n, p in network.parameters().items()}
    for epoch in range(1, epochs + 1):
        rows.append(_epoch(network, x, target, batch_size, order, optimiser, rng, steps) + _watch(network, validation))
        watched = rows[-1][2] if validation else rows[-1][0]
        if watched < best[0]:
            best, kept = (watched, epoch), {n: p.copy() for n, p in network.parameters().items()}
        elif patience is not None and epoch - best[1] >= patience:
            break
    early = patience is not None and len(rows) < epochs
    if patience is not None:
        for name, parameter in network.parameters().items():
            parameter[...] = kept[name]
    curves = _curves(rows, len(rows) / (planned or epochs) if not early else None)
    return History(curves, tuple(steps), len(rows), best[1], early, time.perf_counter() - begun)


def _epoch(
    network: Network, x: Array, target: Array | Integers, batch_size: int, order: str, optimiser: Optimiser,
    rng: np.random.Generator, steps: list[float],
) -> tuple[float, float]:  # fmt: skip
    """Mean loss and accuracy over the epoch's steps, as they were made."""
    total, right = 0.0, 0
    for chosen in batches(target, batch_size, order, rng):
        steps.append(network.learn(x[chosen], target[chosen], optimiser).loss)
        total += steps[-1] * len(chosen)
        right += _right(network.values[-1], target[chosen])
    return total / len(x), right / len(x)


def _watch(network: Network, data: tuple[Array, Array | Integers] | None) -> tuple[float, float]:
    if data is None:
        return np.nan, np.nan
    outputs = network.predict(data[0])
    return network.loss.value(outputs, data[1]), _right(outputs, data[1]) / len(outputs)


def _right(outputs: Array, target: Array | Integers) -> int:
    return int((outputs.argmax(axis=1) == target).sum()) if target.ndim == 1 and outputs.ndim == 2 else 0


def _curves(rows: list[tuple[float, float, float, float]], progress: float | None) -> Curves:
    training, score, validation, validation_score = zip(*rows, strict=True)
    watched, classes = not np.isnan(validation[0]), max(score) > 0
    return Curves(
        training, validation if watched else (), validation_score if watched and classes else (),
        score if classes else (), progress,
    )  # fmt: skip


def accuracy(network: Network, x: Array, labels: Array | Integers) -> float:
    """The share of data whose largest output is the labelled class."""
    return _right(network.predict(x), labels) / len(labels)
