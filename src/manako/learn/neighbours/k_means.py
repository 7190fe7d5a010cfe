"""k-means: every datum belongs to the nearest of k centres; every centre moves to the mean of its data; again.

    inertia = sum over data of |x - its centre|^2        falls with each step, until nothing changes

Shapes: x (N, D), centres (k, D), cluster (N,). Source: S. Lloyd, "Least squares quantization in PCM", 1957 (1982);
start: D. Arthur, S. Vassilvitskii, "k-means++", 2007.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from manako.learn.layer import Array, Integers


@dataclass(frozen=True, eq=False)
class Step:
    """The centres, whose data they have, and the inertia before the centres move on."""

    centres: Array
    cluster: Integers
    inertia: float


def distances(x: Array, centres: Array) -> Array:
    """Squared, (N, k)."""
    squares: Array = ((x[:, None] - centres[None]) ** 2).sum(-1)
    return squares


def nearest(centres: Array) -> Callable[[Array], Integers]:
    """x (N, D) -> (N,) the nearest of these centres."""

    def predict(x: Array) -> Integers:
        cluster: Integers = distances(x, centres).argmin(1)
        return cluster

    return predict


def start(x: Array, k: int, rng: np.random.Generator) -> Array:
    """k-means++: the first centre is any datum; each next one is likelier the farther it is from those chosen."""
    centres = [x[rng.integers(len(x))]]
    while len(centres) < k:
        far = distances(x, np.stack(centres)).min(1)
        chance = far / far.sum() if far.sum() > 0 else None
        centres.append(x[rng.choice(len(x), p=chance)])
    return np.stack(centres)


def find(x: Array, centres: Array, *, steps: int = 100) -> tuple[Step, ...]:
    """Every step from the given centres (k, D) until no datum changes its cluster."""
    centres = np.array(centres, np.float64)
    done: list[Step] = []
    for _ in range(steps):
        squares = distances(x, centres)
        cluster = squares.argmin(1)
        done.append(Step(centres.copy(), cluster, float(squares.min(1).sum())))
        if len(done) > 1 and np.array_equal(done[-2].cluster, cluster):
            break
        for index in range(len(centres)):
            if (cluster == index).any():  # a centre without data stays where it is
                centres[index] = x[cluster == index].mean(0)
    return tuple(done)
