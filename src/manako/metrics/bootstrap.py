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


def ratio_interval(parts: ArrayLike, wholes: ArrayLike, *, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """(low, high): the same for sum(parts) / sum(wholes), both (N,), drawn together. Where nothing or everything
    counts, the bound of N images stands in, as in `mean_interval`."""
    top, bottom = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    if not bottom.any() or (top == 0).all() or (top == bottom).all():
        return mean_interval((top > 0).astype(np.float64), seed=seed, level=level)
    count, tail = len(top), (1 - level) / 2
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // count)
    found = []
    for done in range(0, ROUNDS, size):
        drawn = generator.integers(0, count, (min(size, ROUNDS - done), count))
        found.append(top[drawn].sum(1) / np.maximum(bottom[drawn].sum(1), 1))
    low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
    return float(low), float(high)
