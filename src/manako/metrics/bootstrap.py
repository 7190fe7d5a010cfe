"""Intervals of means: how far a score could be off, because the test images are only a sample (Efron 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

ROUNDS = 2000
_CHUNK = 4_000_000  # draws held in memory at once


def mean_interval(values: ArrayLike, *, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """(low, high): the percentile bootstrap interval of the mean of `values` (N,), each 0..1, one an image.

    Where all values are 0 or all are 1, resampling would say that nothing is uncertain: the exact binomial bound
    (Clopper and Pearson 1934) stands in.
    """
    array = np.asarray(values, np.float64)
    count, tail = len(array), (1 - level) / 2
    if count == 0:
        return 0.0, 1.0
    if (array == array[0]).all() and array[0] in (0.0, 1.0):
        reach = tail ** (1 / count)
        return (reach, 1.0) if array[0] == 1.0 else (0.0, 1 - reach)
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // count)
    starts = range(0, ROUNDS, size)
    means = [array[generator.integers(0, count, (min(size, ROUNDS - s), count))].mean(axis=1) for s in starts]
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
