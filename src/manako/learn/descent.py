"""Gradient descent on one weight: look at the slope under your feet, step the other way, again.

    w <- w - rate dL/dw        a negative slope makes the weight larger, a positive one smaller

On a bowl of curvature c (dL/dw = c (w - w*)) each step leaves w - w* times (1 - rate c): it walks down for
rate < 1/c, jumps over the lowest point and comes back for 1/c < rate < 2/c, and flies off beyond 2/c.
Shapes: one number each. Source: A.-L. Cauchy, 1847; I. Goodfellow et al., "Deep Learning", 2016, 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from manako.errors import ConfigError
from manako.learn.shapes import require_count


@dataclass(frozen=True)
class LossCurve:
    """A loss over one weight, its exact slope, the range to draw and a good place to start."""

    name: str
    loss: Callable[[float], float]
    slope: Callable[[float], float]
    low: float
    high: float
    start: float


@dataclass(frozen=True)
class Point:
    """Where the walk stood before step `step` (0, 1, ...), and the `update` that it then added to the weight.

    The last point's update is what would come next.
    """

    step: int
    weight: float
    loss: float
    slope: float
    update: float


CURVES: dict[str, LossCurve] = {
    curve.name: curve
    for curve in (
        LossCurve("bowl", lambda w: 0.5 * (w - 2) ** 2, lambda w: w - 2, -2.0, 6.0, -1.5),
        LossCurve(
            "two_valleys", lambda w: w**4 / 4 - w**2 + 0.3 * w + 1.5, lambda w: w**3 - 2 * w + 0.3, -2.2, 2.2, 2.1
        ),
        LossCurve("plateau", lambda w: 1 - np.exp(-(w**2) / 2), lambda w: w * np.exp(-(w**2) / 2), -4.5, 4.5, 3.0),
    )
}


def descend(curve: LossCurve, *, start: float | None = None, rate: float = 0.1, steps: int = 20) -> tuple[Point, ...]:
    """Every point of the walk, the start first: `steps` + 1, fewer where the weight leaves all bounds (1e6)."""
    require_count("descent", "steps", steps)
    if not (np.isfinite(rate) and rate > 0):
        raise ConfigError("learn.rate", field="rate", value=rate)
    weight = curve.start if start is None else float(start)
    points = []
    for number in range(steps + 1):
        slope = float(curve.slope(weight))
        points.append(Point(number, weight, float(curve.loss(weight)), slope, -rate * slope))
        weight += points[-1].update
        if abs(weight) > 1e6:
            break
    return tuple(points)
