"""Sizes by formula, and errors that explain an impossible one.

    convolution, pooling     out = floor((size + 2 padding - kernel) / stride) + 1
    transposed convolution   out = (size - 1) stride - 2 padding + kernel
    up-sampling              out = size * factor

Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from manako.errors import ConfigError, DataError


def convolution_size(size: int, kernel: int, stride: int = 1, padding: int = 0, *, layer: str = "convolution") -> int:
    """The output's height (or width) for an input's."""
    _require_steps(layer, kernel, stride, padding)
    if size + 2 * padding < kernel:
        raise ConfigError(
            "learn.kernel_too_large", layer=layer, size=size, kernel=kernel, stride=stride, padding=padding,
            padded=size + 2 * padding, needed=-(-(kernel - size) // 2),
        )  # fmt: skip
    return (size + 2 * padding - kernel) // stride + 1


def pooling_size(size: int, kernel: int, stride: int | None = None, *, layer: str = "pooling") -> int:
    """The output's height (or width); windows that would reach over the edge are left out."""
    return convolution_size(size, kernel, kernel if stride is None else stride, layer=layer)


def transposed_size(size: int, kernel: int, stride: int = 1, padding: int = 0, *, layer: str = "transposed") -> int:
    """The output's height (or width) for an input's."""
    _require_steps(layer, kernel, stride, padding)
    out = (size - 1) * stride - 2 * padding + kernel
    if out < 1:
        raise ConfigError(
            "learn.nothing_left", layer=layer, size=size, kernel=kernel, stride=stride, padding=padding, out=out
        )
    return out


def upsampled_size(size: int, factor: int, *, layer: str = "upsampling") -> int:
    """The output's height (or width)."""
    require_count(layer, "factor", factor)
    return size * factor


def require_count(layer: str, field: str, value: int, at_least: int = 1) -> None:
    """A whole number, not below `at_least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ConfigError("learn.bad_count", layer=layer, field=field, value=value, at_least=at_least)


def _require_steps(layer: str, kernel: int, stride: int, padding: int) -> None:
    require_count(layer, "kernel", kernel)
    require_count(layer, "stride", stride)
    require_count(layer, "padding", padding, at_least=0)


def require_shape(layer: str, x: npt.NDArray[Any], expected: tuple[int | str, ...]) -> None:
    """Numbers in `expected` must match, names ("N", "H") stand for any size."""
    fits = x.ndim == len(expected) and all(
        isinstance(want, str) or want == got for want, got in zip(expected, x.shape, strict=True)
    )
    if not fits:
        raise DataError("learn.shape", layer=layer, expected=shape_text(expected), got=shape_text(x.shape))


def shape_text(shape: tuple[int | str, ...]) -> str:
    """`(N, 3, H, W)`."""
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
