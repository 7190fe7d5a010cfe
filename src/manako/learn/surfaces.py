"""Loss surfaces over two weights, and the ways that optimisers take across them.

    bowl        (x^2 + y^2) / 2                      every way is a good way
    ravine      (x^2 + 25 y^2) / 2                   plain descent zigzags between the walls; momentum runs along
    saddle      x^2 / 2 - y^2 / 2 + y^4 / 4          the slope is 0 at the middle, which is no minimum
    rosenbrock  (1 - x)^2 + 10 (y - x^2)^2           a bent, nearly flat valley
    himmelblau  (x^2 + y - 11)^2 + (x + y^2 - 7)^2   four minima: the start decides

Shapes: x and y numbers or arrays of one shape; gradient (2, ...). Source: H. H. Rosenbrock, 1960; D. Himmelblau, 1972.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manako.learn.layer import Array
from manako.learn.optimisers import Optimiser
from manako.learn.shapes import require_count


@dataclass(frozen=True)
class Surface:
    """`bounds` to draw: x from, x to, y from, y to. `minima`: where the loss is lowest."""

    name: str
    height: Callable[[Array, Array], Array]
    slopes: Callable[[Array, Array], tuple[Array, Array]]
    start: tuple[float, float]
    bounds: tuple[float, float, float, float]
    minima: tuple[tuple[float, float], ...]

    def loss(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        return self.height(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))

    def gradient(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        return np.stack(self.slopes(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)))


@dataclass(frozen=True, eq=False)
class Walk:
    """`points` (T + 1, 2), the start first, and their `losses`; `diverged`: it left all bounds, and stops there."""

    points: Array
    losses: Array
    diverged: bool


SURFACES: dict[str, Surface] = {
    surface.name: surface
    for surface in (
        Surface(
            "bowl", lambda x, y: (x**2 + y**2) / 2, lambda x, y: (x, y),
            (-2.0, 1.5), (-2.5, 2.5, -2.5, 2.5), ((0.0, 0.0),),
        ),
        Surface(
            "ravine", lambda x, y: (x**2 + 25 * y**2) / 2, lambda x, y: (x, 25 * y),
            (-4.0, 1.0), (-4.5, 1.5, -1.5, 1.5), ((0.0, 0.0),),
        ),
        Surface(
            "saddle", lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4, lambda x, y: (x, y**3 - y),
            (-1.5, 0.01), (-2.0, 2.0, -1.8, 1.8), ((0.0, -1.0), (0.0, 1.0)),
        ),
        Surface(
            "rosenbrock", lambda x, y: (1 - x) ** 2 + 10 * (y - x**2) ** 2,
            lambda x, y: (-2 * (1 - x) - 40 * x * (y - x**2), 20 * (y - x**2)),
            (-1.2, 1.0), (-2.0, 2.0, -1.0, 3.0), ((1.0, 1.0),),
        ),
        Surface(
            "himmelblau", lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
            lambda x, y: (4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7), 2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7)),
            (0.0, 0.0), (-5.0, 5.0, -5.0, 5.0),
            ((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127)),
        ),
    )
}  # fmt: skip


def walk(surface: Surface, optimiser: Optimiser, *, steps: int = 100, start: tuple[float, float] | None = None) -> Walk:
    """`steps` of the optimiser down the surface, every point kept."""
    require_count("walk", "steps", steps)
    place: Array = np.array(surface.start if start is None else start, dtype=np.float64)
    points = [place.copy()]
    for _ in range(steps):
        optimiser.step({"place": place}, {"place": surface.gradient(*place)})
        if not np.abs(place).max() < 1e6:
            return _walk(surface, points, diverged=True)
        points.append(place.copy())
    return _walk(surface, points, diverged=False)


def _walk(surface: Surface, points: list[Array], *, diverged: bool) -> Walk:
    way = np.stack(points)
    return Walk(way, np.asarray(surface.loss(way[:, 0], way[:, 1])), diverged)
