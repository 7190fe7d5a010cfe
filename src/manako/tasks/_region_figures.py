"""Figures of a segmentation's report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manako.figures import Figure, bar_chart, confusion_matrix, histogram
from manako.messages import message
from manako.types import Evaluation

MOST_CLASSES = 20  # of which a table can still be read


def region_figures(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
    """Confusion of pixels, IoU of each class, Dice of each image."""
    rows = {name: row["iou"] for name, row in evaluation.per_class.items() if "iou" in row}
    order = sorted(rows, key=lambda name: rows[name])[:MOST_CLASSES]
    figures = {
        "per_class": bar_chart(
            order, [rows[name] for name in order], label=message("metric.iou"), decimals=3, limit=1.0,
            title=message("segmentation.figure.per_class"),
        ),
    }  # fmt: skip
    if len(classes) <= MOST_CLASSES:
        share = evaluation.tables["confusion"]
        whole = np.maximum(share.sum(), 1)
        figures["confusion"] = confusion_matrix(
            np.round(share / whole * 10_000), classes, title=message("segmentation.figure.confusion")
        )
    dice = evaluation.tables["dice"][:, 0]
    if np.isfinite(dice).any():
        low, high = evaluation.tables["dice_interval"][0].tolist()
        figures["dice"] = histogram(
            {message("segmentation.figure.images"): dice},
            label=message("segmentation.figure.dice", value=evaluation.metrics["dice"], low=low, high=high),
            bins=20,
            title=message("segmentation.figure.each_image"),
        )
    return figures
