"""Support vector machine: the widest gap between two classes, straight or, with a kernel, curved."""

from __future__ import annotations

import numpy as np

from manako.figures import Figure, Line, Mark, Points
from manako.learn.layer import Array, Integers
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.neighbours.support_vectors import Machine, separate
from manako.learn.panels import plane
from manako.messages import message

TITLE = "learn.svm.title"
ORDER = 210

SOFTNESS = (0.05, 1.0, 100.0)


def clouds(rng: np.random.Generator) -> tuple[Array, Integers]:
    """Two clouds that just touch, 30 data each."""
    labels = np.repeat([0, 1], 30)
    centres = np.array([[0.0, 0.0], [2.2, 1.6]])
    return centres[labels] + rng.normal(0, 0.65, (60, 2)), labels


def rings(rng: np.random.Generator) -> tuple[Array, Integers]:
    """A cloud inside a ring: no line separates them."""
    angle, labels = rng.uniform(0, 2 * np.pi, 80), np.repeat([0, 1], 40)
    radius = np.where(labels == 0, rng.uniform(0, 0.9, 80), rng.uniform(1.4, 2.2, 80))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), labels


def play(seed: int = 0) -> Lesson:
    rng = np.random.default_rng(seed)
    (x, labels), (round_x, round_labels) = clouds(rng), rings(rng)
    machines = {c: separate(x, labels, softness=c) for c in SOFTNESS}
    straight, curved = separate(round_x, round_labels), separate(round_x, round_labels, kernel="rbf")
    rows = [
        [number(c, 2), number(m.gap), str(len(m.chosen)), str(int((m.predict(x) != labels).sum()))]
        for c, m in machines.items()
    ]
    words = ["softness", "gap", "vectors", "mistakes"]
    right = {
        name: float((m.predict(round_x) == round_labels).mean()) for name, m in (("line", straight), ("rbf", curved))
    }
    facts = {name: number(100 * value, 0) for name, value in right.items()}
    sections = [
        Section(
            message("learn.svm.gap_title"),
            [message("learn.svm.idea"), message("learn.svm.soft")],
            Table([message(f"learn.svm.{word}") for word in words], rows),
        ),
        Section(message("learn.svm.kernel_title"), [message("learn.svm.kernel", **facts)]),
    ]
    figures = {"gap": _gaps(x, labels, machines), "kernel": _kernels(round_x, round_labels, straight, curved)}
    data = {
        "gap": {str(c): m.gap for c, m in machines.items()},
        "support_vectors": {str(c): m.chosen for c, m in machines.items()},
        "accuracy_on_rings": right,
    }
    return Lesson(sections, figures, data)


def _names() -> list[str]:
    return [message("learn.class_of", name=0), message("learn.class_of", name=1)]


def _gaps(x: Array, labels: Integers, machines: dict[float, Machine]) -> Figure:
    panels = [
        plane(m.predict, x, labels, _names(), title=f"C = {c:g}", more=[*_edges(m, x), _circles(m)], size=240)
        for c, m in machines.items()
    ]
    return Figure(panels, message("learn.svm.gap_title"), message("learn.svm.note"))


def _circles(machine: Machine) -> Mark:
    vectors = machine.vectors
    return Points(vectors[:, 0], vectors[:, 1], message("learn.svm.support"), "text", "ring", 9)


def _edges(machine: Machine, x: Array) -> list[Mark]:
    """The lines where the decision is -1, 0 and 1."""
    w = machine.weights @ machine.vectors
    across = np.array([x[:, 0].min() - 0.5, x[:, 0].max() + 0.5])
    return [
        Line(across, (level - machine.offset - w[0] * across) / w[1], "", "text", () if level == 0 else (4, 3), 1.5)
        for level in (-1, 0, 1)
    ]


def _kernels(x: Array, labels: Integers, straight: Machine, curved: Machine) -> Figure:
    panels = [
        plane(m.predict, x, labels, _names(), title=message(f"learn.svm.{name}"), more=[_circles(m)])
        for name, m in (("linear", straight), ("rbf", curved))
    ]
    return Figure(panels, message("learn.svm.kernel_title"), columns=2)
