"""Up-sampling by repetition: every pixel becomes a square of factor x factor equal pixels; no parameters.

    y[n, c, i, j] = x[n, c, floor(i / factor), floor(j / factor)]        dL/dx = sum of dL/dy over the square

Shapes: x (N, C, H, W), y (N, C, H factor, W factor).
Source: A. Odena, V. Dumoulin, C. Olah, "Deconvolution and checkerboard artifacts", 2016.
"""

from __future__ import annotations

from manako.learn.layer import Array, Layer
from manako.learn.shapes import require_count, require_shape


class Upsampling(Layer):
    name = "upsampling"

    def __init__(self, factor: int) -> None:
        super().__init__()
        require_count(self.name, "factor", factor)
        self.factor = factor

    def forward(self, x: Array, *, training: bool = False) -> Array:
        require_shape(self.name, x, ("N", "C", "H", "W"))
        self.input_shape = x.shape
        return x.repeat(self.factor, axis=2).repeat(self.factor, axis=3)

    def backward(self, gradient: Array) -> Array:
        count, channels, height, width = self.input_shape
        squares = gradient.reshape(count, channels, height, self.factor, width, self.factor)
        summed: Array = squares.sum(axis=(3, 5))
        return summed
