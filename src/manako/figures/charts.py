"""The figures of reports, ready made. Labels come from the catalogue; names of classes and files from the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manako.figures.bars import Bars, Steps
from manako.figures.figure import HIDDEN, Axis, Figure, Panel, names_axis
from manako.figures.grids import Cells, Image
from manako.figures.marks import Line, Mark, Numbers, Rule, Text
from manako.figures.scales import minus, nice_ticks, tick_texts
from manako.messages import message


def learning_curves(
    epochs: Numbers,
    curves: Mapping[str, tuple[Numbers, Numbers]],
    *,
    title: str = "",
    best: float | None = None,
    note: str = "",
    log: bool = False,
) -> Figure:
    """One panel a quantity: `curves` maps its label to the values of training and of validation.

    Each column has a value an epoch (NaN where there is none) or is empty. `best` marks an epoch.
    """
    panels = []
    for label, (train, validation) in curves.items():
        marks: list[Mark] = []
        if best is not None:
            marks.append(Rule(best, label=message("figures.best_epoch", epoch=f"{best:g}")))
        if len(train):
            marks.append(Line(epochs, train, message("figures.train"), "train", marker=_few(epochs)))
        if len(validation):
            marks.append(Line(epochs, validation, message("figures.validation"), "validation", marker=_few(epochs)))
        panels.append(Panel(marks, x=Axis(message("figures.epoch")), y=Axis(label, log=log)))
    return Figure(panels, title, note, columns=2)


def _few(values: Numbers) -> str:
    return "circle" if len(values) < 3 else ""


def confusion_matrix(counts: ArrayLike, names: Sequence[str], *, title: str = "", note: str = "") -> Figure:
    """`counts` (K, K): rows are the truth, columns what was predicted. Colours are fractions of each row."""
    table = np.asarray(counts, np.float64)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = float(np.clip(44 * len(names), 220, 620))
    texts = [[f"{int(value)}" for value in row] for row in table]
    cells = Cells(share, texts, low=0, high=1, name=message("figures.share_of_row"))
    panel = Panel(
        [cells],
        x=names_axis(names, message("figures.predicted")),
        y=names_axis(names, message("figures.truth"), reverse=True),
        width=side,
        height=side,
    )
    return Figure([panel], title, note)


def reliability(
    confidence: Numbers, accuracy: Numbers, counts: Numbers, *, ece: float, title: str = "", note: str = ""
) -> Figure:
    """How far confidence can be believed: per bin, mean confidence (0..1), fraction right (0..1), number of samples."""
    seen = np.asarray(counts, np.float64) > 0
    x, y = np.asarray(confidence, np.float64)[seen], np.asarray(accuracy, np.float64)[seen]
    edge = Axis(message("figures.confidence"), 0, 1)
    top = Panel(
        [
            Line([0, 1], [0, 1], message("figures.perfect"), "secondary", (4, 3), 1.3),
            Line(x, y, message("figures.measured_ece", ece=f"{ece:.3f}"), "train", marker="circle"),
        ],
        x=edge,
        y=Axis(message("figures.accuracy"), 0, 1),
        width=300,
        height=300,
    )
    # Spread the bars by the bins, which are of equal width.
    count = np.asarray(counts, np.float64)
    centres = (np.arange(len(count)) + 0.5) / len(count)
    bottom = Panel(
        [Bars(centres, count, colour="train", width=0.9 / len(count))],
        x=edge,
        y=Axis(message("figures.samples"), low=0),
        width=300,
        height=300,
    )
    return Figure([top, bottom], title, note, columns=2)


def histogram(
    groups: Mapping[str, ArrayLike], *, label: str, bins: int = 30, title: str = "", threshold: float | None = None
) -> Figure:
    """Outlines of the groups' values over common bins; `threshold` marks a value."""
    arrays = {name: np.asarray(values, np.float64) for name, values in groups.items()}
    arrays = {name: values[np.isfinite(values)] for name, values in arrays.items()}
    pool = np.concatenate([*arrays.values(), np.empty(0)])
    edges = np.histogram_bin_edges(pool, bins)
    marks: list[Mark] = [Steps(edges, np.histogram(values, edges)[0], name) for name, values in arrays.items()]
    if threshold is not None:
        marks.append(Rule(threshold, label=message("figures.threshold", value=f"{threshold:.4g}")))
    panel = Panel(marks, x=Axis(label), y=Axis(message("figures.count"), low=0), legend=len(marks) > 1, width=420)
    return Figure([panel], title)


def bar_chart(
    names: Sequence[str],
    values: Numbers,
    *,
    label: str,
    low: Numbers = (),
    high: Numbers = (),
    decimals: int = 2,
    limit: float | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Lying bars, the first on top; `low` and `high` are ends of intervals, `limit` is the axis' end."""
    places = np.arange(len(names), dtype=np.float64)
    numbers = np.asarray(values, np.float64)
    end = limit if limit is not None else float(max(numbers.max(initial=0), np.max(np.asarray(high), initial=0))) or 1.0
    start = min(float(numbers.min(initial=0)), 0.0)
    marks: list[Mark] = [Bars(places, values, colour="train", width=0.62, lying=True, low=low, high=high)]
    room = 0.16 * (end - start)  # for the numbers, in a column of their own
    marks += [
        Text(end + room, place, minus(f"{value:.{decimals}f}"), anchor="end")
        for place, value in zip(places.tolist(), numbers.tolist(), strict=True)
    ]
    ticks = nice_ticks(start, end, 5)
    panel = Panel(
        marks,
        x=Axis(label, start, end + room, ticks=list(zip(ticks, tick_texts(ticks), strict=True))),
        y=names_axis(names, reverse=True),
        width=400,
        height=max(60.0, 26.0 * len(names)),
    )
    return Figure([panel], title, note)


def gallery(
    images: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    *,
    columns: int = 6,
    side: float = 110,
    title: str = "",
    note: str = "",
) -> Figure:
    """Pictures, (H, W) or (H, W, 3) uint8, each with a caption; they keep their shape within `side` x `side`."""
    panels = []
    for image, caption in zip(images, captions, strict=True):
        height, width = image.shape[:2]
        shrink = side / max(height, width)
        panels.append(
            Panel(
                [Image(image)],
                x=HIDDEN,
                y=Axis(hidden=True, reverse=True),
                width=max(width * shrink, 24),
                height=max(height * shrink, 24),
                caption=caption,
            )
        )
    return Figure(panels, title, note, columns=columns)
