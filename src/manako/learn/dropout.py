"""Dropout: in training each value is left out by chance, so that no unit can rely on one other; in use, all are there.

    training    y = x mask / (1 - rate), mask 0 with probability rate, else 1        dL/dx = dL/dy mask / (1 - rate)
    in use      y = x

Shapes: all like x. The division ("inverted" dropout) keeps the expected value, so nothing has to be scaled in use.
Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
"""

from __future__ import annotations

import numpy as np

from manako.errors import ConfigError
from manako.learn.layer import Array, Layer


class Dropout(Layer):
    """`mask` is the last pass's, already divided by 1 - rate; None where nothing was dropped."""

    name = "dropout"

    def __init__(self, rate: float, *, rng: np.random.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ConfigError("learn.dropout_rate", value=rate)
        self.rate = rate
        self.rng = np.random.default_rng(0) if rng is None else rng
        self.mask: Array | None = None

    def forward(self, x: Array, *, training: bool = False) -> Array:
        self.mask = None
        if training and self.rate > 0:
            kept = self.rng.random(x.shape) >= self.rate
            self.mask = kept.astype(x.dtype) / x.dtype.type(1 - self.rate)
        return x if self.mask is None else x * self.mask

    def backward(self, gradient: Array) -> Array:
        return gradient if self.mask is None else gradient * self.mask
