"""Batch normalisation: each channel gets mean 0 and variance 1, then a learned scale and shift.

    training   m, v = mean and variance of the channel over the batch (and its pixels), M values each
               x^ = (x - m) / sqrt(v + epsilon)        y = scale x^ + shift
               running_mean     += momentum (m - running_mean)
               running_variance += momentum (v M / (M - 1) - running_variance)
    in use     the same with the running mean and variance: one datum's output doesn't depend on its neighbours

    dL/dscale = sum dL/dy x^      dL/dshift = sum dL/dy
    dL/dx = scale / sqrt(v + epsilon) * (dL/dy - mean(dL/dy) - x^ mean(dL/dy x^))
    in use  scale / sqrt(v + epsilon) * dL/dy

Shapes: x (N, C) or (N, C, H, W); scale, shift, running values (C,).
Source: S. Ioffe, C. Szegedy, "Batch normalization", 2015, arXiv 1502.03167.
`min_max_normalise` is another thing under a like name: the simple picture that stretches values to 0..1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from manako.errors import DataError
from manako.learn.layer import Array, Layer
from manako.learn.shapes import require_count, require_shape


class BatchNormalisation(Layer):
    name = "batch_normalisation"

    def __init__(
        self, channels: int, *, momentum: float = 0.1, epsilon: float = 1e-5, dtype: npt.DTypeLike = np.float64
    ) -> None:
        super().__init__()
        require_count(self.name, "channels", channels)
        self.momentum, self.epsilon = momentum, epsilon
        self.parameters = {"scale": np.ones(channels, dtype), "shift": np.zeros(channels, dtype)}
        self.running_mean: Array = np.zeros(channels, dtype)
        self.running_variance: Array = np.ones(channels, dtype)

    def forward(self, x: Array, *, training: bool = False) -> Array:
        channels = len(self.running_mean)
        require_shape(self.name, x, ("N", channels) if x.ndim == 2 else ("N", channels, "H", "W"))
        self.axes, self.batch_statistics = ((0,) if x.ndim == 2 else (0, 2, 3)), training
        self.mean, self.variance = self.running_mean, self.running_variance
        if training:
            self.mean, self.variance = self._measure(x)
        self.deviation = np.sqrt(self.variance + self.epsilon)
        self.normalised = (x - self._wide(self.mean, x)) / self._wide(self.deviation, x)
        return self._wide(self.parameters["scale"], x) * self.normalised + self._wide(self.parameters["shift"], x)

    def _measure(self, x: Array) -> tuple[Array, Array]:
        values = x.size // x.shape[1]
        if values < 2:
            raise DataError("learn.one_value", layer=self.name)
        mean: Array = x.mean(axis=self.axes)
        variance: Array = x.var(axis=self.axes)
        self.running_mean = self.running_mean + self.momentum * (mean - self.running_mean)
        unbiased = variance * values / (values - 1)
        self.running_variance = self.running_variance + self.momentum * (unbiased - self.running_variance)
        return mean, variance

    def backward(self, gradient: Array) -> Array:
        along, x = gradient * self.normalised, self.normalised
        self.gradients = {"scale": along.sum(axis=self.axes), "shift": gradient.sum(axis=self.axes)}
        factor = self._wide(self.parameters["scale"] / self.deviation, x)
        if not self.batch_statistics:
            return factor * gradient
        mean, mean_along = gradient.mean(axis=self.axes), along.mean(axis=self.axes)
        return factor * (gradient - self._wide(mean, x) - x * self._wide(mean_along, x))

    @staticmethod
    def _wide(values: Array, x: Array) -> Array:
        """(C,) -> (C,) or (C, 1, 1), to stand beside x."""
        return values.reshape(-1, *[1] * (x.ndim - 2))


def min_max_normalise(x: Array) -> Array:
    """The min-max picture of normalisation: (x - min) / (max - min), from 0 to 1; all 0 where the values are equal.

    It is not batch normalisation: one outlier squeezes all others, and nothing is learned.
    """
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high > low else np.zeros_like(x)
