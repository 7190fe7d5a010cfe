"""The figures of an anomaly detector's evaluation: can the scores be told apart, and which defects are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manako.figures import Figure, bar_chart, histogram
from manako.messages import message
from manako.types import Evaluation


def anomaly_figures(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
    """Name of the file -> figure."""
    scores, defect = evaluation.tables["scores"][:, 0], evaluation.tables["scores"][:, 1] > 0.5
    groups = {name: scores[part] for name, part in zip(classes, (~defect, defect), strict=True) if part.any()}
    title, label = message("anomaly.scores"), message("anomaly.score")
    figures = {"scores": histogram(groups, label=label, title=title, threshold=0.5)}
    if np.isfinite(evaluation.main.value):
        figures["areas"] = _areas(evaluation)
        figures["kinds"] = _kinds(evaluation)
    return figures


def _areas(evaluation: Evaluation) -> Figure:
    """The three areas with their intervals."""
    main, metrics = evaluation.main, evaluation.metrics
    rows = [(main.name, main.value, main.low, main.high)]
    for name in ("pixel_auroc", "aupro"):
        if name in metrics:
            value = metrics[name]
            rows.append((name, value, metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value)))
    names, values, low, high = zip(*rows, strict=True)
    shown = [message(f"metric.{name}") for name in names]
    title = message("anomaly.areas")
    return bar_chart(shown, values, low=low, high=high, label="", limit=1.0, decimals=3, title=title)


def _kinds(evaluation: Evaluation) -> Figure:
    """Each kind of defect, the one that is told apart worst first."""
    rows = sorted((row["image_auroc"], name) for name, row in evaluation.per_class.items())
    return bar_chart(
        [name for _, name in rows],
        [value for value, _ in rows],
        label=message("metric.image_auroc"),
        limit=1.0,
        decimals=3,
        title=message("anomaly.kinds"),
    )
