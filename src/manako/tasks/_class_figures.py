"""The figures of a classifier's evaluation: who is taken for whom, and how far a score can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manako.figures import Axis, Figure, Panel, Steps, bar_chart, confusion_matrix, reliability
from manako.figures.words import shorten
from manako.messages import message
from manako.types import Evaluation

SHOWN = 30  # classes in a chart of one bar each
PAIRS = 12


def class_figures(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
    """Name of the file -> figure. What has nothing to show is left out."""
    figures = {"confusion": _confusion(evaluation, classes)}
    pairs = _pairs(evaluation, classes)
    if pairs:
        figures["confused_pairs"] = pairs
    figures["per_class"] = _per_class(evaluation)
    figures["reliability"] = _reliability(evaluation)
    figures["confidence"] = _confidence(evaluation)
    return figures


def _confusion(evaluation: Evaluation, classes: Sequence[str]) -> Figure:
    title = message("classification.confusion")
    return confusion_matrix(evaluation.tables["confusion"], classes, title=title)


def _pairs(evaluation: Evaluation, classes: Sequence[str]) -> Figure | None:
    """The most frequent confusions by name: what a matrix of a hundred classes can't say."""
    counts = evaluation.tables["confusion"].copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    found = [(*np.unravel_index(i, counts.shape), counts.flat[i]) for i in order if counts.flat[i] > 0]
    if not found:
        return None
    short = [shorten(name, 11, 84) for name in classes]
    names = [f"{short[truth]} → {short[answer]}" for truth, answer, _ in found]
    return bar_chart(
        names,
        [count for _, _, count in found],
        label=message("classification.images"),
        decimals=0,
        title=message("classification.pairs"),
        note=message("classification.pairs_note"),
    )


def _per_class(evaluation: Evaluation) -> Figure:
    """F1 of each class that occurs, the lowest first."""
    occurring = [(name, v["f1"]) for name, v in evaluation.per_class.items() if v["support"] > 0]
    lowest = sorted(occurring, key=lambda item: item[1])[:SHOWN]
    note = ""
    if len(lowest) < len(occurring):
        note = message("classification.lowest_of", shown=len(lowest), all=len(occurring))
    names, values = [name for name, _ in lowest], [value for _, value in lowest]
    return bar_chart(names, values, label="F1", limit=1.0, title=message("classification.per_class"), note=note)


def _reliability(evaluation: Evaluation) -> Figure:
    confidence, share, count = evaluation.tables["reliability"].T
    title = message("classification.reliability")
    return reliability(confidence, share, count, ece=evaluation.metrics["ece"], title=title)


def _confidence(evaluation: Evaluation) -> Figure:
    counts = evaluation.tables["confidence"]
    edges = np.linspace(0, 1, len(counts) + 1)
    panel = Panel(
        [
            Steps(edges, counts[:, 0], message("classification.right"), "train"),
            Steps(edges, counts[:, 1], message("classification.wrong"), "validation", dash=(6, 4)),
        ],
        x=Axis(message("figures.confidence"), 0, 1),
        y=Axis(message("classification.images"), low=0),
        width=420,
    )
    return Figure([panel], message("classification.confidence"))
