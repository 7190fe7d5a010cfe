"""Points that tremble from picture to picture are steadied: little where they move fast, much where they rest.

Paper: Casiez, Roussel, Vogel 2012, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from manako.runtime.predictor import Result
from manako.runtime.sequences import moments
from manako.types import Poses

Array = NDArray[np.float64]
REST = 1.0  # Hz: what is faster than this is taken for trembling in a point that rests
SPEED = 0.02  # Hz more for each pixel a second, at a subject of `SIZE` pixels
DERIVATIVE = 1.0  # Hz, for the speed itself
SIZE = 100.0
FORGOTTEN = 0.5  # seconds after which a subject that was not seen is a new one
APART = 0.5  # of a subject's size: farther away, it is another one


class OneEuro:
    """Filters numbers of one shape over time. rest: Hz. speed: Hz a unit a second. NaN starts a number anew."""

    def __init__(self, *, rest: float = REST, speed: float = SPEED) -> None:
        self.rest, self.speed = rest, speed
        self._value: Array | None = None
        self._rate: Array | None = None
        self._seconds = 0.0

    def __call__(self, value: Array, seconds: float) -> Array:
        """value at time `seconds` (rising) -> the steadied value."""
        elapsed = seconds - self._seconds
        if self._value is None or self._rate is None or elapsed <= 0:
            self._value, self._rate, self._seconds = value.copy(), np.zeros_like(value), seconds
            return value
        before = np.where(np.isnan(self._value), value, self._value)
        slope = np.nan_to_num((value - before) / elapsed)
        rate = self._rate + _share(np.asarray(DERIVATIVE), elapsed) * (slope - self._rate)
        steady = before + _share(self.rest + self.speed * np.abs(rate), elapsed) * (value - before)
        self._value, self._rate, self._seconds = steady, rate, seconds
        found: Array = steady
        return found


def _share(cutoff: Array, elapsed: float) -> Array:
    """Of the new value, for a low-pass filter with this cut-off in Hz."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff * elapsed)))


@dataclass
class _Subject:
    filter: OneEuro
    xy: Array
    seconds: float


class PoseSmoother:
    """Steadies the poses of one video; subjects are told apart by where they were."""

    def __init__(self) -> None:
        self._subjects: list[_Subject] = []

    def __call__(self, poses: Poses, seconds: float) -> Poses:
        self._subjects = [s for s in self._subjects if seconds - s.seconds <= FORGOTTEN]
        free = list(self._subjects)
        xy = poses.xy.astype(np.float64)
        sizes = np.sqrt(poses.area.astype(np.float64))
        for row, (points, size) in enumerate(zip(xy, sizes, strict=True)):
            known = min(free, key=lambda s: _apart(s.xy, points), default=None)
            if known is None or not _apart(known.xy, points) <= APART * size:
                known = _Subject(OneEuro(speed=SPEED * SIZE / max(size, 1.0)), points, seconds)
                self._subjects.append(known)
            else:
                free.remove(known)
            xy[row] = known.filter(points, seconds)
            known.xy, known.seconds = points, seconds
        return replace(poses, xy=xy.astype(np.float32))


def _apart(one: Array, other: Array) -> float:
    """The mean distance of the points that both have; infinite without any."""
    gaps = np.linalg.norm(one - other, axis=-1)
    known = ~np.isnan(gaps)
    return float(gaps[known].mean()) if known.any() else math.inf


def smoothed(results: Iterable[Result]) -> Iterator[Result]:
    """The results with the poses of each sequence steadied."""
    sequence, smoother = None, PoseSmoother()
    for moment, result in moments(results):
        if moment.sequence != sequence:
            sequence, smoother = moment.sequence, PoseSmoother()
        if isinstance(result.prediction, Poses):
            result = replace(result, prediction=smoother(result.prediction, moment.seconds))
        yield result
