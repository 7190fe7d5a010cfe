"""Every layer equals PyTorch in value and gradients (float64, random shapes), and finite differences always."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manako.learn.activations import ACTIVATIONS, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh, step
from manako.learn.batch_normalisation import BatchNormalisation, min_max_normalise
from manako.learn.convolution import Convolution
from manako.learn.dense import Dense
from manako.learn.dropout import Dropout
from manako.learn.flatten import Flatten, Reshape
from manako.learn.gradient_check import check_gradients, numeric_gradient
from manako.learn.layer import Array, Layer
from manako.learn.losses import MeanSquaredError
from manako.learn.network import Network
from manako.learn.pooling import AveragePooling, MaxPooling
from manako.learn.residual import Residual
from manako.learn.transposed_convolution import TransposedConvolution, insert_zeros
from manako.learn.upsampling import Upsampling

seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 4)
many = settings(max_examples=40, deadline=None)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def equal_to_torch(
    layer: Layer, reference: Callable[..., Any], x: Array, *, names: tuple[str, ...] = (), training: bool = False
) -> None:
    """`reference(x, *parameters)` in torch: outputs, gradient of x and of every parameter."""
    torch = pytest.importorskip("torch")
    given_x = torch.tensor(x, requires_grad=True)
    given_parameters = [torch.tensor(layer.parameters[n], requires_grad=True) for n in names]
    wanted = reference(given_x, *given_parameters)
    y = layer.forward(x, training=training)
    np.testing.assert_allclose(y, wanted.detach().numpy(), **CLOSE)
    flow = np.random.default_rng(1).normal(size=y.shape)
    wanted.backward(torch.tensor(flow))
    np.testing.assert_allclose(layer.backward(flow), given_x.grad.numpy(), **CLOSE)
    for name, parameter in zip(names, given_parameters, strict=True):
        np.testing.assert_allclose(layer.gradients[name], parameter.grad.numpy(), **CLOSE)


def image(rng: np.random.Generator, *shape: int) -> Array:
    return rng.normal(size=shape)


@many
@given(seeds, small, small, small)
def test_dense(seed: int, count: int, inputs: int, outputs: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    equal_to_torch(
        Dense(inputs, outputs, rng=rng), torch.nn.functional.linear, image(rng, count, inputs), names=("weight", "bias")
    )


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds, count=small, channels=small, maps=small, height=st.integers(1, 9), width=st.integers(1, 9),
    kernel=st.integers(1, 4), stride=st.integers(1, 3), padding=st.integers(0, 5),
    mode=st.sampled_from(["zero", "replicate"]),
)  # fmt: skip
def test_convolution(
    seed: int, count: int, channels: int, maps: int, height: int, width: int, kernel: int, stride: int, padding: int,
    mode: str,
) -> None:  # fmt: skip
    torch = pytest.importorskip("torch")
    assume(min(height, width) + 2 * padding >= kernel)
    rng = np.random.default_rng(seed)
    layer = Convolution(channels, maps, kernel, stride=stride, padding=padding, padding_mode=mode, rng=rng)

    def reference(x: Any, weight: Any, bias: Any) -> Any:
        around = torch.nn.functional.pad(x, [padding] * 4, mode="replicate" if mode == "replicate" else "constant")
        return torch.nn.functional.conv2d(around, weight, bias, stride=stride)

    equal_to_torch(layer, reference, image(rng, count, channels, height, width), names=("weight", "bias"))


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds, count=small, channels=small, maps=small, height=st.integers(1, 6), width=st.integers(1, 6),
    kernel=st.integers(1, 4), stride=st.integers(1, 3), padding=st.integers(0, 4),
)  # fmt: skip
def test_transposed_convolution_and_its_adjoint(
    seed: int, count: int, channels: int, maps: int, height: int, width: int, kernel: int, stride: int, padding: int
) -> None:
    torch = pytest.importorskip("torch")
    assume((min(height, width) - 1) * stride - 2 * padding + kernel >= 1)
    rng = np.random.default_rng(seed)
    assume(2 * padding * stride - 2 * padding + kernel >= 1)
    layer = TransposedConvolution(channels, maps, kernel, stride=stride, padding=padding, rng=rng)
    x = image(rng, count, channels, height, width)
    equal_to_torch(
        layer,
        lambda x, w, b: torch.nn.functional.conv_transpose2d(x, w, b, stride=stride, padding=padding),
        x,
        names=("weight", "bias"),
    )
    y = layer.forward(x)
    forth = Convolution(maps, channels, kernel, stride=stride, padding=padding)
    forth.parameters["weight"] = layer.parameters["weight"]
    u = image(rng, *y.shape)
    np.testing.assert_allclose((forth.forward(u) * x).sum(), (u * y).sum(), rtol=1e-9, atol=1e-9)


def test_transposed_convolution_is_zero_insertion_and_then_convolution() -> None:
    rng = np.random.default_rng(0)
    x, layer = image(rng, 2, 3, 4, 4), TransposedConvolution(3, 2, 3, stride=2, padding=1, rng=rng)
    plain = Convolution(3, 2, 3, padding=1)
    plain.parameters["weight"] = layer.parameters["weight"][:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    assert insert_zeros(x, 2)[0, 0, ::2, ::2].tolist() == x[0, 0].tolist()
    np.testing.assert_allclose(layer.forward(x), plain.forward(insert_zeros(x, 2)), atol=1e-12)


@many
@given(seeds, small, small, st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 4))
def test_pooling(seed: int, count: int, channels: int, height: int, width: int, kernel: int, stride: int) -> None:
    torch = pytest.importorskip("torch")
    assume(min(height, width) >= kernel)
    x = image(np.random.default_rng(seed), count, channels, height, width)
    functional = torch.nn.functional
    equal_to_torch(MaxPooling(kernel, stride=stride), lambda x: functional.max_pool2d(x, kernel, stride), x)
    equal_to_torch(AveragePooling(kernel, stride=stride), lambda x: functional.avg_pool2d(x, kernel, stride), x)
    equal_to_torch(MaxPooling(kernel, stride=stride), lambda x: functional.max_pool2d(x, kernel, stride), np.round(x))


@many
@given(seeds, small, small, small, small, st.integers(1, 3))
def test_upsampling(seed: int, count: int, channels: int, height: int, width: int, factor: int) -> None:
    torch = pytest.importorskip("torch")
    x = image(np.random.default_rng(seed), count, channels, height, width)
    equal_to_torch(Upsampling(factor), lambda x: torch.nn.functional.interpolate(x, scale_factor=factor), x)


@many
@given(seeds, st.integers(2, 5), small, small, st.booleans(), st.booleans())
def test_batch_normalisation(seed: int, count: int, channels: int, side: int, flat: bool, training: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    x = 2 + 3 * (image(rng, count, channels) if flat else image(rng, count, channels, side, side))
    layer = BatchNormalisation(channels)
    layer.parameters = {"scale": image(rng, channels), "shift": image(rng, channels)}
    layer.running_mean, layer.running_variance = image(rng, channels), rng.uniform(0.5, 2, channels)
    mean, variance = torch.tensor(layer.running_mean), torch.tensor(layer.running_variance)

    def reference(x: Any, scale: Any, shift: Any) -> Any:
        return torch.nn.functional.batch_norm(x, mean, variance, scale, shift, training=training)

    equal_to_torch(layer, reference, x, names=("scale", "shift"), training=training)
    np.testing.assert_allclose(layer.running_mean, mean.numpy(), **CLOSE)
    np.testing.assert_allclose(layer.running_variance, variance.numpy(), **CLOSE)


@many
@given(seeds, st.integers(1, 5), st.integers(1, 5))
def test_activations(seed: int, count: int, width: int) -> None:
    torch = pytest.importorskip("torch")
    x = 3 * image(np.random.default_rng(seed), count, width)
    equal_to_torch(Sigmoid(), torch.sigmoid, x)
    equal_to_torch(Tanh(), torch.tanh, x)
    equal_to_torch(ReLU(), torch.relu, x)
    equal_to_torch(LeakyReLU(0.2), lambda x: torch.nn.functional.leaky_relu(x, 0.2), x)
    equal_to_torch(Softmax(), lambda x: torch.softmax(x, -1), x)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "softmax"])
def test_each_derivative_is_the_slope(name: str) -> None:
    function, derivative = ACTIVATIONS[name]
    x = np.linspace(-4, 4, 16)  # none at the kink 0
    np.testing.assert_allclose(derivative(x), (function(x + 1e-6) - function(x - 1e-6)) / 2e-6, atol=1e-8)


def test_softmax_derivative_is_the_whole_matrix() -> None:
    function, derivative = ACTIVATIONS["softmax"]
    x = np.array([0.3, -1.2, 2.0])
    nudges = 1e-6 * np.eye(3)
    columns = [(function(x + n) - function(x - n)) / 2e-6 for n in nudges]
    np.testing.assert_allclose(derivative(x), np.stack(columns, axis=1), atol=1e-8)


def test_thresholds_and_large_numbers() -> None:
    assert step(np.array([-0.1, 0.0, 0.1])).tolist() == [0, 1, 1]
    for function, derivative in ACTIVATIONS.values():
        far = np.array([-1e4, 1e4])
        assert np.isfinite(function(far)).all() and np.isfinite(derivative(far)).all()


def test_dropout_keeps_the_expected_value_and_rests_in_use() -> None:
    layer, x = Dropout(0.3, rng=np.random.default_rng(0)), np.ones((200, 200))
    y = layer.forward(x, training=True)
    assert y.mean() == pytest.approx(1, abs=0.02) and (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert np.array_equal(layer.backward(x), y), "the gradient passes where the value passed"
    assert layer.forward(x) is x and layer.mask is None


def test_flatten_reshape_and_min_max() -> None:
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    flat = Flatten()
    assert flat.forward(x).shape == (2, 12) and flat.backward(flat.forward(x)).tolist() == x.tolist()
    back = Reshape((3, 2, 2))
    assert back.forward(x.reshape(2, 12)).tolist() == x.tolist() and back.backward(x).shape == (2, 12)
    assert min_max_normalise(np.array([2.0, 4.0, 3.0])).tolist() == [0, 1, 0.5]
    assert min_max_normalise(np.full(3, 7.0)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("training", [False, True])
def test_finite_differences_through_everything(training: bool) -> None:
    """One network with every layer that has a gradient, a residual among them."""
    rng = np.random.default_rng(5)
    inside = [Convolution(3, 3, 3, padding=1, padding_mode="replicate", rng=rng), Tanh()]
    layers: list[Layer] = [
        Convolution(2, 3, 3, stride=2, padding=2, rng=rng), BatchNormalisation(3), LeakyReLU(), Residual(inside),
        MaxPooling(2, stride=1), Upsampling(2), AveragePooling(3, stride=2), Sigmoid(),
        TransposedConvolution(3, 2, 3, stride=2, padding=1, rng=rng), Flatten(), Dense(18, 8, rng=rng), Softmax(),
    ]  # fmt: skip
    network = Network(layers, MeanSquaredError())
    x, target = image(rng, 3, 2, 6, 6), image(rng, 3, 8)
    checks = check_gradients(network, x, target, training=training)
    assert {"input", "3.residual.0.convolution.weight", "8.transposed_convolution.bias"} <= {c.name for c in checks}
    assert max(check.error for check in checks) < 1e-7
    assert all(np.abs(c.numeric).max() > 1e-8 for c in checks if "0.convolution.bias" not in c.name), "none is idle"


def test_the_gradient_check_finds_a_wrong_gradient() -> None:
    class Wrong(Dense):
        def backward(self, gradient: Array) -> Array:
            flow = super().backward(gradient)
            self.gradients["bias"] = 2 * self.gradients["bias"]
            return flow

    rng = np.random.default_rng(0)
    checks = check_gradients(Network([Wrong(3, 2, rng=rng)], MeanSquaredError()), image(rng, 4, 3), image(rng, 4, 2))
    assert {c.name for c in checks if c.error > 1e-3} == {"0.dense.bias"}


def test_numeric_gradient_of_a_closed_form() -> None:
    values = np.array([[1.0, -2.0], [0.5, 3.0]])
    np.testing.assert_allclose(numeric_gradient(lambda: float((values**3).sum()), values), 3 * values**2, atol=1e-8)
