"""Optimisers: what is done with a gradient g. All change the parameters in place and tell what they added.

    SGD        w -= rate g
    Momentum   v = momentum v + g (v = g at first)        w -= rate v
    Adam       m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
               w -= rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)

Weight decay adds weight_decay * w to g first (L2): weights that nothing holds up shrink. Shapes: all like w.
Source: H. Robbins, S. Monro, 1951; B. Polyak, 1964; D. P. Kingma, J. Ba, "Adam", arXiv 1412.6980.
"""

from __future__ import annotations

import numpy as np

from manako.errors import ConfigError
from manako.learn.layer import Array


class Optimiser:
    name = "optimiser"

    def __init__(self, rate: float, *, weight_decay: float = 0.0) -> None:
        if not (np.isfinite(rate) and rate > 0):
            raise ConfigError("learn.rate", field="rate", value=rate)
        if not (np.isfinite(weight_decay) and weight_decay >= 0):
            raise ConfigError("learn.rate", field="weight_decay", value=weight_decay)
        self.rate, self.weight_decay = rate, weight_decay
        self.steps = 0

    def step(self, parameters: dict[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
        """Moves every parameter that has a gradient; returns what was added to each."""
        self.steps += 1
        updates = {}
        for name, gradient in gradients.items():
            weight = parameters[name]
            pull = gradient + self.weight_decay * weight if self.weight_decay else gradient
            updates[name] = -self._move(name, pull)
            weight += updates[name]
        return updates

    def _move(self, name: str, gradient: Array) -> Array:
        """What to subtract from the parameter."""
        raise NotImplementedError


class SGD(Optimiser):
    name = "sgd"

    def _move(self, name: str, gradient: Array) -> Array:
        return self.rate * gradient


class Momentum(Optimiser):
    name = "momentum"

    def __init__(self, rate: float, momentum: float = 0.9, *, weight_decay: float = 0.0) -> None:
        super().__init__(rate, weight_decay=weight_decay)
        self.momentum = momentum
        self.velocity: dict[str, Array] = {}

    def _move(self, name: str, gradient: Array) -> Array:
        before = self.velocity.get(name)
        self.velocity[name] = gradient.copy() if before is None else self.momentum * before + gradient
        return self.rate * self.velocity[name]


class Adam(Optimiser):
    name = "adam"

    def __init__(
        self, rate: float = 1e-3, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(rate, weight_decay=weight_decay)
        self.betas, self.epsilon = betas, epsilon
        self.mean: dict[str, Array] = {}
        self.square: dict[str, Array] = {}

    def _move(self, name: str, gradient: Array) -> Array:
        b1, b2 = self.betas
        zero = np.zeros_like(gradient)
        self.mean[name] = b1 * self.mean.get(name, zero) + (1 - b1) * gradient
        self.square[name] = b2 * self.square.get(name, zero) + (1 - b2) * gradient**2
        mean = self.mean[name] / (1 - b1**self.steps)
        spread: Array = np.sqrt(self.square[name] / (1 - b2**self.steps)) + self.epsilon
        return self.rate * mean / spread
