"""Decision tree: questions about one number at a time; grown too far, it learns the noise by heart."""

from __future__ import annotations

import numpy as np

from manako.figures import HIDDEN, Axis, Edge, Figure, Graph, Line, Panel
from manako.figures import Node as Circle
from manako.learn.digits import digits
from manako.learn.layer import Array, Integers
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.neighbours.decision_tree import Tree, gini, grow
from manako.learn.panels import plane
from manako.messages import message

TITLE = "learn.decision_tree.title"
ORDER = 200

DEPTHS = (1, 2, 3, 4, 6, 8, 10, 14)


def groups(rng: np.random.Generator) -> tuple[Array, Integers]:
    """Three overlapping clouds in a plane, 40 data each."""
    centres = np.array([[1.0, 1.0], [3.0, 1.4], [1.8, 3.2]])
    labels = np.repeat(np.arange(3), 40)
    return centres[labels] + rng.normal(0, 0.6, (120, 2)), labels


def play(seed: int = 0) -> Lesson:
    x, labels = groups(np.random.default_rng(seed))
    small, full = grow(x, labels, depth=2, seed=seed), grow(x, labels, seed=seed)
    by_depth = _by_depth(seed)
    figures = {"tree": _tree(small), "regions": _regions(x, labels, small, full), "depth": _depth(by_depth)}
    data = {
        "impurities": [node.impurity for node in small.nodes],
        "depth": full.depth,
        "digits": {str(depth): {"training": a, "held_out": b} for depth, (a, b) in by_depth.items()},
    }
    return Lesson([_questions(small), _digits(by_depth)], figures, data)


def _questions(tree: Tree) -> Section:
    rows = []
    for index, node in enumerate(tree.nodes):
        question = "–" if node.is_leaf else f"x{node.feature + 1} ≤ {number(node.threshold, 2)} ?"
        counts = " / ".join(map(str, node.counts))
        rows.append([str(index), question, counts, number(gini(node.counts)), number(node.impurity)])
    words = ["node", "question", "counts", "gini", "gini_there"]
    table = Table([message(f"learn.decision_tree.{word}") for word in words], rows)
    lines = [message("learn.decision_tree.idea"), message("learn.decision_tree.impurity")]
    return Section(message("learn.decision_tree.questions"), lines, table)


def _by_depth(seed: int) -> dict[int, tuple[float, float]]:
    data = digits(seed=seed)
    x, held_out = data.rows()
    scores = {}
    for depth in DEPTHS:
        tree = grow(x, data.labels, depth=depth, seed=seed)
        right = float((tree.predict(x) == data.labels).mean())
        scores[depth] = (right, float((tree.predict(held_out) == data.held_out_labels).mean()))
    return scores


def _digits(by_depth: dict[int, tuple[float, float]]) -> Section:
    rows = [[str(depth), number(a), number(b)] for depth, (a, b) in by_depth.items()]
    head = [message("learn.decision_tree.depth"), message("figures.train"), message("figures.validation")]
    return Section(message("learn.decision_tree.digits"), [message("learn.decision_tree.by_heart")], Table(head, rows))


def _tree(tree: Tree) -> Figure:
    places = {0: (0.5, 0.0, 0.25)}
    edges = []
    for index, node in enumerate(tree.nodes):
        if not node.is_leaf:
            x, y, width = places[index]
            places[node.left], places[node.right] = (x - width, y - 1, width / 2), (x + width, y - 1, width / 2)
            edges.append(Edge(index, node.left, message("learn.decision_tree.yes")))
            edges.append(Edge(index, node.right, message("learn.decision_tree.no")))
    circles = []
    for index, node in enumerate(tree.nodes):
        counts = " / ".join(map(str, node.counts))
        question = message("learn.class_of", name=int(node.counts.argmax()))
        if not node.is_leaf:
            question = f"x{node.feature + 1} ≤ {number(node.threshold, 2)} ?"
        colour = str(int(node.counts.argmax()) + 1) if node.is_leaf else "raised"
        circles.append(Circle(places[index][0], places[index][1], f"{question}\n{counts}", "", colour, "box", 22))
    panel = Panel([Graph(circles, edges)], "", Axis(hidden=True, low=-0.15, high=1.15), HIDDEN, width=560, height=260)
    low = Axis(hidden=True, low=-2.35, high=0.35)
    panel = Panel(panel.marks, "", panel.x, low, width=560, height=280)
    return Figure([panel], message("learn.decision_tree.questions"), message("learn.decision_tree.note"))


def _regions(x: Array, labels: Integers, small: Tree, full: Tree) -> Figure:
    names = [message("learn.class_of", name=i) for i in range(3)]
    titles = [message("learn.decision_tree.of_depth", depth=tree.depth) for tree in (small, full)]
    panels = [
        plane(tree.predict, x, labels, names, title=title) for tree, title in zip((small, full), titles, strict=True)
    ]
    return Figure(panels, message("learn.decision_tree.regions"))


def _depth(by_depth: dict[int, tuple[float, float]]) -> Figure:
    depths = list(by_depth)
    lines = [
        Line(depths, [a for a, _ in by_depth.values()], message("figures.train"), "train", marker="circle"),
        Line(depths, [b for _, b in by_depth.values()], message("figures.validation"), "validation", marker="triangle"),
    ]
    axes = Axis(message("learn.decision_tree.depth")), Axis(message("figures.accuracy"), 0, 1)
    return Figure([Panel(lines, message("learn.decision_tree.digits"), *axes)])
