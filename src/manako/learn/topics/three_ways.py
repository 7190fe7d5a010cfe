"""Three ways to learn: after every datum, after a few, after all; measured on this machine."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Bars, Figure, Line, Panel, Rule, names_axis
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.ways_to_learn import Comparison, Way, compare
from manako.messages import message

TITLE = "learn.three_ways.title"
ORDER = 90


def play(seed: int = 0) -> Lesson:
    comparison = compare(seed=seed)
    figures = {"losses": _losses(comparison), "measured": _bars(comparison)}
    data = {
        way.name: {key: value for key, value in vars(way).items() if key != "step_losses"} for way in comparison.ways
    }
    sections = [_costs(comparison), _data(comparison)]
    return Lesson(
        sections, figures, {"samples": comparison.samples, "target_loss": comparison.target_loss, "ways": data}
    )


def _name(way: Way) -> str:
    return message(f"learn.three_ways.{way.name}")


def _costs(comparison: Comparison) -> Section:
    rows = [
        [
            _name(way), str(way.batch_size), str(way.steps_per_epoch), number(way.peak_bytes / 1024, 0),
            number(way.loss_variance, 5), number(way.seconds_per_epoch * 1000, 1), _maybe(way.epochs_to_target, 0),
            _maybe(way.seconds_to_target, 2),
        ]
        for way in comparison.ways
    ]  # fmt: skip
    words = ["way", "data_a_step", "steps_an_epoch", "memory", "variance", "time", "epochs", "seconds"]
    facts = {"samples": comparison.samples, "target": comparison.target_loss}
    lines = [message("learn.three_ways.measured", **facts), message("learn.three_ways.steps")]
    table = Table([message(f"learn.three_ways.{word}", **facts) for word in words], rows)
    return Section(message("learn.three_ways.cost"), lines, table)


def _maybe(value: float | None, decimals: int) -> str:
    return "–" if value is None else number(value, decimals)


def _data(comparison: Comparison) -> Section:
    orders = list(comparison.ways[0].accuracy_by_order)
    rows = [
        [
            _name(way), *(number(way.accuracy_by_order[order], 3) for order in orders),
            number(way.accuracy_before_new_data, 3), number(way.accuracy_after_new_data, 3),
        ]
        for way in comparison.ways
    ]  # fmt: skip
    words = ["way", *orders, "before_new", "after_new"]
    lines = [message("learn.three_ways.order_line"), message("learn.three_ways.new_line")]
    table = Table([message(f"learn.three_ways.{word}") for word in words], rows)
    return Section(message("learn.three_ways.data"), lines, table)


def _losses(comparison: Comparison) -> Figure:
    panels = []
    for way in comparison.ways:
        steps = np.arange(1, len(way.step_losses) + 1)
        marks = [
            Line(steps, np.maximum(way.step_losses, 1e-4), colour="train", width=1.2),
            Rule(comparison.target_loss, "horizontal", message("learn.three_ways.target")),
        ]
        axes = Axis(message("learn.step")), Axis(message("learn.loss_word"), 1e-3, 10, log=True)
        panels.append(Panel(marks, _name(way), *axes, width=270, height=200))
    return Figure(panels, message("learn.three_ways.losses"), message("learn.three_ways.losses_note"))


def _bars(comparison: Comparison) -> Figure:
    names = [_name(way) for way in comparison.ways]
    columns = {
        "memory": [way.peak_bytes / 1024 for way in comparison.ways],
        "variance": [way.loss_variance for way in comparison.ways],
        "time": [way.seconds_per_epoch * 1000 for way in comparison.ways],
        "epochs": [float(way.epochs_to_target or np.nan) for way in comparison.ways],
    }
    panels = []
    for word, values in columns.items():
        texts = [number(value, 5 if word == "variance" else 1 if word == "time" else 0) for value in values]
        bars = Bars(np.arange(3.0), values, texts=texts, colour="train", width=0.6)
        title = message(f"learn.three_ways.{word}", target=comparison.target_loss)
        panels.append(Panel([bars], title, names_axis(names), Axis(low=0), width=270, height=150))
    return Figure(panels, message("learn.three_ways.cost"), columns=2)
