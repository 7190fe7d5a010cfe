"""Three ways to learn: after every datum (online), after all of them (batch), or after a few (mini-batch), measured.

                 data a step   steps an epoch      the gradient is             memory for activations
    online       1             n                   noisy, cheap                of 1 datum
    mini-batch   b             ceil(n / b)         a fair estimate             of b data
    batch        n             1                   exact for these data        of all n data

One network (64-32-10), one start and the same n digits for all; each way has a learning rate that suits it, since a
noisy gradient bears small steps only. All is measured on the machine that runs it. Shapes: x (n, 64), labels (n,).
Source: D. R. Wilson, T. R. Martinez, "The general inefficiency of batch training", 2003; L. Bottou, 2012.
"""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass

import numpy as np

from manako.learn.activations import ReLU
from manako.learn.dense import Dense
from manako.learn.digits import Indices, digits
from manako.learn.layer import Array
from manako.learn.losses import CategoricalCrossEntropy
from manako.learn.network import Network
from manako.learn.optimisers import SGD
from manako.learn.training import ORDERS, accuracy, train

WAYS = (("online", 1, 0.02), ("mini_batch", 32, 0.2), ("batch", None, 0.5))  # name, data a step, learning rate
TARGET_LOSS = 0.25  # mean training loss that counts as learned
LONGEST = 1500  # epochs, at which a way is given up
Data = tuple[Array, Indices]


@dataclass(frozen=True, eq=False)
class Way:
    """What one way was seen to do. Times in seconds, memory in bytes, accuracies from 0 to 1 on held-out digits.

    `peak_bytes`: all that one step allocates; `activation_bytes`: the layers' outputs alone. `loss_variance`: of the
    losses of the last steps before the target, around their smooth fall. New data: two digits never seen are added
    to the eight known ones, and one epoch over all follows. None: the target was not reached.
    """

    name: str
    batch_size: int
    rate: float
    steps_per_epoch: int
    peak_bytes: int
    activation_bytes: int
    loss_variance: float
    seconds_per_epoch: float
    seconds_to_target: float | None
    epochs_to_target: int | None
    step_losses: tuple[float, ...]
    accuracy_before_new_data: float
    accuracy_after_new_data: float
    accuracy_by_order: dict[str, float]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The three ways, online first, on `samples` digits."""

    ways: tuple[Way, ...]
    samples: int
    target_loss: float


def build(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    return Network([Dense(64, 32, rng=rng), ReLU(), Dense(32, 10, rng=rng)], CategoricalCrossEntropy())


def compare(*, samples: int = 600, seed: int = 0) -> Comparison:
    """Measures the three ways; about ten seconds."""
    data = digits(seed=seed)
    known, held_out = data.rows()
    learned = (known[:samples], data.labels[:samples])
    judged = (held_out, data.held_out_labels)
    ways = tuple(_measure(name, size or samples, rate, learned, judged, seed) for name, size, rate in WAYS)
    return Comparison(ways, samples, TARGET_LOSS)


def _measure(name: str, size: int, rate: float, learned: Data, judged: Data, seed: int) -> Way:
    peak, activations = memory_of_a_step(learned, size, rate, seed)
    losses, times, reached = _to_target(learned, size, rate, seed)
    before, after = _new_data(learned, judged, size, rate, seed)
    epochs = len(times)
    by_order = {}
    for order in ORDERS:
        network = build(seed)
        train(network, *learned, epochs=epochs, batch_size=size, optimiser=SGD(rate), order=order, seed=seed)
        by_order[order] = accuracy(network, *judged)
    return Way(
        name, size, rate, len(losses) // epochs, peak, activations, _variance(losses), float(np.median(times)),
        sum(times) if reached else None, epochs if reached else None, losses, before, after, by_order,
    )  # fmt: skip


def memory_of_a_step(learned: Data, size: int, rate: float, seed: int) -> tuple[int, int]:
    """Peak of all that Python and NumPy allocate in one step, and the bytes of the layers' outputs."""
    network, optimiser = build(seed), SGD(rate)
    x, labels = learned[0][:size], learned[1][:size]
    network.learn(x, labels, optimiser)  # the first step also makes what stays
    network.values, network.flow = [], []
    tracemalloc.start()
    network.learn(x, labels, optimiser)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, sum(value.nbytes for value in network.values[1:])


def _to_target(learned: Data, size: int, rate: float, seed: int) -> tuple[tuple[float, ...], list[float], bool]:
    """Step losses, seconds of each epoch, and whether the loss over all data came down to the target."""
    network, optimiser = build(seed), SGD(rate)
    losses: list[float] = []
    times: list[float] = []
    for epoch in range(LONGEST):
        begun = time.perf_counter()
        history = train(network, *learned, epochs=1, batch_size=size, optimiser=optimiser, seed=seed + epoch)
        times.append(time.perf_counter() - begun)
        losses.extend(history.step_losses)
        if network.loss.value(network.predict(learned[0]), learned[1]) <= TARGET_LOSS:
            return tuple(losses), times, True
    return tuple(losses), times, False


def _variance(losses: tuple[float, ...], last: int = 100) -> float:
    """From second differences, which a smooth fall leaves near 0 and noise of variance v makes 6 v."""
    recent = np.array(losses[len(losses) // 2 :][-last:])
    return float(np.mean(np.diff(recent, 2) ** 2) / 6)


def _new_data(learned: Data, judged: Data, size: int, rate: float, seed: int) -> tuple[float, float]:
    """Accuracy on all ten digits after learning eight, and after one more epoch in which the other two have come."""
    x, labels = learned
    old = labels < 8
    network, optimiser = build(seed), SGD(rate)
    share = min(size, int(old.sum()))
    for epoch in range(LONGEST):
        train(network, x[old], labels[old], epochs=1, batch_size=share, optimiser=optimiser, seed=seed + epoch)
        if network.loss.value(network.predict(x[old]), labels[old]) <= TARGET_LOSS:
            break
    before = accuracy(network, *judged)
    train(network, x, labels, epochs=1, batch_size=size, optimiser=optimiser, seed=seed)
    return before, accuracy(network, *judged)
