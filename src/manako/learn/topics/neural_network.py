"""Neural network: forward, difference, back-propagation, with every number of one step."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Edge, Figure, Graph, Node, Panel
from manako.learn.activations import Sigmoid
from manako.learn.dense import Dense
from manako.learn.gradient_check import GradientCheck, check_gradients
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.losses import MeanSquaredError
from manako.learn.network import LayerTrace, Network
from manako.learn.optimisers import SGD
from manako.messages import message

TITLE = "learn.neural_network.title"
ORDER = 50

X = np.array([[0.5, -1.0]])
TARGET = np.array([[1.0]])
RATE = 0.5


def small_network() -> Network:
    """Two inputs, two hidden units, one output; sigmoids; weights that are easy to follow."""
    first, second = Dense(2, 2), Dense(2, 1)
    first.parameters["weight"][...] = [[0.4, -0.6], [0.3, 0.8]]
    first.parameters["bias"][...] = [0.1, -0.2]
    second.parameters["weight"][...] = [[0.7, -0.5]]
    second.parameters["bias"][...] = [0.2]
    return Network([first, Sigmoid(), second, Sigmoid()], MeanSquaredError())


def play(seed: int = 0) -> Lesson:
    network = small_network()
    checks = check_gradients(small_network(), X, TARGET)
    outputs = network.forward(X)
    difference = network.difference(TARGET)
    network.backpropagate()
    trace = network.trace()
    before = {name: value.copy() for name, value in network.parameters().items()}
    figures = {"steps": _figure(trace, difference.loss)}
    updates = SGD(RATE).step(network.parameters(), network.gradients())
    network.forward(X)
    after = network.difference(TARGET).loss
    facts = {"output": number(outputs[0, 0], 4), "target": number(TARGET[0, 0], 0), "loss": number(difference.loss, 4)}
    sections = [
        _pass("learn.neural_network.forward", trace, [message("learn.neural_network.forward_line")], backward=False),
        Section(message("learn.neural_network.difference"), [message("learn.neural_network.difference_line", **facts)]),
        _pass("learn.neural_network.backward", trace, [message("learn.neural_network.backward_line")], backward=True),
        _update(before, updates, difference.loss, after),
        _check(checks),
    ]
    data = {
        "layers": [{"name": t.name, "input": t.input, "output": t.output, "gradient": t.input_gradient} for t in trace],
        "loss": difference.loss, "loss_after": after, "updates": updates,
        "gradient_check": {check.name: check.error for check in checks},
    }  # fmt: skip
    return Lesson(sections, figures, data)


def _pass(key: str, trace: tuple[LayerTrace, ...], lines: list[str], *, backward: bool) -> Section:
    if backward:
        head = [
            message("learn.layer"),
            message("learn.neural_network.arriving"),
            message("learn.neural_network.passed_on"),
        ]
        rows = [[t.name, numbers(t.output_gradient, 4), numbers(t.input_gradient, 4)] for t in reversed(trace)]
    else:
        head = [message("learn.layer"), message("learn.input"), message("learn.output")]
        rows = [[t.name, numbers(t.input, 4), numbers(t.output, 4)] for t in trace]
    return Section(message(key), lines, Table(head, rows))


def _update(before: dict[str, Array], updates: dict[str, Array], loss: float, after: float) -> Section:
    rows = [[name, numbers(w), numbers(updates[name], 4), numbers(w + updates[name])] for name, w in before.items()]
    head = [message("learn.parameter"), message("learn.before"), message("learn.change"), message("learn.after")]
    line = message("learn.neural_network.update", rate=RATE, loss=number(loss, 4), after=number(after, 4))
    return Section(message("learn.neural_network.learn"), [line], Table(head, rows))


def _check(checks: tuple[GradientCheck, ...]) -> Section:
    rows = [[c.name, numbers(c.analytic, 5), numbers(c.numeric, 5), number(c.error)] for c in checks]
    head = [
        message("learn.parameter"),
        message("learn.neural_network.analytic"),
        message("learn.neural_network.numeric"),
    ]
    line = message("learn.neural_network.check_line")
    return Section(message("learn.neural_network.check"), [line], Table([*head, message("learn.error")], rows))


def _figure(trace: tuple[LayerTrace, ...], loss: float) -> Figure:
    dense1, sigmoid1, dense2, sigmoid2 = trace
    return Figure(
        [
            _panel(
                "learn.neural_network.forward", dense1, dense2,
                [dense1.input, sigmoid1.output, sigmoid2.output], None,
            ),
            _panel(
                "learn.neural_network.backward", dense1, dense2,
                [dense1.input_gradient, sigmoid1.output_gradient, sigmoid2.output_gradient], loss,
            ),
        ],
        message("learn.neural_network.title"), message("learn.neural_network.note"), columns=2,
    )  # fmt: skip


def _panel(key: str, first: LayerTrace, second: LayerTrace, rows: list[Array | None], loss: float | None) -> Panel:
    """The same network twice: with its values and weights, or with their gradients."""
    back = loss is not None
    x, h, y = (np.asarray(row)[0] for row in rows)
    nodes = [Node(0, 1 - i, number(value, 3), f"x{i + 1}") for i, value in enumerate(x)]
    nodes += [Node(1, 1 - i, number(value, 3), f"h{i + 1}") for i, value in enumerate(h)]
    nodes.append(Node(2, 0.5, number(y[0], 3), "y", size=26))
    goal = f"{message('learn.loss_word')}\n{number(loss, 3)}" if loss is not None else f"t = {TARGET[0, 0]:g}"
    nodes.append(Node(2.75, 0.5, goal, shape="box", size=20))
    w1 = (first.gradients if back else first.parameters)["weight"]
    w2 = (second.gradients if back else second.parameters)["weight"]
    pairs = [(i, 2 + j, w1[j, i], 0.66 if back else 0.28) for i in range(2) for j in range(2)]
    pairs += [(2 + j, 4, w2[0, j], 0.5) for j in range(2)]
    edges = [
        Edge(b, a, number(w, 3), "positive" if w > 0 else "negative", at=at) if back
        else Edge(a, b, number(w, 1), "positive" if w > 0 else "negative", at=at)
        for a, b, w, at in pairs
    ]  # fmt: skip
    edges.append(Edge(5, 4) if back else Edge(4, 5, dash=(4, 3)))
    limits = Axis(hidden=True, low=-0.2, high=3.05), Axis(hidden=True, low=-0.45, high=1.3)
    return Panel([Graph(nodes, edges)], message(key), *limits, width=520, height=270)
