"""Gradient descent on one weight: the slope says which way is down, the learning rate how far to go."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from manako.figures import Arrow, Axis, Figure, Line, Mark, Panel, Points
from manako.learn.descent import CURVES, LossCurve, Point, descend
from manako.learn.lesson import Lesson, Section, Table, number
from manako.messages import message

TITLE = "learn.gradient_descent.title"
ORDER = 60

Walk = tuple[Point, ...]
SIDES = (("left", -1.5), ("right", 5.0))
RATES = (("small", 0.1), ("good", 0.6), ("overshoot", 1.8), ("diverge", 2.1))


def play(seed: int = 0) -> Lesson:
    bowl = CURVES["bowl"]
    sides = {name: descend(bowl, start=start, rate=0.3, steps=6) for name, start in SIDES}
    rates = {name: descend(bowl, start=-1.5, rate=rate, steps=8) for name, rate in RATES}
    valleys = CURVES["two_valleys"]
    starts = {
        name: descend(valleys, start=start, rate=0.1, steps=25) for name, start in (("left", -2.1), ("right", 2.1))
    }
    sections = [_side(name, walk) for name, walk in sides.items()] + [_rates(rates)]
    figures = {
        "slope": _figure("learn.gradient_descent.slope", bowl, sides, "learn.gradient_descent."),
        "rate": _figure("learn.gradient_descent.rate", bowl, rates, "learn.gradient_descent.", columns=2),
        "valleys": _figure("learn.gradient_descent.valleys", valleys, starts, "learn.gradient_descent.start_"),
    }
    data = {
        "weights": {name: [p.weight for p in walk] for name, walk in (sides | rates).items()},
        "losses": {name: [p.loss for p in walk] for name, walk in (sides | rates).items()},
        "valleys": {name: walk[-1].weight for name, walk in starts.items()},
    }
    return Lesson(sections, figures, data)


def _side(name: str, walk: Walk) -> Section:
    rows = [[str(p.step), number(p.weight), number(p.loss), number(p.slope), number(p.update)] for p in walk]
    words = ["learn.step", "learn.weight", "learn.loss_word", "learn.slope", "learn.change"]
    return Section(
        message(f"learn.gradient_descent.{name}"),
        [message(f"learn.gradient_descent.{name}_line", slope=number(walk[0].slope), change=number(walk[0].update))],
        Table([message(word) for word in words], rows),
    )


def _rates(rates: dict[str, Walk]) -> Section:
    rows = [
        [number(dict(RATES)[name], 1), number(walk[1].weight), number(walk[-1].weight), number(walk[-1].loss, 4)]
        for name, walk in rates.items()
    ]
    rows = [[message(f"learn.gradient_descent.{name}"), *row] for name, row in zip(rates, rows, strict=True)]
    words = [
        "learn.rate_word",
        "learn.gradient_descent.first_step",
        "learn.gradient_descent.last_step",
        "learn.loss_word",
    ]
    table = Table(["", *(message(word) for word in words)], rows)
    return Section(message("learn.gradient_descent.rate"), [message("learn.gradient_descent.rate_line")], table)


def _figure(key: str, curve: LossCurve, walks: dict[str, Walk], prefix: str, *, columns: int = 2) -> Figure:
    panels = [_panel(curve, walk, message(f"{prefix}{name}")) for name, walk in walks.items()]
    return Figure(panels, message(key), message("learn.gradient_descent.note"), columns=columns)


def _panel(curve: LossCurve, walk: Walk, title: str) -> Panel:
    """The curve, and the walk down it as arrows from point to point."""
    low = min(curve.low, min(p.weight for p in walk)) - 0.2
    high = max(curve.high, max(p.weight for p in walk)) + 0.2
    weights = np.linspace(low, high, 300)
    losses = [curve.loss(float(w)) for w in weights]
    top = max(max(p.loss for p in walk), max(losses[60:240])) * 1.15
    marks: list[Mark] = [Line(weights, losses, colour="secondary", dash=())]
    marks += [
        Arrow(a.weight, a.loss, b.weight, b.loss, colour="validation", dash=(), width=1.2) for a, b in pairwise(walk)
    ]
    marks.append(Points([p.weight for p in walk], [p.loss for p in walk], colour="train"))
    marks.append(Points([walk[0].weight], [walk[0].loss], message("learn.start"), "1", "square", 6))
    marks.append(Points([walk[-1].weight], [walk[-1].loss], message("learn.end"), "2", "diamond", 6))
    axes = Axis(message("learn.weight"), low, high), Axis(message("learn.loss_word"), min(0.0, min(losses)), top)
    return Panel(marks, title, *axes, width=320, height=200)
