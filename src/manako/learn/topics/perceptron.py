"""Perceptron: one decision with every number in it; the rule learns "and", and can't learn "exclusive or"."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Edge, Figure, Graph, Line, Node, Panel
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.panels import plane
from manako.learn.perceptron import Firing, Learning, Perceptron, learn
from manako.messages import message

TITLE = "learn.perceptron.title"
ORDER = 10

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
LABELS = {"and": np.array([0, 0, 0, 1]), "or": np.array([0, 1, 1, 1]), "xor": np.array([0, 1, 1, 0])}


def play(seed: int = 0) -> Lesson:
    firing = Perceptron([0.1, 0.7, 0.2], 3.0).fire([5, 2, 3])
    learned = {name: learn(CORNERS, labels, epochs=12) for name, labels in LABELS.items()}
    return Lesson(
        [_decision(firing), *(_learning(name, learned[name]) for name in LABELS)],
        {"decision": _graph(firing), "boundaries": _boundaries(learned)},
        {
            "inputs": firing.inputs,
            "weights": firing.weights,
            "products": firing.products,
            "sum": firing.total,
            "threshold": firing.threshold,
            "output": firing.output,
            "mistakes": {name: result.mistakes for name, result in learned.items()},
            "converged": {name: result.converged for name, result in learned.items()},
        },
    )


def _decision(firing: Firing) -> Section:
    rows = [
        [f"x{i}", number(x, 1), number(w, 1), number(p, 2)]
        for i, (x, w, p) in enumerate(zip(firing.inputs, firing.weights, firing.products, strict=True), start=1)
    ]
    head = [message("learn.input"), message("learn.value"), message("learn.weight"), message("learn.product")]
    facts = {"total": number(firing.total, 1), "threshold": number(firing.threshold, 1), "output": firing.output}
    verdict = "learn.perceptron.fires" if firing.output else "learn.perceptron.silent"
    lines = [message("learn.perceptron.rule"), message(verdict, **facts)]
    return Section(message("learn.perceptron.decision"), lines, Table(head, rows))


def _learning(name: str, result: Learning) -> Section:
    facts = {
        "epochs": len(result.mistakes),
        "corrections": len(result.updates),
        "weights": numbers(result.perceptron.weights, 1),
        "threshold": number(result.perceptron.threshold, 1),
    }
    outcome = "learn.perceptron.converged" if result.converged else "learn.perceptron.never"
    head = [message("learn.epoch"), message("learn.index"), message("learn.output"), message("learn.label")]
    rows = [
        [str(u.epoch), numbers(CORNERS[u.index], 0), str(u.output), str(u.label), numbers(u.weights, 0)]
        for u in result.updates[:4]
    ]
    table = Table([*head, message("learn.perceptron.new_weights")], rows)
    title = message("learn.perceptron.learns", gate=name.upper())
    return Section(title, [message("learn.perceptron.learning_rule"), message(outcome, **facts)], table)


def _graph(firing: Firing) -> Figure:
    count = len(firing.inputs)
    nodes = [Node(0, -i, f"x{i + 1}\n{x:g}") for i, x in enumerate(firing.inputs)]
    nodes.append(Node(1.2, -1, number(firing.total, 1), message("learn.perceptron.sum"), size=28))
    colour = "3" if firing.output else "raised"
    threshold = message("learn.perceptron.threshold", threshold=number(firing.threshold, 1))
    nodes.append(Node(2.4, -1, str(firing.output), threshold, colour, size=28))
    edges = [
        Edge(i, count, f"×{w:g} = {p:g}", at=0.45)
        for i, (w, p) in enumerate(zip(firing.weights, firing.products, strict=True))
    ]
    edges.append(Edge(count, count + 1, "≥ θ ?"))
    limits = Axis(hidden=True, low=-0.3, high=2.75), Axis(hidden=True, low=-2.5, high=0.5)
    panel = Panel([Graph(nodes, edges)], "", *limits, width=520, height=280)
    return Figure([panel], message("learn.perceptron.decision"))


def _boundaries(learned: dict[str, Learning]) -> Figure:
    names = [message("learn.class_of", name=0), message("learn.class_of", name=1)]
    panels = []
    for name, result in learned.items():
        outcome = "learn.perceptron.separated" if result.converged else "learn.perceptron.not_separated"
        caption = message(outcome, epochs=len(result.mistakes))
        panels.append(
            plane(
                result.perceptron.predict, CORNERS, LABELS[name], names, title=name.upper(), caption=caption, size=220
            )
        )
    marks = [
        Line(np.arange(1, len(result.mistakes) + 1), result.mistakes, name.upper(), marker="circle")
        for name, result in learned.items()
    ]
    epochs = Axis(message("figures.epoch"), low=0.5, high=12.5)
    mistakes = Panel(
        marks, message("learn.perceptron.mistakes"), epochs, Axis(message("figures.count"), low=0), 220, 220
    )
    return Figure([*panels, mistakes], message("learn.perceptron.boundaries"), columns=4)
