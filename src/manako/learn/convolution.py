"""Convolution: one small kernel slides over the image; at each place the output is the weighted sum of what it covers.

    y[n, f, i, j] = b[f] + sum over c, u, v of W[f, c, u, v] * padded x[n, c, i stride + u, j stride + v]

    dL/dW = the same sum with dL/dy for W        dL/db = sum of dL/dy over n, i, j
    dL/dx = transposed convolution of dL/dy: zeros inserted by the stride, then a convolution with the kernel turned
            by 180 degrees and its channels and maps swapped

Shapes: x (N, C, H, W), W (F, C, k, k), b (F,), y (N, F, H', W') with H' = floor((H + 2 padding - k) / stride) + 1.
Padding: "zero" puts zeros around the image, "replicate" repeats its edge.
Fast, because the windows are laid out as rows of a matrix (im2col) in channels-last memory: one matrix product each.
Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998; K. Chellapilla et al., 2006.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from manako.errors import ConfigError
from manako.learn.layer import Array, Layer, start_weights
from manako.learn.shapes import convolution_size, require_count, require_shape

PADDING_MODES = {"zero": "constant", "replicate": "edge"}


class Convolution(Layer):
    name = "convolution"

    def __init__(
        self, channels: int, maps: int, kernel: int, *, stride: int = 1, padding: int = 0, padding_mode: str = "zero",
        rng: np.random.Generator | None = None, dtype: npt.DTypeLike = np.float64,
    ) -> None:  # fmt: skip
        super().__init__()
        require_count(self.name, "channels", channels)
        require_count(self.name, "maps", maps)
        convolution_size(kernel, kernel, stride, padding)  # refuses what is impossible for any image
        if padding_mode not in PADDING_MODES:
            modes = ", ".join(PADDING_MODES)
            raise ConfigError("learn.choice", layer=self.name, field="padding_mode", value=padding_mode, choices=modes)
        self.kernel, self.stride, self.padding, self.padding_mode = kernel, stride, padding, padding_mode
        weight = start_weights((maps, channels, kernel, kernel), channels * kernel * kernel, rng, dtype)
        self.parameters = {"weight": weight, "bias": np.zeros(maps, dtype)}

    def forward(self, x: Array, *, training: bool = False) -> Array:
        weight = self.parameters["weight"]
        require_shape(self.name, x, ("N", weight.shape[1], "H", "W"))
        for size in x.shape[2:]:
            convolution_size(size, self.kernel, self.stride, self.padding, layer=self.name)
        self.input_shape = x.shape
        self.padded = pad(x, self.padding, self.padding_mode)
        self.rows = window_rows(self.padded, self.kernel, self.stride)
        return convolve_rows(self.rows, weight, self.padded.shape, self.stride) + self.parameters["bias"][:, None, None]

    def backward(self, gradient: Array) -> Array:
        weight = self.parameters["weight"]
        maps, channels, kernel, _ = weight.shape
        flat = gradient.transpose(0, 2, 3, 1).reshape(-1, maps)
        by_place = (self.rows.T @ flat).reshape(kernel, kernel, channels, maps)
        self.gradients = {"weight": by_place.transpose(3, 2, 0, 1), "bias": flat.sum(axis=0)}
        spread = insert_zeros(gradient, self.stride)
        return unpad(_full(spread, weight, self.padded.shape), self.padding, self.padding_mode)


def pad(x: Array, padding: int, mode: str = "zero") -> Array:
    """(N, C, H, W) -> (N, C, H + 2 padding, W + 2 padding)."""
    if padding == 0:
        return x
    last = x.transpose(0, 2, 3, 1)  # channels last in memory: the windows' rows are then long runs
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded: Array = np.pad(last, around, mode=PADDING_MODES[mode])  # type: ignore[call-overload]
    return padded.transpose(0, 3, 1, 2)


def unpad(gradient: Array, padding: int, mode: str = "zero") -> Array:
    """Back through `pad`: zeros were nobody's, a replicated edge returns its gradient to the edge."""
    if padding == 0:
        return gradient
    if mode == "replicate":
        gradient = gradient.copy()
        for axis in (2, 3):
            ahead, inside = np.split(gradient, [padding], axis=axis)
            inside, behind = np.split(inside, [inside.shape[axis] - padding], axis=axis)
            first = np.take(inside, [0], axis=axis) + ahead.sum(axis=axis, keepdims=True)
            gradient = inside.copy()
            edge = [slice(None)] * 4
            edge[axis] = slice(0, 1)
            gradient[tuple(edge)] = first
            edge[axis] = slice(-1, None)
            gradient[tuple(edge)] += behind.sum(axis=axis, keepdims=True)
        return gradient
    return gradient[:, :, padding:-padding, padding:-padding]


def insert_zeros(x: Array, stride: int) -> Array:
    """stride - 1 zeros between neighbours: (N, C, H, W) -> (N, C, (H - 1) stride + 1, (W - 1) stride + 1)."""
    if stride == 1:
        return x
    count, channels, height, width = x.shape
    spread = np.zeros((count, channels, (height - 1) * stride + 1, (width - 1) * stride + 1), x.dtype)
    spread[:, :, ::stride, ::stride] = x
    return spread


def window_rows(x: Array, kernel: int, stride: int = 1) -> Array:
    """im2col: each window of x (N, C, H, W) as one row (N H' W', kernel kernel C)."""
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    windows = sliding_window_view(last, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernel * kernel * x.shape[1])


def convolve_rows(rows: Array, weight: Array, shape: tuple[int, ...], stride: int = 1) -> Array:
    """The one matrix product; `shape` is that of the padded input."""
    maps, _, kernel, _ = weight.shape
    height, width = ((size - kernel) // stride + 1 for size in shape[2:])
    y = rows @ weight.transpose(2, 3, 1, 0).reshape(-1, maps)
    return y.reshape(shape[0], height, width, maps).transpose(0, 3, 1, 2)


def _full(spread: Array, weight: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of the padded input, of `shape`: rows that no window reached get 0."""
    kernel = weight.shape[2]
    wide = pad(spread, kernel - 1)
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    reached = convolve_rows(window_rows(wide, kernel), turned, wide.shape)
    missed = [(0, want - got) for want, got in zip(shape, reached.shape, strict=True)]
    return np.pad(reached, missed) if any(more for _, more in missed) else reached
