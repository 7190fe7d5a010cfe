"""Optimisers: the same gradients, used in three ways; and what the learning rate does."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Line, Panel, Rule
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.optimisers import SGD, Adam, Momentum, Optimiser
from manako.learn.surfaces import SURFACES, Walk, walk
from manako.messages import message

TITLE = "learn.optimisers.title"
ORDER = 70

STEPS = 120
RATES = (0.002, 0.02, 0.06, 0.085)  # on the ravine, whose walls bend by 25: beyond 2 / 25 descent flies off


def optimisers() -> dict[str, Optimiser]:
    return {"SGD": SGD(0.03), "Momentum": Momentum(0.03), "Adam": Adam(0.3)}


def play(seed: int = 0) -> Lesson:
    ravine = SURFACES["ravine"]
    walks = {name: walk(ravine, optimiser, steps=STEPS) for name, optimiser in optimisers().items()}
    by_rate = {rate: walk(ravine, SGD(rate), steps=STEPS) for rate in RATES}
    figures = {"losses": _losses(walks, by_rate)}
    data = {
        "final_loss": {name: w.losses[-1] for name, w in walks.items()},
        "by_rate": {str(rate): {"loss": w.losses[-1], "diverged": w.diverged} for rate, w in by_rate.items()},
    }
    return Lesson([_compared(walks), _first_steps(), _rates(by_rate)], figures, data)


def _compared(walks: dict[str, Walk]) -> Section:
    marks = (10, 40, STEPS)
    rows = [[name, *(number(w.losses[step], 4) for step in marks), _reached(w)] for name, w in walks.items()]
    head = [message("learn.optimiser"), *(message("learn.loss_after", steps=step) for step in marks)]
    table = Table([*head, message("learn.optimisers.reached")], rows)
    lines = [message(f"learn.optimisers.{name}") for name in ("sgd", "momentum", "adam")]
    return Section(message("learn.optimisers.compared"), lines, table)


def _reached(way: Walk, below: float = 0.01) -> str:
    """The first step with a loss under `below`, for good."""
    above = np.flatnonzero(way.losses >= below)
    last = int(above[-1]) + 1 if above.size else 0
    return str(last) if last < len(way.losses) else "–"


def _first_steps() -> Section:
    rows = []
    for name, optimiser in optimisers().items():
        place = np.array([-4.0, 1.0])
        for step in range(1, 4):
            gradient = SURFACES["ravine"].gradient(*place)
            added = optimiser.step({"w": place}, {"w": gradient})["w"]
            shown = [number(v, 3) for v in (*gradient, *added)]
            rows.append([name, str(step), *shown])
    head = [message("learn.optimiser"), message("learn.step"), "g₁", "g₂", "Δw₁", "Δw₂"]
    return Section(message("learn.optimisers.first_steps"), [message("learn.optimisers.first_line")], Table(head, rows))


def _rates(by_rate: dict[float, Walk]) -> Section:
    rows = [
        [number(rate), number(way.losses[-1], 4), message(f"learn.optimisers.{_verdict(way)}")]
        for rate, way in by_rate.items()
    ]
    head = [message("learn.rate_word"), message("learn.loss_after", steps=STEPS), ""]
    return Section(message("learn.optimisers.rates"), [message("learn.optimisers.rates_line")], Table(head, rows))


def _verdict(way: Walk) -> str:
    if way.losses[-1] > way.losses[0]:
        return "diverges"
    return "slow" if way.losses[-1] > 0.05 * way.losses[0] else "arrives"


def _losses(walks: dict[str, Walk], by_rate: dict[float, Walk]) -> Figure:
    def panel(ways: dict[str, Walk], title: str) -> Panel:
        lines = [Line(np.arange(len(w.losses)), np.clip(w.losses, 1e-6, 1e6), name) for name, w in ways.items()]
        axes = Axis(message("learn.step")), Axis(message("learn.loss_word"), 1e-5, 1e3, log=True)
        return Panel([*lines, Rule(0.01, "horizontal")], title, *axes)

    named = {f"SGD {rate:g}": way for rate, way in by_rate.items()}
    return Figure(
        [panel(walks, message("learn.optimisers.compared")), panel(named, message("learn.optimisers.rates"))],
        message("learn.optimisers.title"),
        columns=2,
    )
