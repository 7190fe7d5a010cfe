"""What every layer is: it takes numbers forward, and hands gradients backward.

    forward   y = f(x; parameters)
    backward  given dL/dy, returns dL/dx and leaves dL/dparameter in `gradients`    (the chain rule)

Shapes: dL/dy is like y, dL/dx like x, each gradient like its parameter.
Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors", 1986.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


class Layer:
    """A layer keeps what its last forward pass saw; ask for it after any pass. `name` is used in errors and traces."""

    name = "layer"

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """`training` matters to dropout and batch normalisation only."""
        raise NotImplementedError

    def backward(self, gradient: Array) -> Array:
        """To be called after `forward`, with dL/dy."""
        raise NotImplementedError

    def children(self) -> list[Layer]:
        """The layers inside this one."""
        return []


def start_weights(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator | None, dtype: npt.DTypeLike) -> Array:
    """Normal with variance 2 / fan_in, which keeps the scale through ReLU layers (K. He et al., 2015)."""
    rng = np.random.default_rng(0) if rng is None else rng
    weights: Array = rng.normal(0.0, np.sqrt(2.0 / fan_in), shape).astype(dtype)
    return weights
