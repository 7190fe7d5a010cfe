"""Panels that several topics use: a plane cut into classes, an array as a table, a small grey picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from manako.figures import HIDDEN, Axis, Cells, Heatmap, Image, Mark, Panel, Points
from manako.learn.layer import Array, Integers

FINE = 160  # samples along each side of a plane


def plane(
    predict: Callable[[Array], Integers],
    points: Array,
    labels: Integers,
    names: Sequence[str],
    *,
    title: str,
    axes: tuple[str, str] = ("x₁", "x₂"),
    margin: float = 0.5,
    size: float = 250,
    more: Sequence[Mark] = (),
    caption: str = "",
) -> Panel:
    """Which class `predict` gives ((N, 2) -> (N,)) to each place around the `points` (N, 2) of `labels` (N,)."""
    low, high = points.min(0) - margin, points.max(0) + margin
    across, up = np.linspace(low[0], high[0], FINE), np.linspace(low[1], high[1], FINE)
    everywhere = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    classes = np.asarray(predict(everywhere), np.float64).reshape(FINE, FINE)
    marks: list[Mark] = [Heatmap(classes, "classes", (low[0], high[0], low[1], high[1]))]
    for index, name in enumerate(names):
        chosen = points[labels == index]
        marks.append(Points(chosen[:, 0], chosen[:, 1], name, colour=str(index % 6 + 1), size=5))
    across_axis, up_axis = Axis(axes[0], low[0], high[0]), Axis(axes[1], low[1], high[1])
    return Panel([*marks, *more], title, across_axis, up_axis, width=size, height=size, caption=caption)


def table(
    values: Array,
    title: str = "",
    *,
    decimals: int = 0,
    kind: str = "shade",
    cell: float = 38,
    outlined: Sequence[tuple[int, int]] = (),
    caption: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Panel:
    """A matrix (R, C) with its numbers, row 0 on top."""
    rows, columns = values.shape
    signed = kind == "signed"
    cells = Cells(
        values, kind="signed" if signed else "shade", decimals=decimals, outlined=outlined, low=low, high=high
    )
    return Panel(
        [cells], title, HIDDEN, Axis(hidden=True, reverse=True), columns * cell, rows * cell * 0.9, caption=caption
    )


def picture(values: Array, title: str = "", *, side: float = 96, caption: str = "", kind: str = "grey") -> Panel:
    """An image (H, W): "grey" from its smallest to its largest value, or "signed" with 0 in the middle."""
    height, width = values.shape
    shrink = side / max(height, width)
    if kind == "signed":
        mark: Mark = Heatmap(values, "signed", scale=False)
    else:
        span = values.max() - values.min()
        mark = Image(np.asarray((values - values.min()) / (span or 1) * 255, np.uint8))
    upright = Axis(hidden=True, reverse=True)
    return Panel([mark], title, HIDDEN, upright, width * shrink, height * shrink, caption=caption)
