"""Pooling: one number for each window, its largest (max) or its mean (average); no parameters.

    max       y = max of the window        the gradient goes to the pixel that was the largest (the first, if several)
    average   y = mean of the window       the gradient is shared evenly, 1 / kernel^2 each

Shapes: x (N, C, H, W), y (N, C, H', W') with H' = floor((H - kernel) / stride) + 1; stride is the kernel if not given.
Source: D. Scherer, A. Mueller, S. Behnke, "Evaluation of pooling operations in convolutional architectures", 2010.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from manako.learn.layer import Array, Layer
from manako.learn.shapes import pooling_size, require_shape

Places = tuple[slice, slice, slice, slice]


class Pooling(Layer):
    def __init__(self, kernel: int, *, stride: int | None = None) -> None:
        super().__init__()
        pooling_size(kernel, kernel, stride, layer=self.name)
        self.kernel, self.stride = kernel, kernel if stride is None else stride

    def _places(self, shape: tuple[int, ...]) -> Iterator[Places]:
        """For each place in the window, the pixels that stand there in all windows."""
        height, width = (pooling_size(size, self.kernel, self.stride, layer=self.name) for size in shape[2:])
        for u in range(self.kernel):
            for v in range(self.kernel):
                rows = slice(u, u + (height - 1) * self.stride + 1, self.stride)
                columns = slice(v, v + (width - 1) * self.stride + 1, self.stride)
                yield (slice(None), slice(None), rows, columns)


class MaxPooling(Pooling):
    name = "max_pooling"

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """Leaves `winner`: which place of each window, counted row by row, was the largest."""
        require_shape(self.name, x, ("N", "C", "H", "W"))
        self.input_shape = x.shape
        places = self._places(x.shape)
        y = x[next(places)].copy()
        self.winner = np.zeros_like(y, dtype=np.int16)
        for number, place in enumerate(places, start=1):
            larger = x[place] > y
            self.winner[larger] = number
            np.maximum(y, x[place], out=y)
        return y

    def backward(self, gradient: Array) -> Array:
        spread = _zeros_like_layout(gradient, self.input_shape)
        for number, place in enumerate(self._places(self.input_shape)):
            spread[place] += gradient * (self.winner == number)
        return spread


class AveragePooling(Pooling):
    name = "average_pooling"

    def forward(self, x: Array, *, training: bool = False) -> Array:
        require_shape(self.name, x, ("N", "C", "H", "W"))
        self.input_shape = x.shape
        places = self._places(x.shape)
        y = x[next(places)].copy()
        for place in places:
            y += x[place]
        return y / self.kernel**2

    def backward(self, gradient: Array) -> Array:
        spread = _zeros_like_layout(gradient, self.input_shape)
        share = gradient / self.kernel**2
        for place in self._places(self.input_shape):
            spread[place] += share
        return spread


def _zeros_like_layout(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Zeros (N, C, H, W), channels last in memory as the convolutions leave them."""
    count, channels, height, width = shape
    return np.zeros((count, height, width, channels), gradient.dtype).transpose(0, 3, 1, 2)
