"""Activation functions and their derivatives, element by element (softmax: along the last axis).

    step(x) = 1 if 0 <= x else 0          sigmoid(x) = 1 / (1 + e^-x)      sigmoid' = s (1 - s)
    tanh' = 1 - tanh^2                    relu(x) = max(0, x)              relu' = 1 if x > 0 else 0
    leaky_relu(x) = x if x > 0 else slope x
    softmax(x)_i = e^x_i / sum_j e^x_j    d softmax_i / d x_j = s_i (1[i = j] - s_j)

The threshold of all is 0; a unit's own threshold is its bias with the sign turned. The step's derivative is 0 wherever
it has one, which is why it can't learn by gradients. Shapes: like x; softmax_derivative (..., K) -> (..., K, K).
Source: I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, 6.2.2 and 6.3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from manako.learn.layer import Array, Layer

Function = Callable[[Array], Array]


def step(x: Array) -> Array:
    return (x >= 0).astype(x.dtype)


def step_derivative(x: Array) -> Array:
    return np.zeros_like(x)


def sigmoid(x: Array) -> Array:
    """Through log(e^0 + e^-x), so that no large x overflows."""
    value: Array = np.exp(-np.logaddexp(0, -x))
    return value


def sigmoid_derivative(x: Array) -> Array:
    s = sigmoid(x)
    return s * (1 - s)


def tanh(x: Array) -> Array:
    return np.tanh(x)


def tanh_derivative(x: Array) -> Array:
    return 1 - np.tanh(x) ** 2


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def relu_derivative(x: Array) -> Array:
    return (x > 0).astype(x.dtype)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    return np.where(x > 0, x, slope * x).astype(x.dtype)


def leaky_relu_derivative(x: Array, slope: float = 0.01) -> Array:
    return np.where(x > 0, 1.0, slope).astype(x.dtype)


def softmax(x: Array) -> Array:
    """The largest is subtracted first: the same value, and e^x can't overflow."""
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def softmax_derivative(x: Array) -> Array:
    """All derivatives: entry [..., i, j] is d softmax_i / d x_j."""
    s = softmax(x)
    return s[..., :, None] * (np.eye(x.shape[-1], dtype=x.dtype) - s[..., None, :])


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "step": (step, step_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "tanh": (tanh, tanh_derivative),
    "relu": (relu, relu_derivative),
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "softmax": (softmax, softmax_derivative),
}


class Activation(Layer):
    """y = f(x), dL/dx = dL/dy f'(x)."""

    function: Function
    derivative: Function

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.input = x
        return type(self).function(x)

    def backward(self, gradient: Array) -> Array:
        return gradient * type(self).derivative(self.input)


class Sigmoid(Activation):
    name = "sigmoid"
    function = staticmethod(sigmoid)
    derivative = staticmethod(sigmoid_derivative)


class Tanh(Activation):
    name = "tanh"
    function = staticmethod(tanh)
    derivative = staticmethod(tanh_derivative)


class ReLU(Activation):
    name = "relu"
    function = staticmethod(relu)
    derivative = staticmethod(relu_derivative)


class LeakyReLU(Layer):
    name = "leaky_relu"

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.input = x
        return leaky_relu(x, self.slope)

    def backward(self, gradient: Array) -> Array:
        return gradient * leaky_relu_derivative(self.input, self.slope)


class Softmax(Layer):
    """Along the last axis; dL/dx = s (dL/dy - sum(dL/dy s)), the product with its derivative written out."""

    name = "softmax"

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.output = softmax(x)
        return self.output

    def backward(self, gradient: Array) -> Array:
        s = self.output
        along: Array = (gradient * s).sum(axis=-1, keepdims=True)
        return s * (gradient - along)
