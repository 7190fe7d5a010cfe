"""The perceptron's worked example, its convergence where a line separates, its failure on XOR."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manako.errors import DataError
from manako.learn.perceptron import MultiLayerPerceptron, Perceptron, learn, xor

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def test_the_worked_example() -> None:
    firing = Perceptron([0.1, 0.7, 0.2], 3).fire([5, 2, 3])
    assert firing.products.tolist() == pytest.approx([0.5, 1.4, 0.6])
    assert firing.total == pytest.approx(2.5) and firing.output == 0
    assert Perceptron([0.1, 0.7, 0.2], 2.4).fire([5, 2, 3]).output == 1


def test_it_fires_exactly_when_the_sum_reaches_the_threshold() -> None:
    assert Perceptron([1, 1], 2).fire([1, 1]).output == 1
    assert Perceptron([1, 1], np.nextafter(2, 3)).fire([1, 1]).output == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_it_converges_within_the_bound_where_a_line_separates(seed: int, width: int) -> None:
    """At most (R / margin)^2 mistakes (Novikoff)."""
    rng = np.random.default_rng(seed)
    x, true = rng.normal(size=(40, width)), rng.normal(size=width + 1)
    lifted = np.column_stack([x, -np.ones(len(x))])
    distance = lifted @ true / np.linalg.norm(true)
    x, lifted, distance = (a[np.abs(distance) > 0.1] for a in (x, lifted, distance))
    assume(len(x) > 2)
    labels = (distance > 0).astype(int)
    bound = (np.linalg.norm(lifted, axis=1).max() / np.abs(distance).min()) ** 2
    learned = learn(x, labels, epochs=int(bound) + 2)
    assert learned.converged and learned.mistakes[-1] == 0
    assert learned.perceptron.predict(x).tolist() == labels.tolist()
    assert sum(learned.mistakes) == len(learned.updates) <= bound + 1  # one more: at the start 0 reaches 0


def test_it_learns_and_and_or_but_never_xor() -> None:
    for labels in ([0, 0, 0, 1], [0, 1, 1, 1]):
        assert learn(CORNERS, labels).perceptron.predict(CORNERS).tolist() == labels
    failed = learn(CORNERS, [0, 1, 1, 0], epochs=500)
    assert not failed.converged and len(failed.mistakes) == 500 and min(failed.mistakes) > 0


def test_each_update_moves_by_the_rule() -> None:
    first = learn(CORNERS, [0, 0, 0, 1], rate=0.5).updates[0]
    assert (first.epoch, first.index, first.output, first.label) == (1, 0, 1, 0)
    assert first.weights.tolist() == [0, 0] and first.threshold == 0.5


def test_two_layers_solve_xor_by_hand() -> None:
    network = xor()
    assert network.predict(CORNERS).tolist() == [0, 1, 1, 0]
    inputs, hidden, output = network.fire(CORNERS)
    assert inputs.tolist() == CORNERS.tolist()
    assert hidden.tolist() == [[0, 0], [1, 0], [1, 0], [1, 1]] and output.ravel().tolist() == [0, 1, 1, 0]
    assert network.fire([1, 0])[-1].tolist() == [1]


def test_wrong_widths_are_named_with_both_shapes() -> None:
    with pytest.raises(DataError, match=r"perceptron expects the shape \(3,\), but got \(2,\)"):
        Perceptron([1, 2, 3], 0).fire([1, 2])
    with pytest.raises(DataError, match=r"1\.perceptrons"):
        MultiLayerPerceptron((([[1, 1]], [0]), ([[1, 1]], [0]))).fire([0, 0])
