"""k-means: assign every datum to the nearest centre, move every centre to the mean of its data, again."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Line, Panel, Points
from manako.learn.digits import digits
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.neighbours.k_means import Step, find, nearest, start
from manako.learn.panels import picture, plane
from manako.messages import message

TITLE = "learn.k_means.title"
ORDER = 220

CENTRES = np.array([[0.0, 0.0], [3.5, 0.5], [1.6, 3.0]])


def play(seed: int = 0) -> Lesson:
    rng = np.random.default_rng(seed)
    x = CENTRES[np.repeat(np.arange(3), 30)] + rng.normal(0, 0.7, (90, 2))
    steps = find(x, x[[0, 1, 2]])  # a poor start, all in one cloud
    by_k = {k: min(find(x, start(x, k, rng))[-1].inertia for _ in range(5)) for k in range(1, 8)}
    rows = [[str(i), number(s.inertia, 2), " ".join(numbers(c, 1) for c in s.centres)] for i, s in enumerate(steps)]
    head = [message("learn.step"), message("learn.k_means.inertia"), message("learn.k_means.centres")]
    sections = [
        Section(message("learn.k_means.steps"), [message("learn.k_means.idea")], Table(head, rows)),
        _digits(seed)[0],
    ]
    figures = {"steps": _steps(x, steps), "elbow": _elbow(steps, by_k), "digits": _digits(seed)[1]}
    return Lesson(
        sections, figures, {"inertia": [s.inertia for s in steps], "by_k": {str(k): v for k, v in by_k.items()}}
    )


def _steps(x: Array, steps: tuple[Step, ...]) -> Figure:
    names = [message("learn.k_means.cluster", number=i + 1) for i in range(3)]
    shown = sorted({0, 1, 2, len(steps) // 2, len(steps) - 1} & set(range(len(steps))))[:6]
    panels = []
    for index in shown:
        step = steps[index]
        centres = Points(step.centres[:, 0], step.centres[:, 1], message("learn.k_means.centres"), "text", "cross", 9)
        panels.append(
            plane(
                nearest(step.centres), x, step.cluster, names,
                title=message("learn.k_means.step", step=index, inertia=number(step.inertia, 1)),
                more=[centres], size=220,
            )
        )  # fmt: skip
    return Figure(panels, message("learn.k_means.steps"))


def _elbow(steps: tuple[Step, ...], by_k: dict[int, float]) -> Figure:
    inertia = [Line(range(len(steps)), [s.inertia for s in steps], marker="circle")]
    falls = Panel(
        inertia, message("learn.k_means.falls"), Axis(message("learn.step")), Axis(message("learn.k_means.inertia"), 0)
    )
    elbow = Panel(
        [Line(list(by_k), list(by_k.values()), marker="circle")],
        message("learn.k_means.elbow"),
        Axis("k"),
        Axis(message("learn.k_means.inertia"), 0),
    )
    return Figure([falls, elbow], columns=2)


def _digits(seed: int) -> tuple[Section, Figure]:
    """Ten clusters of the digits, without labels; how pure they are is judged by the labels afterwards."""
    data = digits(seed=seed)
    x, _ = data.rows()
    step = min((find(x, start(x, 10, np.random.default_rng(seed + i)))[-1] for i in range(3)), key=lambda s: s.inertia)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (step.cluster, data.labels), 1)
    purity = counts.max(1).sum() / len(x)
    panels = [
        picture(centre.reshape(8, 8), side=72, caption=f"{counts[i].argmax()}: {counts[i].max()}/{counts[i].sum()}")
        for i, centre in enumerate(step.centres)
    ]
    line = message("learn.k_means.digits_line", purity=number(100 * purity, 1))
    figure = Figure(panels, message("learn.k_means.digits"), message("learn.k_means.digits_note"), columns=5)
    return Section(message("learn.k_means.digits"), [line]), figure
