"""The figures of a reader's evaluation: which characters it takes for others, and how lines of each length fare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manako.figures import Figure, bar_chart
from manako.messages import message
from manako.types import UNKNOWN_CHARACTER, Evaluation

PAIRS = 15
LENGTHS = (1, 5, 10, 20, 40)  # characters: where each group begins


def text_figures(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
    figures = {"by_length": _by_length(evaluation)}
    rows = evaluation.tables["taken_for"][:PAIRS].astype(int).tolist()
    if rows:
        figures["taken_for"] = bar_chart(
            [f"{_name(true, classes)} → {_name(found, classes)}" for true, found, _ in rows],
            [count for _, _, count in rows],
            label=message("ocr.figure.times"),
            decimals=0,
            title=message("ocr.figure.taken_for"),
        )
    return figures


def _name(index: int, classes: Sequence[str]) -> str:
    if index < 0:
        return UNKNOWN_CHARACTER
    return message("ocr.space") if classes[index].isspace() else classes[index]


def _by_length(evaluation: Evaluation) -> Figure:
    """The character error rate of short and of long lines."""
    lines = evaluation.tables["lines"].reshape(-1, 2)
    group = np.searchsorted(LENGTHS, lines[:, 0], side="right") - 1
    names, rates = [], []
    for number in np.unique(group[group >= 0]).tolist():
        length, edits = lines[group == number].sum(0)
        longest = number + 1 == len(LENGTHS)
        names.append(f"≥ {LENGTHS[number]}" if longest else f"{LENGTHS[number]}–{LENGTHS[number + 1] - 1}")
        rates.append(float(edits / length))
    return bar_chart(
        names or ["–"], rates or [0.0], label=message("metric.cer"), decimals=3, title=message("ocr.figure.by_length")
    )
