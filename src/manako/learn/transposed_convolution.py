"""Transposed convolution: makes images larger; zeros are inserted between the pixels, then comes a plain convolution.

    y = convolution(insert_zeros(x, stride), kernel turned by 180 degrees, padding = k - 1 - padding) + b

It is the adjoint of convolution with the same W, stride and padding: <conv(u), x> = <u, transposed(x)> for all u, x,
which is why the backward pass of one is the forward pass of the other (and why it isn't an inverse).

Shapes: x (N, C, H, W), W (C, F, k, k), b (F,), y (N, F, H', W') with H' = (H - 1) stride - 2 padding + k.
Source: V. Dumoulin, F. Visin, arXiv 1603.07285, chapter 4; M. D. Zeiler et al., "Deconvolutional networks", 2010.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from manako.learn.convolution import convolve_rows, insert_zeros, pad, unpad, window_rows
from manako.learn.layer import Array, Layer, start_weights
from manako.learn.shapes import require_count, require_shape, transposed_size

__all__ = ["TransposedConvolution", "insert_zeros"]


class TransposedConvolution(Layer):
    name = "transposed_convolution"

    def __init__(
        self, channels: int, maps: int, kernel: int, *, stride: int = 1, padding: int = 0,
        rng: np.random.Generator | None = None, dtype: npt.DTypeLike = np.float64,
    ) -> None:  # fmt: skip
        super().__init__()
        require_count(self.name, "channels", channels)
        require_count(self.name, "maps", maps)
        transposed_size(2 * padding + 1, kernel, stride, padding, layer=self.name)
        self.kernel, self.stride, self.padding = kernel, stride, padding
        weight = start_weights((channels, maps, kernel, kernel), channels * kernel * kernel, rng, dtype)
        self.parameters = {"weight": weight, "bias": np.zeros(maps, dtype)}

    def forward(self, x: Array, *, training: bool = False) -> Array:
        weight = self.parameters["weight"]
        require_shape(self.name, x, ("N", weight.shape[0], "H", "W"))
        for size in x.shape[2:]:
            transposed_size(size, self.kernel, self.stride, self.padding, layer=self.name)
        self.input = x
        self.spread = insert_zeros(x, self.stride)
        wide = pad(self.spread, self.kernel - 1)
        turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        full = convolve_rows(window_rows(wide, self.kernel), turned, wide.shape)
        return unpad(full, self.padding) + self.parameters["bias"][:, None, None]

    def backward(self, gradient: Array) -> Array:
        """The adjoint's adjoint: a plain convolution with W as it stands."""
        weight = self.parameters["weight"]
        channels, maps, kernel, _ = weight.shape
        padded = pad(gradient, self.padding)
        rows = window_rows(padded, kernel, self.stride)
        flat = self.input.transpose(0, 2, 3, 1).reshape(-1, channels)
        by_place = (rows.T @ flat).reshape(kernel, kernel, maps, channels)
        self.gradients = {"weight": by_place.transpose(3, 2, 0, 1), "bias": gradient.sum(axis=(0, 2, 3))}
        return convolve_rows(rows, weight, padded.shape, self.stride)
