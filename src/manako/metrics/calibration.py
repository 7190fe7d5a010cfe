"""Is a score of 0.8 right eight times out of ten? Measured by ECE, mended by a temperature (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BINS = 15
COLDEST, HOTTEST = 0.05, 20.0


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Array:
    """(bins, 3): mean confidence, share of correct answers, number of answers in each of equal bins of 0..1.

    An empty bin has its middle as confidence, and NaN as share.
    """
    sure = np.asarray(confidence, np.float64)
    right = np.asarray(correct, np.float64)
    place = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    filled = np.maximum(count, 1)
    mean = np.bincount(place, sure, bins) / filled
    share = np.bincount(place, right, bins) / filled
    middle = (np.arange(bins) + 0.5) / bins
    return np.stack([np.where(count > 0, mean, middle), np.where(count > 0, share, np.nan), count], 1)


def expected_calibration_error(table: Array) -> float:
    """The mean distance between confidence and share of correct answers, from `reliability`'s table."""
    filled = table[table[:, 2] > 0]
    if not len(filled):
        return 0.0
    return float((np.abs(filled[:, 0] - filled[:, 1]) * filled[:, 2]).sum() / filled[:, 2].sum())


def best_temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """The T for which softmax(logits / T) gives `truth` (N,) the lowest negative log-likelihood.

    The loss is convex in 1/T, so its slope is brought to 0 by halving an interval. A share of 1 / (N + 2) of each
    target is spread over all classes (Platt 1999): a few images, all right, must not make a model certain.
    """
    scores = np.asarray(logits, np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    wanted = np.asarray(truth, np.int64)
    spread = 1 / (len(scores) + 2)
    target = (1 - spread) * scores[np.arange(len(scores)), wanted].mean() + spread * scores.mean()
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _mean_score(scores, float(np.exp(middle))) > target:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def _mean_score(scores: Array, sharpness: float) -> float:
    """The mean over images of the score that softmax(sharpness * scores) expects."""
    weight = np.exp(scores * sharpness)
    return float(((weight * scores).sum(axis=1) / weight.sum(axis=1)).mean())
