"""The three steps, their trace, and the errors that say where and why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from manako.errors import ConfigError, DataError, DivergedError
from manako.learn.activations import ReLU
from manako.learn.batch_normalisation import BatchNormalisation
from manako.learn.convolution import Convolution
from manako.learn.dense import Dense
from manako.learn.dropout import Dropout
from manako.learn.flatten import Flatten, Reshape
from manako.learn.layer import Layer
from manako.learn.losses import CategoricalCrossEntropy, MeanSquaredError
from manako.learn.network import Network
from manako.learn.optimisers import SGD
from manako.learn.pooling import MaxPooling
from manako.learn.residual import Residual
from manako.learn.shapes import convolution_size, pooling_size, transposed_size, upsampled_size
from manako.learn.transposed_convolution import TransposedConvolution


def two_layers() -> Network:
    rng = np.random.default_rng(0)
    return Network([Dense(3, 4, rng=rng), ReLU(), Dense(4, 2, rng=rng)], CategoricalCrossEntropy())


def network_of(*layers: Layer) -> Network:
    return Network(layers, MeanSquaredError())


def test_three_steps_and_every_number_between() -> None:
    network, x, target = two_layers(), np.random.default_rng(1).normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])
    outputs = network.forward(x)
    assert all(layer.output_gradient is None and not layer.gradients for layer in network.trace())
    difference = network.difference(target)
    assert difference.loss == pytest.approx(difference.each.mean()) and difference.gradient.shape == outputs.shape
    network.backpropagate()
    trace = network.trace()
    assert [layer.name for layer in trace] == ["0.dense", "1.relu", "2.dense"]
    assert trace[0].input is x and trace[-1].output is outputs
    for earlier, later in itertools.pairwise(trace):
        assert earlier.output is later.input and earlier.output_gradient is later.input_gradient
    weight = trace[0].parameters["weight"]
    np.testing.assert_allclose(trace[0].output, x @ weight.T + trace[0].parameters["bias"])
    np.testing.assert_allclose(trace[0].gradients["weight"], trace[0].output_gradient.T @ x)


def test_learning_is_the_three_steps_and_an_update() -> None:
    network, x, target = two_layers(), np.random.default_rng(1).normal(size=(8, 3)), np.array([0, 1] * 4)
    before = {n: p.copy() for n, p in network.parameters().items()}
    step = network.learn(x, target, SGD(0.1))
    for name, parameter in network.parameters().items():
        np.testing.assert_allclose(parameter, before[name] + step.updates[name])
        np.testing.assert_allclose(step.updates[name], -0.1 * network.gradients()[name])
    losses = [network.learn(x, target, SGD(0.1)).loss for _ in range(200)]
    assert losses[-1] < 0.5 * step.loss


def test_steps_out_of_order_are_explained() -> None:
    network = two_layers()
    for step in (lambda: network.difference(np.zeros(1)), network.backpropagate, network.trace):
        with pytest.raises(ConfigError, match="before it"):
            step()


def test_prediction_is_independent_of_the_batch() -> None:
    network, x = two_layers(), np.random.default_rng(1).normal(size=(10, 3))
    np.testing.assert_allclose(network.predict(x, batch_size=3), network.forward(x))


def test_sizes_by_formula() -> None:
    assert convolution_size(8, 3, 1, 1) == 8 and convolution_size(7, 3, 2, 0) == 3 and convolution_size(28, 5) == 24
    assert pooling_size(9, 2) == 4 and pooling_size(9, 3, 2) == 4
    assert transposed_size(4, 4, 2, 1) == 8 and upsampled_size(5, 3) == 15


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: convolution_size(3, 5), r"kernel of 5 .*floor\(\(3 \+ 2 × 0 - 5\) / 1\) \+ 1.*of at least 1"),
        (lambda: convolution_size(3, 0), "kernel must be a whole number of at least 1, not 0"),
        (lambda: convolution_size(3, 2, 0), "stride must be"),
        (lambda: convolution_size(3, 2, 1, -1), "padding must be a whole number of at least 0"),
        (lambda: pooling_size(2, 3), "pooling: a kernel of 3"),
        (lambda: transposed_size(1, 2, 1, 3), r"nothing .*\(1 - 1\) × stride 1 - 2 × padding 3 \+ kernel 2 = -4"),
        (lambda: Convolution(1, 1, 3, padding_mode="mirror"), "zero, replicate"),
        (lambda: Convolution(1, 1, 2.5), "kernel must be a whole number"),  # type: ignore[arg-type]
        (lambda: Dropout(1.0), "not including, 1"),
        (lambda: network_of(MaxPooling(4)).forward(np.zeros((1, 1, 3, 3))), "0.max_pooling: a kernel"),
    ],
)  # fmt: skip
def test_impossible_layers_are_explained(call: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("layers", "shape", "says"),
    [
        ([Dense(3, 4), Dense(5, 2)], (2, 3), r"1\.dense expects the shape \(N, 5\), but got \(2, 4\)"),
        ([Convolution(3, 4, 3)], (2, 1, 8, 8), r"0\.convolution expects .*\(N, 3, H, W\), but got \(2, 1, 8, 8\)"),
        ([Convolution(3, 4, 3)], (2, 3), r"0\.convolution expects"),
        ([TransposedConvolution(3, 4, 3)], (2, 1, 8, 8), r"0\.transposed_convolution expects"),
        ([Flatten(), BatchNormalisation(3)], (2, 2, 2), r"1\.batch_normalisation expects the shape \(N, 3\)"),
        ([Residual([Dense(3, 4)])], (2, 3), r"0\.residual f\(x\) expects the shape \(2, 3\), but got \(2, 4\)"),
        ([Residual([Dense(3, 3), Dense(4, 3)])], (2, 3), r"0\.residual\.1\.dense expects"),
        ([Reshape((2, 2))], (1, 3), r"0\.reshape expects the shape \(N, 4\), but got \(1, 3\)"),
    ],
)  # fmt: skip
def test_shape_mismatches_name_layer_and_both_shapes(layers: list[Layer], shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Network(layers, MeanSquaredError()).forward(np.zeros(shape))


def test_one_value_has_no_variance() -> None:
    with pytest.raises(DataError, match="no variance"):
        BatchNormalisation(2).forward(np.zeros((1, 2)), training=True)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_non_finite_values_are_reported_where_they_first_appear() -> None:
    network, x = two_layers(), np.ones((2, 3))
    with pytest.raises(DataError, match="input holds 1 values"):
        network.forward(np.array([[0.0, np.nan, 1.0]]))
    network.parameters()["2.dense.weight"][0, 0] = np.inf
    network.parameters()["0.dense.bias"][:] = 1e3
    with pytest.raises(DivergedError, match=r"2\.dense: the output holds .* \(infinity\)"):
        network.forward(x)
    overflowing = Network([Dense(1, 1), Dense(1, 1)], MeanSquaredError())
    overflowing.parameters()["1.dense.weight"][:] = 1e-200
    overflowing.parameters()["0.dense.weight"][:] = 1e308
    overflowing.forward(np.array([[1.0]]))
    overflowing.difference(np.array([[-1e150]]))
    overflowing.parameters()["1.dense.weight"][:] = 1e308
    with pytest.raises(DivergedError, match=r"1\.dense: the gradient holds"):
        overflowing.backpropagate()
