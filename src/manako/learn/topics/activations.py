"""Activation functions and their slopes: what a unit makes of its weighted sum."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Bars, Figure, Line, Panel, Rule, names_axis
from manako.learn.activations import ACTIVATIONS, softmax
from manako.learn.lesson import Lesson, Section, Table, number
from manako.messages import message

TITLE = "learn.activations.title"
ORDER = 30

NAMES = ("step", "sigmoid", "tanh", "relu", "leaky_relu")
PLACES = np.array([-2.0, -0.5, 0.0, 0.5, 2.0])
SCORES = np.array([2.0, 1.0, 0.1])


def play(seed: int = 0) -> Lesson:
    values = {name: ACTIVATIONS[name][0](PLACES) for name in NAMES}
    slopes = {name: ACTIVATIONS[name][1](PLACES) for name in NAMES}
    head = [message("learn.function"), *(f"x = {number(x, 1)}" for x in PLACES)]
    sections = [
        Section(
            message("learn.activations.values"),
            [message("learn.activations.threshold")],
            Table(head, [[name, *(number(y) for y in values[name])] for name in NAMES]),
        ),
        Section(
            message("learn.activations.slopes"),
            [message("learn.activations.no_slope"), message("learn.activations.flat")],
            Table(head, [[name, *(number(y) for y in slopes[name])] for name in NAMES]),
        ),
        _softmax(),
    ]
    data = {"x": PLACES, "values": values, "slopes": slopes, "scores": SCORES, "softmax": softmax(SCORES)}
    return Lesson(sections, {"functions": _functions(), "softmax": _bars()}, data)


def _softmax() -> Section:
    shares = softmax(SCORES)
    powers = np.exp(SCORES)
    rows = [[number(s, 1), number(p), number(y)] for s, p, y in zip(SCORES, powers, shares, strict=True)]
    head = [message("learn.score"), "eˣ", "softmax"]
    line = message("learn.activations.softmax", total=number(powers.sum()), sum=number(shares.sum()))
    return Section("softmax", [line], Table(head, rows))


def _functions() -> Figure:
    x = np.linspace(-4, 4, 801)
    panels = []
    for name in NAMES:
        function, derivative = ACTIVATIONS[name]
        y, slope = function(x), derivative(x)
        for line in (y, slope):
            line[1:][np.abs(np.diff(line)) > 0.5] = np.nan  # a jump is no line
        marks = [
            Rule(0, label=message("learn.activations.threshold_zero")),
            Line(x, y, message("learn.function")),
            Line(x, slope, message("learn.slope")),
        ]
        low, high = (-1.2, 1.2) if name not in ("relu", "leaky_relu") else (-0.4, 2.4)
        axis = Axis(low=low, high=high)
        panels.append(Panel(marks, name, Axis("x"), axis, width=250, height=170, legend=name == "step"))
    return Figure(panels, message("learn.activations.title"), message("learn.activations.note"), columns=3)


def _bars() -> Figure:
    names = [f"{message('learn.class_of', name=i)}: {number(score, 1)}" for i, score in enumerate(SCORES)]
    shares = softmax(SCORES)
    bars = Bars(np.arange(3.0), shares, texts=[number(share) for share in shares], colour="train")
    axes = names_axis(names, message("learn.score")), Axis(message("learn.probability"), 0, 1)
    return Figure([Panel([bars], "softmax", *axes, width=320, height=200)])
