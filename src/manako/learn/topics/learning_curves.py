"""Learning curves: loss by epoch on training and on held-out data, and what they say."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Line, Mark, Panel, Rule
from manako.learn.experiments import EXPERIMENTS, Outcome, run
from manako.learn.lesson import Lesson, Section, Table, number
from manako.messages import message

TITLE = "learn.learning_curves.title"
ORDER = 100


def play(seed: int = 0) -> Lesson:
    outcomes = {name: run(name, seed=seed) for name in EXPERIMENTS}
    stages = {name: outcome for name, outcome in outcomes.items() if EXPERIMENTS[name].mends is None}
    mends = {name: outcome for name, outcome in outcomes.items() if EXPERIMENTS[name].mends is not None}
    figures = {"readings": _figure("readings", stages)}
    sections = [_section("readings", stages)]
    if mends:
        sections.append(_section("mends", mends))
        figures["mends"] = _figure("mends", mends)
    data = {
        name: {
            "verdict": outcome.reading.verdict.value,
            "since_epoch": outcome.reading.since_epoch,
            "training_loss": outcome.history.curves.training_loss,
            "validation_loss": outcome.history.curves.validation_loss,
        }
        for name, outcome in outcomes.items()
    }
    return Lesson(sections, figures, data)


def _section(key: str, outcomes: dict[str, Outcome]) -> Section:
    rows = []
    for name, outcome in outcomes.items():
        curves = outcome.history.curves
        losses = [number(curves.training_loss[-1]), number(outcome.lowest), number(curves.validation_loss[-1])]
        rows.append([_name(name), str(outcome.history.epochs), *losses, str(outcome.reading)])
    words = ["experiment", "epochs", "training", "lowest", "validation", "reading"]
    table = Table([message(f"learn.learning_curves.{word}") for word in words], rows)
    return Section(message(f"learn.learning_curves.{key}"), [message(f"learn.learning_curves.{key}_line")], table)


def _name(experiment: str) -> str:
    return message(f"learn.learning_curves.{experiment}")


def _figure(key: str, outcomes: dict[str, Outcome]) -> Figure:
    panels = [_panel(name, outcome) for name, outcome in outcomes.items()]
    return Figure(panels, message(f"learn.learning_curves.{key}"), columns=2)


def _panel(name: str, outcome: Outcome) -> Panel:
    curves = outcome.history.curves
    epochs = np.arange(1, outcome.history.epochs + 1)
    marks: list[Mark] = [
        Line(epochs, curves.training_loss, message("figures.train"), "train"),
        Line(epochs, curves.validation_loss, message("figures.validation"), "validation"),
    ]
    since = outcome.reading.since_epoch
    if since is not None:
        marks.append(Rule(since, label=message("learn.learning_curves.since", epoch=since)))
    top = max(curves.training_loss[0], curves.validation_loss[0], max(curves.validation_loss[2:], default=0)) * 1.05
    axes = Axis(message("figures.epoch")), Axis(message("learn.loss_word"), 0, top)
    return Panel(marks, _name(name), *axes, width=320, height=190, caption=str(outcome.reading))
