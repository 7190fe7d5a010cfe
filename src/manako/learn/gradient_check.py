"""Gradient check: is back-propagation right? Every weight is nudged by a hair, and the loss is seen to change.

    numeric slope = (L(w + h) - L(w - h)) / 2h        error of O(h^2) for the method, O(1e-16 L / h) for rounding

    error = largest |analytic - numeric| / max(1, largest |numeric|), near 1e-9 where the code is right

Use float64, and no dropout: chance would differ from pass to pass. Batch normalisation is checked in use and training.
Source: I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", 2016, 11.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from manako.learn.layer import Array, Integers
from manako.learn.network import Network


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """One parameter (or "input"): both gradients, and their largest difference."""

    name: str
    analytic: Array
    numeric: Array
    error: float


def numeric_gradient(loss: Callable[[], float], values: Array, *, nudge: float = 1e-5) -> Array:
    """d loss / d values by central differences; `loss` reads `values`, which are changed in place and put back."""
    slopes = np.zeros(values.shape)
    for place in np.ndindex(*values.shape):
        kept = values[place]
        values[place] = kept + nudge
        above = loss()
        values[place] = kept - nudge
        below = loss()
        values[place] = kept
        slopes[place] = (above - below) / (2 * nudge)
    return slopes


def check_gradients(
    network: Network, x: Array, target: Array | Integers, *, nudge: float = 1e-5, training: bool = False
) -> tuple[GradientCheck, ...]:
    """The input's gradient, and each parameter's."""
    x = np.array(x, dtype=np.float64)

    def loss() -> float:
        network.forward(x, training=training)
        return network.difference(target).loss

    loss()
    analytic = {"input": network.backpropagate().copy()} | {n: g.copy() for n, g in network.gradients().items()}
    values = {"input": x} | network.parameters()
    checks = []
    for name, gradient in analytic.items():
        numeric = numeric_gradient(loss, values[name], nudge=nudge)
        size = max(1.0, float(np.abs(numeric).max(initial=0)))
        checks.append(GradientCheck(name, gradient, numeric, float(np.abs(gradient - numeric).max(initial=0)) / size))
    return tuple(checks)
