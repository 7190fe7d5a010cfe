"""Batch normalisation: each channel gets mean 0 and variance 1 over the batch, then a learned scale and shift."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Line, Panel, Rule, Steps
from manako.learn.batch_normalisation import BatchNormalisation, min_max_normalise
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number
from manako.messages import message

TITLE = "learn.batch_normalisation.title"
ORDER = 160

MEAN, SPREAD, BATCHES = 50.0, 10.0, 60


def play(seed: int = 0) -> Lesson:
    rng = np.random.default_rng(seed)
    layer = BatchNormalisation(1)
    means, variances = [], []
    for _ in range(BATCHES):
        layer.forward(rng.normal(MEAN, SPREAD, (32, 1)), training=True)
        means.append(float(layer.running_mean[0]))
        variances.append(float(layer.running_variance[0]))
    batch = rng.normal(MEAN, SPREAD, (200, 1))
    batch[0] = 140.0  # an outlier, which the min-max picture can't bear
    in_use = layer.forward(batch)
    trained = layer.forward(batch, training=True)
    squeezed = min_max_normalise(batch)
    views = {
        "learn.batch_normalisation.before": batch,
        "learn.batch_normalisation.training": trained,
        "learn.batch_normalisation.in_use": in_use,
        "learn.batch_normalisation.min_max": squeezed,
    }
    rows = [[message(key), *(number(v, 2) for v in (x.mean(), x.var(), x.min(), x.max()))] for key, x in views.items()]
    head = ["", message("learn.mean"), message("learn.variance"), message("learn.smallest"), message("learn.largest")]
    lines = [message("learn.batch_normalisation.idea"), message("learn.batch_normalisation.running")]
    lines.append(message("learn.batch_normalisation.not_the_same"))
    section = Section(message("learn.batch_normalisation.compared"), lines, Table(head, rows))
    figures = {"histograms": _histograms(views), "running": _running(means, variances)}
    data = {key.rsplit(".", 1)[-1]: {"mean": x.mean(), "variance": x.var()} for key, x in views.items()}
    return Lesson([section], figures, {**data, "running_mean": means[-1], "running_variance": variances[-1]})


def _histograms(views: dict[str, Array]) -> Figure:
    panels = []
    for key, values in views.items():
        counts, edges = np.histogram(values, 30)
        marks = [Steps(edges, counts, colour="train"), Rule(float(values.mean()), label=message("learn.mean"))]
        axes = Axis(message("learn.value")), Axis(message("figures.count"), low=0)
        panels.append(Panel(marks, message(key), *axes, width=230, height=150))
    return Figure(
        panels, message("learn.batch_normalisation.title"), message("learn.batch_normalisation.note"), columns=2
    )


def _running(means: list[float], variances: list[float]) -> Figure:
    steps = np.arange(1, BATCHES + 1)
    panels = [
        Panel(
            [
                Line(steps, values, message(f"learn.batch_normalisation.{name}")),
                Rule(true, "horizontal", message("learn.batch_normalisation.of_all_data")),
            ],
            "",
            Axis(message("learn.step")),
            Axis(low=0),
            width=250,
            height=170,
        )
        for name, values, true in (("running_mean", means, MEAN), ("running_variance", variances, SPREAD**2))
    ]
    return Figure(panels, message("learn.batch_normalisation.statistics"), columns=2)
