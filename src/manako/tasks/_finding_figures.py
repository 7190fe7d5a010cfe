"""The figures of found text: precision and recall over the score, and how well true regions are covered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manako.figures import Axis, Figure, Line, Panel
from manako.messages import message
from manako.types import Evaluation


def finding_figures(evaluation: Evaluation, grid: NDArray[np.float64]) -> dict[str, Figure]:
    """Name of the file -> figure."""
    return {"confidence": _confidence(evaluation, grid), "overlap": _overlap(evaluation, grid)}


def _confidence(evaluation: Evaluation, grid: NDArray[np.float64]) -> Figure:
    table = evaluation.tables["sweep"]
    marks = [Line(grid, table[:, i], message(f"metric.{name}")) for i, name in enumerate(("precision", "recall"))]
    marks.append(Line(grid, table[:, 2], message("metric.h_mean"), "text", (), 3))
    panel = Panel(marks, x=Axis(message("figures.confidence"), 0, 1), y=Axis("", 0, 1.02), width=420)
    return Figure([panel], message("text_finding.confidence"), message("text_finding.confidence_note"))


def _overlap(evaluation: Evaluation, grid: NDArray[np.float64]) -> Figure:
    best = evaluation.tables["iou"]
    share = [float((best >= limit).mean()) if len(best) else 0.0 for limit in grid]
    marks = [Line(grid, np.array(share), message("text_finding.true_regions"), "train")]
    panel = Panel(marks, x=Axis("IoU", 0, 1), y=Axis(message("text_finding.share"), 0, 1.02), width=420)
    return Figure([panel], message("text_finding.overlap"), message("text_finding.overlap_note"))
