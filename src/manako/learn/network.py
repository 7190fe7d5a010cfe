"""A network: layers in a row and a loss, learning in three visible steps.

    1 forward           x -> layer 1 -> ... -> layer L -> outputs
    2 difference        loss(outputs, target), and its gradient with respect to the outputs
    3 back-propagation  that gradient -> layer L -> ... -> layer 1, leaving each parameter's gradient

An optimiser then moves the parameters. `trace()` shows every number of the three steps, layer by layer.
Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, 1986.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manako.errors import ConfigError, DataError, DivergedError
from manako.learn.layer import Array, Integers, Layer
from manako.learn.losses import Loss
from manako.learn.optimisers import Optimiser


@dataclass(frozen=True, eq=False)
class Difference:
    """The mean `loss`, the loss of `each` datum (N,), and the `gradient` of the outputs."""

    loss: float
    each: Array
    gradient: Array


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer's numbers in the last pass; the gradients are None before `backpropagate`."""

    index: int
    name: str
    input: Array
    output: Array
    output_gradient: Array | None
    input_gradient: Array | None
    parameters: dict[str, Array]
    gradients: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Step:
    """One step of learning: the loss before it, and what was added to each parameter."""

    loss: float
    updates: dict[str, Array]


class Network:
    def __init__(self, layers: Sequence[Layer], loss: Loss) -> None:
        self.layers, self.loss = list(layers), loss
        _name(self.layers, "")
        self.values: list[Array] = []  # the input, then each layer's output
        self.flow: list[Array] = []  # the gradient of each of them, in the same order
        self.last: Difference | None = None

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """Step 1. The outputs; `values` holds the way there."""
        self.last, self.flow, self.values = None, [], [_finite(x, "input")]
        for layer in self.layers:
            self.values.append(_finite(layer.forward(self.values[-1], training=training), layer.name))
        return self.values[-1]

    def difference(self, target: Array | Integers) -> Difference:
        """Step 2. How far the last outputs are from the target."""
        if not self.values:
            raise ConfigError("learn.forward_first", step="difference", first="forward")
        outputs = self.values[-1]
        each = _finite(self.loss.each(outputs, target), self.loss.name)
        self.last = Difference(float(each.mean()), each, self.loss.gradient(outputs, target))
        return self.last

    def backpropagate(self) -> Array:
        """Step 3. The gradient of the input; each layer's `gradients` are set."""
        if self.last is None:
            raise ConfigError("learn.forward_first", step="backpropagate", first="difference")
        flow = [self.last.gradient]
        for layer in reversed(self.layers):
            flow.append(_finite(layer.backward(flow[-1]), layer.name, "gradient"))
        self.flow = flow[::-1]
        return self.flow[0]

    def learn(self, x: Array, target: Array | Integers, optimiser: Optimiser) -> Step:
        """The three steps, and one step of the optimiser."""
        self.forward(x, training=True)
        loss = self.difference(target).loss
        self.backpropagate()
        return Step(loss, optimiser.step(self.parameters(), self.gradients()))

    def predict(self, x: Array, *, batch_size: int = 256) -> Array:
        """The outputs in use (no dropout, running statistics), batch by batch."""
        parts = [self.forward(x[start : start + batch_size]) for start in range(0, len(x), batch_size)]
        return np.concatenate(parts)

    def trace(self) -> tuple[LayerTrace, ...]:
        if not self.values:
            raise ConfigError("learn.forward_first", step="trace", first="forward")
        flow: list[Array | None] = [*self.flow] or [None] * len(self.values)
        return tuple(
            LayerTrace(
                i, layer.name, self.values[i], self.values[i + 1], flow[i + 1], flow[i],
                dict(_named(layer, "parameters")), dict(_named(layer, "gradients")) if self.flow else {},
            )
            for i, layer in enumerate(self.layers)
        )  # fmt: skip

    def parameters(self) -> dict[str, Array]:
        """All of them by name, such as "0.dense.weight"; the arrays themselves, not copies."""
        return {f"{layer.name}.{key}": value for layer in self.layers for key, value in _named(layer, "parameters")}

    def gradients(self) -> dict[str, Array]:
        return {f"{layer.name}.{key}": value for layer in self.layers for key, value in _named(layer, "gradients")}


def _name(layers: list[Layer], before: str) -> None:
    """ "0.convolution", "1.relu", ...; inside a residual "3.residual.0.convolution"."""
    for index, layer in enumerate(layers):
        layer.name = f"{before}{index}.{type(layer).name}"
        _name(layer.children(), f"{layer.name}.")


def _named(layer: Layer, field: str) -> Iterator[tuple[str, Array]]:
    yield from getattr(layer, field).items()
    for child in layer.children():
        for key, value in _named(child, field):
            yield f"{child.name.removeprefix(layer.name + '.')}.{key}", value


def _finite(x: Array, where: str, what: str = "output") -> Array:
    """x, or an error at the first place where a number is no longer finite."""
    if np.isfinite(x).all():
        return x
    kind = "nan" if np.isnan(x).any() else "infinity"
    if where == "input":
        raise DataError("learn.input_not_finite", kind=kind, count=int((~np.isfinite(x)).sum()))
    raise DivergedError("learn.not_finite", layer=where, what=what, kind=kind, count=int((~np.isfinite(x)).sum()))
