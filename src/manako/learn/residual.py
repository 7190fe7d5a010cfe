"""Residual addition: the layers inside learn only what to add to their input, and the gradient has a way around them.

    y = x + f(x)        dL/dx = dL/dy + (dL/dy through f)

Shapes: f must keep the shape of x.
Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2016, arXiv 1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence

from manako.learn.layer import Array, Layer
from manako.learn.shapes import require_shape


class Residual(Layer):
    name = "residual"

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = list(layers)

    def children(self) -> list[Layer]:
        return self.layers

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.input, inner = x, x
        for layer in self.layers:
            inner = layer.forward(inner, training=training)
        require_shape(f"{self.name} f(x)", inner, x.shape)
        return x + inner

    def backward(self, gradient: Array) -> Array:
        inner = gradient
        for layer in reversed(self.layers):
            inner = layer.backward(inner)
        return gradient + inner
