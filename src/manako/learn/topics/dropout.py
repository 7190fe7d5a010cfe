"""Dropout: in training some units are left out by chance, in use all are there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from manako.figures import Axis, Figure, Line, Panel, Rule, names_axis
from manako.learn.dropout import Dropout
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.panels import table
from manako.messages import message

TITLE = "learn.dropout.title"
ORDER = 150

RATE = 0.5
VALUES = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]])
STEPS = 4


def play(seed: int = 0) -> Lesson:
    layer = Dropout(RATE, rng=np.random.default_rng(seed))
    passes = np.concatenate([layer.forward(VALUES, training=True) for _ in range(STEPS)])
    in_use = layer.forward(VALUES)[0]
    means = np.cumsum([layer.forward(VALUES, training=True).mean() for _ in range(2000)]) / np.arange(1, 2001)
    names = [message("learn.dropout.step", step=i + 1) for i in range(STEPS)]
    rows = [[name, numbers(row, 0), number(row.mean(), 2)] for name, row in zip(names, passes, strict=True)]
    rows.append([message("learn.dropout.in_use"), numbers(in_use, 0), number(in_use.mean(), 2)])
    section = Section(
        message("learn.dropout.passes"),
        [message("learn.dropout.idea", rate=RATE, scale=number(1 / (1 - RATE), 0)), message("learn.dropout.expected")],
        Table([message("learn.dropout.pass"), message("learn.output"), message("learn.mean")], rows),
    )
    shown = np.concatenate([VALUES, passes, in_use[None]])
    names = [message("learn.input"), *names, message("learn.dropout.in_use")]
    figures = {"passes": _passes(shown, names), "mean": _mean(means)}
    data = {"rate": RATE, "input": VALUES[0], "passes": passes, "in_use": in_use, "mean_of_2000": means[-1]}
    return Lesson([section], figures, data)


def _passes(shown: Array, names: list[str]) -> Figure:
    off = [(i, j) for i, j in np.argwhere(shown == 0).tolist()]
    panel = table(shown, outlined=off, low=0, high=24)
    panel = replace(panel, y=names_axis(names, reverse=True))
    return Figure([panel], message("learn.dropout.passes"), message("learn.dropout.note"))


def _mean(means: Array) -> Figure:
    marks = [
        Line(np.arange(1, len(means) + 1), means, message("learn.dropout.mean_so_far")),
        Rule(float(VALUES.mean()), "horizontal", message("learn.dropout.in_use")),
    ]
    axes = Axis(message("learn.dropout.passes"), low=1, log=True), Axis(message("learn.mean"))
    return Figure([Panel(marks, message("learn.dropout.settles"), *axes)])
