"""The figures of found objects: precision against recall, who is taken for whom, what goes wrong, which confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manako.figures import Axis, Figure, Line, Mark, Panel, Rule, bar_chart, confusion_matrix
from manako.figures.words import shorten
from manako.messages import message
from manako.metrics.average_precision import RECALLS
from manako.metrics.box_mistakes import KINDS
from manako.metrics.detection import GRID
from manako.types import Evaluation

CURVES = 6  # classes with a curve of their own
SHOWN = 30  # classes in a chart of one bar each
CELLS = 40  # classes in a matrix


def box_figures(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
    """Name of the file -> figure."""
    figures = {"precision_recall": _precision_recall(evaluation, classes), "confidence": _confidence(evaluation)}
    if len(classes) <= CELLS:
        names = [*classes, message("detection.background")]
        title = message("detection.confusion")
        note = message("detection.confusion_note")
        figures["confusion"] = confusion_matrix(evaluation.tables["confusion"], names, title=title, note=note)
    figures["mistakes"] = bar_chart(
        [message(f"detection.{kind}") for kind in KINDS],
        evaluation.tables["mistakes"],
        label=message("detection.objects"),
        decimals=0,
        title=message("detection.mistakes"),
    )
    if evaluation.per_class:
        figures["per_class"] = _per_class(evaluation)
    return figures


def _precision_recall(evaluation: Evaluation, classes: Sequence[str]) -> Figure:
    table = evaluation.tables["precision"]
    known = [i for i in range(len(classes)) if np.isfinite(table[i]).all()]
    marks: list[Mark] = []
    if len(known) <= CURVES:
        marks += [Line(RECALLS, table[i], shorten(classes[i], 11, 120)) for i in known]
    if known and len(known) != 1:
        mean = message("detection.all_classes")
        marks.append(Line(RECALLS, table[known].mean(axis=0), mean, "text", (), 3))
    panel = Panel(
        marks,
        x=Axis(message("metric.recall"), 0, 1),
        y=Axis(message("metric.precision"), 0, 1.02),
        width=420,
        height=320,
    )
    return Figure([panel], message("detection.precision_recall"), message("detection.precision_recall_note"))


def _confidence(evaluation: Evaluation) -> Figure:
    table = evaluation.tables["f1"]
    seen = np.isfinite(evaluation.tables["precision"]).all(axis=1)
    mean = table[seen].mean(axis=0) if seen.any() else np.zeros(len(GRID))
    used = float(evaluation.tables["confidence"][0])
    marks = [
        Line(GRID, mean, message("detection.all_classes"), "train"),
        Rule(used, label=message("detection.used", value=f"{used:.2f}")),
    ]
    panel = Panel(marks, x=Axis(message("figures.confidence"), 0, 1), y=Axis("F1", 0, 1.02), width=420)
    return Figure([panel], message("detection.confidence"))


def _per_class(evaluation: Evaluation) -> Figure:
    """AP of each class that occurs, the lowest first."""
    ordered = sorted(((name, row["ap"]) for name, row in evaluation.per_class.items()), key=lambda item: item[1])
    lowest = ordered[:SHOWN]
    note = ""
    if len(lowest) < len(ordered):
        note = message("classification.lowest_of", shown=len(lowest), all=len(ordered))
    names, values = [name for name, _ in lowest], [value for _, value in lowest]
    return bar_chart(
        names, values, label=message("metric.ap"), limit=1.0, title=message("detection.per_class"), note=note
    )
