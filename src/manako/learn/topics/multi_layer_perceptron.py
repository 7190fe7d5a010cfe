"""Multi-layer perceptron: two layers of threshold units solve "exclusive or", with weights set by hand."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Edge, Figure, Graph, Node, Panel
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.panels import plane
from manako.learn.perceptron import MultiLayerPerceptron, xor
from manako.messages import message

TITLE = "learn.multi_layer_perceptron.title"
ORDER = 20

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
WANTED = np.array([0, 1, 1, 0])


def play(seed: int = 0) -> Lesson:
    network = xor()
    inputs, hidden, outputs = network.fire(CORNERS)
    units = [message("learn.multi_layer_perceptron.or"), message("learn.multi_layer_perceptron.and")]
    rows = [
        [f"{x[0]:g}", f"{x[1]:g}", f"{h[0]:g}", f"{h[1]:g}", f"{y[0]:g}", str(wanted)]
        for x, h, y, wanted in zip(inputs, hidden, outputs, WANTED, strict=True)
    ]
    right = int((outputs[:, 0] == WANTED).sum())
    section = Section(
        message("learn.multi_layer_perceptron.layers"),
        [message("learn.multi_layer_perceptron.idea"), message("learn.multi_layer_perceptron.right", right=right)],
        Table(["x₁", "x₂", *units, message("learn.output"), "XOR"], rows),
    )
    figures = {"network": _graph(network, units), "spaces": _spaces(network, hidden)}
    return Lesson([section], figures, {"inputs": inputs, "hidden": hidden, "outputs": outputs[:, 0], "right": right})


def _graph(network: MultiLayerPerceptron, units: list[str]) -> Figure:
    (w1, t1), (w2, t2) = network.layers
    nodes = [Node(0, 1, "x₁"), Node(0, 0, "x₂")]
    nodes += [
        Node(1, 1 - i, unit, f"θ = {number(t, 1)}", size=26) for i, (unit, t) in enumerate(zip(units, t1, strict=True))
    ]
    nodes.append(Node(2, 0.5, "XOR", f"θ = {number(t2[0], 1)}", size=26))
    edges = [Edge(i, 2 + j, number(w1[j, i], 0), at=0.28, colour=_sign(w1[j, i])) for i in range(2) for j in range(2)]
    edges += [Edge(2 + j, 4, number(w2[0, j], 0), at=0.5, colour=_sign(w2[0, j])) for j in range(2)]
    limits = Axis(hidden=True, low=-0.2, high=2.3), Axis(hidden=True, low=-0.5, high=1.35)
    panel = Panel([Graph(nodes, edges)], "", *limits, width=480, height=260)
    return Figure([panel], message("learn.multi_layer_perceptron.layers"))


def _sign(weight: float) -> str:
    return "positive" if weight > 0 else "negative"


def _spaces(network: MultiLayerPerceptron, hidden: Array) -> Figure:
    names = [message("learn.class_of", name=0), message("learn.class_of", name=1)]
    weights, thresholds = network.layers[1]
    last = MultiLayerPerceptron(((weights, thresholds),))
    return Figure(
        [
            plane(
                network.predict, CORNERS, WANTED, names,
                title=message("learn.multi_layer_perceptron.input_space"),
                caption=message("learn.multi_layer_perceptron.band"),
            ),
            plane(
                last.predict, hidden, WANTED, names,
                title=message("learn.multi_layer_perceptron.hidden_space"),
                axes=(message("learn.multi_layer_perceptron.or"), message("learn.multi_layer_perceptron.and")),
                caption=message("learn.multi_layer_perceptron.line"),
            ),
        ],
        message("learn.multi_layer_perceptron.spaces"),
    )  # fmt: skip
