"""Does a generator repeat what it was shown? Made images against all training images, measured by real new ones.

A made image that is near to a training image proves nothing: real images that were never shown lie near to training
images, too. So the distance of the nearest 5 % of these is the ruler, and the share of made images below it is told:
5 % where the generator knows no training image better than a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.generation import Array, distances

NEAR = 0.05  # of the real new images lie this near to a training image
BLOCK = 1000  # training images compared at once


@dataclass(frozen=True, eq=False)
class Nearest:
    """made, real: (N,) distances to the nearest training image. place: (N,) which one it is, of each made image.

    near: the distance below which NEAR of the real ones lie. share: of the made ones below it.
    """

    made: Array
    real: Array
    place: NDArray[np.int64]
    near: float
    share: float


def nearest_training(made: Array, real: Array, training: Iterable[NDArray[np.float32]]) -> Nearest:
    """made, real: (N, D) features of made images and of real ones that were not learnt from. training: (D,) each."""
    both, count = np.concatenate([made, real]), len(made)
    lowest, place, start = np.full(len(both), np.inf), np.zeros(len(both), np.int64), 0
    for block in _blocks(training):
        found = distances(both, block)
        best = found.argmin(1)
        least = found[np.arange(len(both)), best]
        place = np.where(least < lowest, start + best, place)
        lowest = np.minimum(lowest, least)
        start += len(block)
    near = float(np.quantile(lowest[count:], NEAR))
    below = float((lowest[:count] < near).mean()) if near > 0 else float((lowest[:count] <= near).mean())
    return Nearest(lowest[:count], lowest[count:], place[:count], near, below)


def _blocks(rows: Iterable[NDArray[np.float32]]) -> Iterable[Array]:
    held: list[NDArray[np.float32]] = []
    for row in rows:
        held.append(row)
        if len(held) == BLOCK:
            yield np.stack(held).astype(np.float64)
            held = []
    if held:
        yield np.stack(held).astype(np.float64)
