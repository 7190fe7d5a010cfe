"""Learning curves by design: one experiment for each reading, and four ways to mend over-fitting.

    not_done      stopped after a few epochs: both losses still fall steeply
    going_well    a third of the schedule has passed: both losses fall, side by side
    done          the schedule is over: both losses lie flat
    over_fits     100 digits, the labels of 40 % of them drawn at random, and a network of 26,122 numbers: it learns
                  them by heart, errors and all, while the validation loss turns and rises
    dropout, more_data, weight_decay, early_stopping      the same with one thing changed each

The reading comes from `manako.doctor.curves`, the one rule that the reports of trained models use as well.
Source: L. Prechelt, "Early stopping, but when?", 1998; A. Krogh, J. Hertz, "A simple weight decay", 1991; N. Srivastava
et al., "Dropout", 2014.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from manako.doctor.curves import Reading, Verdict, read_curves
from manako.errors import ConfigError
from manako.learn.activations import ReLU
from manako.learn.dense import Dense
from manako.learn.digits import digits
from manako.learn.dropout import Dropout
from manako.learn.layer import Layer
from manako.learn.losses import CategoricalCrossEntropy
from manako.learn.network import Network
from manako.learn.optimisers import SGD
from manako.learn.training import History, train


@dataclass(frozen=True)
class Experiment:
    """`samples` digits, a share of them with a wrong label, for a network 64-`hidden`-`hidden`-10 with plain SGD.

    `planned`: the whole schedule, where the run is its beginning. `mends`: the experiment that this one mends.
    """

    name: str
    expected: tuple[Verdict, ...]
    samples: int = 1200
    wrong_labels: float = 0.0
    hidden: int = 32
    dropout: float = 0.0
    weight_decay: float = 0.0
    rate: float = 0.1
    epochs: int = 60
    planned: int | None = None
    patience: int | None = None
    mends: str | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """`reading` is that of `history.curves`. `lowest`: the validation loss of the best epoch; `kept`: of the network
    that one is left with (early stopping goes back to the best)."""

    experiment: Experiment
    history: History
    reading: Reading
    lowest: float
    kept: float


MENDED = (Verdict.DONE, Verdict.GOING_WELL, Verdict.NOT_DONE)
OVER_FITS = Experiment(
    "over_fits", (Verdict.OVER_FITTING,), samples=100, wrong_labels=0.4, hidden=128, rate=0.2, epochs=100
)
_MEND = replace(OVER_FITS, expected=MENDED, mends="over_fits")
EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment("not_done", (Verdict.NOT_DONE,), rate=0.02, epochs=8),
        Experiment("going_well", (Verdict.GOING_WELL,), rate=0.03, epochs=12, planned=36),
        Experiment("done", (Verdict.DONE,), epochs=60),
        OVER_FITS,
        replace(_MEND, name="dropout", dropout=0.6),
        replace(_MEND, name="more_data", samples=1400, epochs=20),
        replace(_MEND, name="weight_decay", weight_decay=0.02),
        replace(_MEND, name="early_stopping", patience=4),
    )
}


def run(name: str, *, seed: int = 0) -> Outcome:
    """Trains experiment `name` and reads its curves."""
    if name not in EXPERIMENTS:
        names = ", ".join(EXPERIMENTS)
        raise ConfigError("learn.choice", layer="experiments", field="name", value=name, choices=names)
    return run_experiment(EXPERIMENTS[name], seed=seed)


def run_experiment(experiment: Experiment, *, seed: int = 0) -> Outcome:
    """The same for an experiment of one's own (`dataclasses.replace` changes one thing)."""
    data, rng = digits(seed=seed), np.random.default_rng(seed)
    x, held_out = data.rows()
    x, labels = x[: experiment.samples], data.labels[: experiment.samples].copy()
    wrong = rng.random(len(labels)) < experiment.wrong_labels
    labels[wrong] = rng.integers(0, 10, wrong.sum())
    validation = (held_out, data.held_out_labels)
    network = build(experiment, rng)
    history = train(
        network, x, labels, epochs=experiment.epochs, batch_size=20,
        optimiser=SGD(experiment.rate, weight_decay=experiment.weight_decay), validation=validation,
        patience=experiment.patience, planned=experiment.planned, seed=seed,
    )  # fmt: skip
    kept = network.loss.value(network.predict(held_out), data.held_out_labels)
    lowest = min(history.curves.validation_loss)
    return Outcome(experiment, history, read_curves(history.curves), lowest, kept)


def build(experiment: Experiment, rng: np.random.Generator) -> Network:
    layers: list[Layer] = []
    for inputs in (64, experiment.hidden):
        layers += [Dense(inputs, experiment.hidden, rng=rng), ReLU()]
        layers += [Dropout(experiment.dropout, rng=rng)] if experiment.dropout else []
    return Network([*layers, Dense(experiment.hidden, 10, rng=rng)], CategoricalCrossEntropy())
