"""The figures of a pose evaluation: which points are placed badly, and how badly."""

from __future__ import annotations

from collections.abc import Sequence

from manako.figures import Axis, Figure, Line, Panel, bar_chart
from manako.figures.colours import class_style
from manako.figures.marks import Rule
from manako.figures.words import shorten
from manako.messages import message
from manako.metrics.poses import NEAR
from manako.types import Evaluation

SHOWN = 30  # points in a chart of one bar each
CURVES = 6  # points with a curve of their own


def pose_figures(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
    """Name of the file -> figure; none where nothing is labelled."""
    if not evaluation.per_class:
        return {"per_point": bar_chart([], [], label=message("pose.pixels"), title=message("pose.per_point"))}
    return {"per_point": _per_point(evaluation), "within": _within(evaluation, classes)}


def _per_point(evaluation: Evaluation) -> Figure:
    """Mean distance of each point, the largest first."""
    found = sorted(evaluation.per_class.items(), key=lambda item: -item[1]["pixel_error"])[:SHOWN]
    names = [shorten(name, 11, 120) for name, _ in found]
    values = [row["pixel_error"] for _, row in found]
    return bar_chart(names, values, label=message("pose.pixels"), decimals=1, title=message("pose.per_point"))


def _within(evaluation: Evaluation, classes: Sequence[str]) -> Figure:
    """The share of each point's labels that were found within a distance."""
    table = evaluation.tables["within"]
    worst = sorted(evaluation.per_class, key=lambda name: -evaluation.per_class[name]["pixel_error"])[:CURVES]
    marks: list[Line | Rule] = [Rule(NEAR, label="PCK")]
    for place, name in enumerate(worst):
        colour, dash, _ = class_style(place)
        marks.append(Line(table[:, 0], table[:, 1 + list(classes).index(name)], shorten(name, 11, 120), colour, dash))
    panel = Panel(
        marks,
        x=Axis(message("pose.distance"), 0, float(table[-1, 0])),
        y=Axis(message("pose.share"), 0, 1),
        width=420,
    )
    return Figure([panel], message("pose.within"))
