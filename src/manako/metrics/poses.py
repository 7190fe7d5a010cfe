"""How well points were placed: object keypoint similarity (COCO), share of correct points, distance in pixels.

OKS and its average precision follow the COCO evaluation; `oks_ap` equals pycocotools' to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.types import Poses

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = 20  # subjects of an image that count, best first (COCO)
NEAR = 0.1  # of the box's longer side: so close a point is correct
SPACING = float(np.spacing(1))

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PoseMeasure:
    """One image. For each predicted subject, best first: score (D,), hit (10, D) and left_out (10, D) at each OKS
    threshold. For each true one that has labelled points: distance (G, K), NaN where not labelled; found (G, K);
    side (G,), the longer one of its box; root_area (G,); unlabelled points have found False."""

    score: Floats
    hit: Bools
    left_out: Bools
    distance: Floats
    found: Bools
    side: Floats


def similarity(predicted: Poses, truth: Poses, sigmas: Sequence[float]) -> Floats:
    """(D, G): OKS of each predicted with each true subject.

    A true subject without labelled points has none: then it is measured how far points lie outside its doubled box.
    """
    spread = (2 * np.asarray(sigmas, np.float64)) ** 2
    known: Bools = truth.score > 0  # (G, K)
    xy = np.nan_to_num(predicted.xy.astype(np.float64))[:, None]
    far = xy - np.where(known[..., None], truth.xy, 0)[None]
    low, high = truth.xyxy[:, :2], truth.xyxy[:, 2:]
    outer_low, outer_high = (low - (high - low))[None, :, None], (high + (high - low))[None, :, None]
    outside = np.maximum(0, outer_low - xy) + np.maximum(0, xy - outer_high)
    counted: Bools = np.asarray(known.any(axis=1))
    far = np.where(counted[None, :, None, None], far, outside)
    exponent = (far**2).sum(-1) / spread / (truth.area.astype(np.float64)[None, :, None] + SPACING) / 2
    weight = np.where(counted[:, None], known, True)
    total: Floats = (np.exp(-exponent) * weight).sum(-1) / np.maximum(1, weight.sum(-1))
    return total


def measure(predicted: Poses, truth: Poses, sigmas: Sequence[float]) -> PoseMeasure:
    """Compare one image's subjects with the true ones."""
    ranking = subject_scores(predicted)
    order = np.argsort(-ranking, kind="stable")[:MOST]
    counted: Bools = np.asarray((truth.score > 0).any(axis=1))
    columns = np.argsort(~counted, kind="stable")  # those left out come last
    oks = similarity(predicted, truth, sigmas)[order][:, columns]
    crowd = np.zeros(len(truth), np.bool_) if truth.crowd is None else truth.crowd
    hit, left_out = _hits(oks, ~counted[columns], crowd[columns])
    distance, found = _distances(predicted, truth, np.flatnonzero(counted))
    sides = (truth.xyxy[counted, 2:] - truth.xyxy[counted, :2]).max(1, initial=1.0)
    return PoseMeasure(ranking[order], hit, left_out, distance, found, sides.astype(np.float64))


def subject_scores(poses: Poses) -> Floats:
    """(N,): the mean score of a subject's points; those that were not found count 0."""
    scores: Floats = np.where(np.isnan(poses.xy).any(-1), 0, poses.score).astype(np.float64).mean(1)
    return scores


def _hits(oks: Floats, ignored: Bools, crowd: Bools) -> tuple[Bools, Bools]:
    """Each predicted subject takes the best true one that is still free; one to be left out only if no other fits. A
    crowd is never taken up."""
    hit = np.zeros((len(THRESHOLDS), len(oks)), np.bool_)
    left_out = np.zeros_like(hit)
    for level, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(ignored), np.bool_)
        for row, similar in enumerate(oks):
            for group in (~ignored, ignored):
                candidates = np.flatnonzero(free & group & (similar >= min(threshold, 1 - 1e-10)))
                if len(candidates):
                    best = candidates[len(candidates) - 1 - similar[candidates][::-1].argmax()]  # the last of equals
                    free[best] = crowd[best]
                    hit[level, row], left_out[level, row] = not ignored[best], ignored[best]
                    break
    return hit, left_out


def _distances(predicted: Poses, truth: Poses, which: NDArray[np.int64]) -> tuple[Floats, Bools]:
    """Pixels from each labelled point of the subjects `which` to the predicted one; nearest subjects are paired first.

    A point that was not found counts as far off as the subject is large (the root of its area).
    """
    known = truth.score[which] > 0
    gap = np.linalg.norm(predicted.xy[:, None].astype(np.float64) - truth.xy[None, which], axis=-1)
    missing = np.sqrt(truth.area[which].astype(np.float64))[:, None]
    gap = np.where(known, np.where(np.isnan(gap), missing, gap), np.nan)  # (D, G, K)
    distance = np.where(known, np.broadcast_to(missing, known.shape), np.nan)
    found = np.zeros_like(known)
    cost = np.nanmean(gap, axis=-1) if gap.size else np.zeros(gap.shape[:2])
    for _ in range(min(cost.shape)):
        row, column = np.unravel_index(cost.argmin(), cost.shape)
        distance[column] = gap[row, column]
        found[column] = known[column] & ~np.isnan(predicted.xy[row]).any(-1)
        cost[row], cost[:, column] = np.inf, np.inf
    return distance, found


@dataclass(frozen=True, eq=False)
class OksAp:
    """Average precision of subjects, for all images or any multiset of them."""

    image: NDArray[np.int64]  # (D,) of each predicted subject, best first
    hit: Bools  # (10, D)
    left_out: Bools
    subjects: NDArray[np.int64]  # (N,) true ones in each image

    @classmethod
    def of(cls, measures: Sequence[PoseMeasure]) -> OksAp:
        score = np.concatenate([m.score for m in measures])
        order = np.argsort(-score, kind="stable")
        image = np.repeat(np.arange(len(measures)), [len(m.score) for m in measures])
        hit, left_out = (np.concatenate([getattr(m, n) for m in measures], 1) for n in ("hit", "left_out"))
        subjects = np.array([len(m.side) for m in measures], np.int64)
        return cls(image[order], hit[:, order], left_out[:, order], subjects)

    def __call__(self, times: NDArray[np.int64]) -> Floats:
        """(10,) average precision at each threshold where image i counts `times[i]` times; NaN without true ones."""
        total = float(self.subjects @ times)
        if not total:
            return np.full(len(THRESHOLDS), np.nan)
        weight = times[self.image]
        right = np.cumsum(self.hit * weight, axis=1)
        wrong = np.cumsum((~self.hit & ~self.left_out) * weight, axis=1)
        found = np.zeros(len(THRESHOLDS))
        for level, (tp, fp) in enumerate(zip(right, wrong, strict=True)):
            precision = np.maximum.accumulate((tp / (tp + fp + SPACING))[::-1])[::-1]
            place = np.searchsorted(tp / total, RECALLS, side="left")
            inside = place < len(precision)
            found[level] = precision[place[inside]].sum() / len(RECALLS)
        return found
