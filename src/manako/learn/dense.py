"""Fully connected layer: every output is a weighted sum of all inputs, plus a bias (a threshold with its sign turned).

    y = x W^T + b        dL/dW = (dL/dy)^T x      dL/db = sum over N of dL/dy      dL/dx = dL/dy W

Shapes: x (N, inputs), W (outputs, inputs), b (outputs,), y (N, outputs).
Source: M. A. Nielsen, "Neural Networks and Deep Learning", 2015, chapter 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from manako.learn.layer import Array, Layer, start_weights
from manako.learn.shapes import require_count, require_shape


class Dense(Layer):
    name = "dense"

    def __init__(
        self, inputs: int, outputs: int, *, rng: np.random.Generator | None = None, dtype: npt.DTypeLike = np.float64
    ) -> None:
        super().__init__()
        require_count(self.name, "inputs", inputs)
        require_count(self.name, "outputs", outputs)
        weight = start_weights((outputs, inputs), inputs, rng, dtype)
        self.parameters = {"weight": weight, "bias": np.zeros(outputs, dtype)}

    def forward(self, x: Array, *, training: bool = False) -> Array:
        weight = self.parameters["weight"]
        require_shape(self.name, x, ("N", weight.shape[1]))
        self.input = x
        return x @ weight.T + self.parameters["bias"]

    def backward(self, gradient: Array) -> Array:
        self.gradients = {"weight": gradient.T @ self.input, "bias": gradient.sum(axis=0)}
        return gradient @ self.parameters["weight"]
