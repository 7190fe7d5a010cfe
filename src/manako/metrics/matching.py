"""Which found object is which true one, by the rules of COCO, for boxes and regions alike.

What is kept of an image is a small table, so that scores, curves and bootstrap intervals of a whole data set need
neither boxes nor masks again. Source: Lin et al. 2014, "Microsoft COCO", arXiv 1405.0312, and its evaluation code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.boxes import Overlap

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the overlap
SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
MOST = 100  # objects of one class in one image that are scored

_LIMITS = np.array(list(SIZES.values()))
_BITS = 1 << np.arange(len(THRESHOLDS))


@dataclass(frozen=True, eq=False)
class Objects:
    """What is compared of the objects of one image. class_id: (N,). score: (N,). area: (N,) pixels."""

    class_id: NDArray[np.int64]
    score: NDArray[np.float32]
    area: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matches:
    """One image, its D scored objects class by class, best first.

    class_id, score: (D,). hit, ignored: (sizes, D) uint16, one bit for each of THRESHOLDS: right; neither right nor
    wrong. positives: (sizes, G) bool, which true objects count; truth_class: (G,).
    """

    class_id: NDArray[np.int32]
    score: NDArray[np.float32]
    hit: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
    truth_class: NDArray[np.int32]
    positives: NDArray[np.bool_]


def match(found: Objects, truth: Objects, crowd: NDArray[np.bool_], overlap: Overlap) -> Matches:
    """crowd: (G,) regions of many objects. overlap: (D, G), see `boxes.overlaps`."""
    order = _best_of_each_class(found)
    class_id, area = found.class_id[order], found.area[order]
    overlap = overlap[order]
    positives = _within(truth.area) & ~crowd
    hit = np.zeros((len(SIZES), len(order)), np.uint16)
    ignored = np.zeros_like(hit)
    for kind in np.unique(class_id):
        rows, columns = np.flatnonzero(class_id == kind), np.flatnonzero(truth.class_id == kind)
        counted = positives[:, columns]
        partner = partners(overlap[np.ix_(rows, columns)], crowd[columns], counted)
        matched = partner >= 0
        known = np.pad(counted, ((0, 0), (0, 1)))  # the last place is that of -1, no partner
        right = np.take_along_axis(known[:, None], partner, axis=2)
        out = np.where(matched, ~right, ~_within(area[rows])[:, None])
        hit[:, rows], ignored[:, rows] = _packed(right), _packed(out)
    return Matches(
        class_id.astype(np.int32), found.score[order], hit, ignored, truth.class_id.astype(np.int32), positives
    )


def partners(overlap: Overlap, crowd: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(sizes, thresholds, D): the true object that each found one of the same class takes, -1 for none.

    overlap: (D, G), found objects best first. Each takes, of those that are left, the one that it overlaps most; one
    that counts (`counted`, (sizes, G)) before one that doesn't. A crowd is never used up.
    """
    bars = np.minimum(THRESHOLDS, 1 - 1e-10)[None, :, None]
    found, count = overlap.shape
    answer = np.full((len(counted), len(THRESHOLDS), found), -1, np.int64)
    free = np.ones((len(counted), len(THRESHOLDS), count), np.bool_)
    near = np.flatnonzero(overlap.max(axis=1, initial=0) >= bars.min()) if count else ()
    for row in near:
        fits = free & (overlap[row] >= bars)
        good = fits & counted[:, None]
        value = np.where(good.any(axis=2, keepdims=True), good, fits) * overlap[row]
        best = count - 1 - value[..., ::-1].argmax(axis=2)  # of equals the last one, as COCO does
        some = fits.any(axis=2)
        answer[..., row][some] = best[some]
        size, bar = np.nonzero(some)
        free[size, bar, best[some]] = crowd[best[some]]
    return answer


def _best_of_each_class(found: Objects) -> NDArray[np.int64]:
    """Places of at most MOST objects of each class, class by class, best first."""
    order = np.lexsort((-found.score.astype(np.float64), found.class_id))
    kinds = found.class_id[order]
    first = np.flatnonzero(np.diff(kinds, prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return order[place < MOST]


def _within(area: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(sizes, N)"""
    low, high = _LIMITS[:, :1], _LIMITS[:, 1:]
    return np.asarray((area >= low) & (area <= high))


def _packed(flags: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """(sizes, thresholds, D) -> (sizes, D)"""
    return np.asarray(np.einsum("std,t->sd", flags, _BITS).astype(np.uint16))


def unpacked(bits: NDArray[np.uint16], threshold: int) -> NDArray[np.bool_]:
    """The flags of the threshold with this number, any shape."""
    return np.asarray((bits >> threshold) & 1, np.bool_)
