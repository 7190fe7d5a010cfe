"""Average precision over many images, as COCO computes it, with bootstrap intervals that match nothing anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from manako.metrics.bootstrap import mean_interval
from manako.metrics.matching import SIZES, THRESHOLDS, Matches, unpacked

Array = NDArray[np.float64]

RECALLS = np.linspace(0, 1, 101)
ROUNDS = 500
_CHUNK = 4_000_000  # numbers held in memory at once


@dataclass(frozen=True, eq=False)
class Pooled:
    """The found objects of one class in all images, best first.

    score, image: (D,). hit, ignored: (sizes, D) bits as in `Matches`. positives: (sizes, images), true objects that
    count.
    """

    score: NDArray[np.float32]
    image: NDArray[np.int64]
    hit: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
    positives: NDArray[np.int64]

    def flags(self, threshold: int, size: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(right, counted): (D,) each."""
        return unpacked(self.hit[size], threshold), ~unpacked(self.ignored[size], threshold)


def pool(images: Sequence[Matches], classes: int) -> list[Pooled]:
    """One a class. Objects of equal score keep the order of their images, as in COCO."""
    empty = np.zeros((len(SIZES), 0), np.uint16)
    score = np.concatenate([np.empty(0, np.float32), *(m.score for m in images)])
    class_id = np.concatenate([np.empty(0, np.int32), *(m.class_id for m in images)])
    hit = np.concatenate([empty, *(m.hit for m in images)], axis=1)
    ignored = np.concatenate([empty, *(m.ignored for m in images)], axis=1)
    image = np.repeat(np.arange(len(images)), [len(m.score) for m in images])
    positives = np.zeros((classes, len(SIZES), len(images)), np.int64)
    for number, matches in enumerate(images):
        for size, counted in enumerate(matches.positives):
            np.add.at(positives, (matches.truth_class[counted], size, number), 1)
    order = np.argsort(-score, kind="stable")
    groups = [order[class_id[order] == kind] for kind in range(classes)]
    return [
        Pooled(score[rows], image[rows], hit[:, rows], ignored[:, rows], positives[kind])
        for kind, rows in enumerate(groups)
    ]


def average_precisions(pooled: Sequence[Pooled]) -> Array:
    """(sizes, thresholds, classes); NaN where a class has no true object of that size."""
    table = np.full((len(SIZES), len(THRESHOLDS), len(pooled)), np.nan)
    for kind, found in enumerate(pooled):
        for size in range(len(SIZES)):
            for threshold in range(len(THRESHOLDS)):
                table[size, threshold, kind] = curve(found, threshold, size).mean()
    return table


def curve(found: Pooled, threshold: int = 0, size: int = 0) -> Array:
    """(101,): the best precision at each of RECALLS or beyond it; NaN without true objects."""
    positives = found.positives[size].sum(keepdims=True)
    if not positives[0]:
        return np.full(len(RECALLS), np.nan)
    right, counted = found.flags(threshold, size)
    ones = np.ones((1, len(right)))
    envelope, steps = _envelope(right, counted, ones, positives)
    reached = np.repeat(envelope[0], steps[0])
    return np.pad(reached, (0, len(RECALLS) - len(reached)))


def _envelope(
    right: NDArray[np.bool_], counted: NDArray[np.bool_], weight: Array, positives: NDArray[np.int64]
) -> tuple[Array, NDArray[np.int64]]:
    """For each right object, in rounds (R, ...): the best precision there or later, and how many RECALLS it reaches
    first. weight: (R, D) how often each object's image was drawn. positives: (R,)"""
    places = np.flatnonzero(right)
    hits = np.cumsum(weight[:, places], axis=1)
    total = np.cumsum(weight * counted, axis=1)[:, places]
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / np.maximum(positives, 1)[:, None]
    passed = np.searchsorted(RECALLS, recall, side="right")
    return envelope, np.diff(passed, axis=1, prepend=0)


def interval(pooled: Sequence[Pooled], images: int, value: float, *, seed: int = 0) -> tuple[float, float]:
    """(low, high): 95 % bootstrap interval over images of the mean over classes and thresholds.

    An image that is drawn twice makes average precision higher, so the interval is corrected for that (Efron 1987, the
    bias-corrected percentile interval).
    """
    if value in (0.0, 1.0):
        return mean_interval(np.full(images, value), seed=seed)
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), ROUNDS)
    scores = resampled(pooled, drawn)
    scores = scores[np.isfinite(scores)]
    normal = NormalDist()
    below = (scores < value).mean() + (scores == value).mean() / 2
    shift = 2 * normal.inv_cdf(float(np.clip(below, 0.5 / ROUNDS, 1 - 0.5 / ROUNDS)))
    ends = [normal.cdf(shift + normal.inv_cdf(tail)) for tail in (0.025, 0.975)]
    low, high = np.quantile(scores, ends)
    return min(float(low), value), max(float(high), value)


def resampled(pooled: Sequence[Pooled], drawn: NDArray[np.int64]) -> Array:
    """(R,): the score when image i counts `drawn[r, i]` times."""
    total, classes = np.zeros(len(drawn)), np.zeros(len(drawn))
    for found in pooled:
        step = max(1, _CHUNK // max(1, len(found.score)))
        for start in range(0, len(drawn), step):
            part = slice(start, start + step)
            positives = drawn[part] @ found.positives[0]
            total[part] += np.where(positives > 0, _mean_precision(found, drawn[part], positives), 0)
            classes[part] += positives > 0
    return np.asarray(np.divide(total, classes, out=np.full(len(drawn), np.nan), where=classes > 0))


def _mean_precision(found: Pooled, drawn: NDArray[np.int64], positives: NDArray[np.int64]) -> Array:
    """(R,): of one class, over the thresholds."""
    weight = drawn[:, found.image].astype(np.float64)
    sums = np.zeros(len(drawn))
    for threshold in range(len(THRESHOLDS)):
        right, counted = found.flags(threshold, 0)
        envelope, steps = _envelope(right, counted, weight, positives)
        sums += (envelope * steps).sum(axis=1)
    return np.asarray(sums / (len(RECALLS) * len(THRESHOLDS)))


def best_confidence(pooled: Sequence[Pooled], default: float) -> float:
    """The score from which on objects should be shown: where F1 at an overlap of 0.5, a mean over classes, is highest.

    Where a stretch of scores does equally well, its middle. `default` without true objects.
    """
    grid = np.linspace(0.01, 0.99, 99)
    known = [found for found in pooled if found.positives[0].sum()]
    if not known:
        return default
    mean = np.mean([f1_curve(found, grid) for found in known], axis=0)
    if not mean.max() > 0:
        return default
    best = np.flatnonzero(mean >= mean.max() - 1e-9)
    run = best[: np.flatnonzero(np.diff(best, append=len(grid) + 1) > 1)[0] + 1]
    return float(round(grid[run].mean(), 4))


def f1_curve(found: Pooled, grid: Array) -> Array:
    """F1 at an overlap of 0.5 when objects from each score of `grid` on are taken."""
    right, counted = found.flags(0, 0)
    taken = np.searchsorted(-found.score, -grid, side="right")
    hits = np.append(0, np.cumsum(right))[taken]
    shown = np.append(0, np.cumsum(counted))[taken]
    return np.asarray(2 * hits / np.maximum(shown + found.positives[0].sum(), 1))
