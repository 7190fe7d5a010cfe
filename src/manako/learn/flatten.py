"""Flatten: feature maps become one row for each datum, so that a fully connected layer can follow. Reshape: back.

    y[n] = the numbers of x[n], channel by channel, row by row        dL/dx = dL/dy in the shape of x

Shapes: Flatten (N, C, H, W) -> (N, C H W); Reshape (N, ...) -> (N, *shape). No number changes.
"""

from __future__ import annotations

import math

from manako.learn.layer import Array, Layer
from manako.learn.shapes import require_shape


class Flatten(Layer):
    name = "flatten"

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.input_shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient: Array) -> Array:
        return gradient.reshape(self.input_shape)


class Reshape(Layer):
    name = "reshape"

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.input_shape = x.shape
        require_shape(self.name, x.reshape(len(x), -1), ("N", math.prod(self.shape)))
        return x.reshape(len(x), *self.shape)

    def backward(self, gradient: Array) -> Array:
        return gradient.reshape(self.input_shape)
