"""Scores of anomaly detectors, of whole images and of pixels, from a few thousand numbers an image.

Pixel scores are counted in BINS equal bins of 0..1, so that no heat map has to be kept: two pixels whose scores lie
in one bin count as equal. The areas under the curves are exact for scores rounded so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.types import Anomaly

BINS = 4096
FPR_LIMIT = 0.3  # of AU-PRO (Bergmann et al. 2019)
RECALL = 0.99
ROUNDS = 1000
_CHUNK = 2_000_000  # numbers held at once while resampling
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImageMeasure:
    """One image. normal, defective: (BINS,) its pixels by score, or None where the place of its defect or its heat
    map is not known. overlap: (BINS,) sum over its `regions` of the share of the region in each bin."""

    score: float
    defect: bool
    kind: str
    normal: NDArray[np.uint32] | None = None
    defective: NDArray[np.uint32] | None = None
    overlap: NDArray[np.float32] | None = None
    regions: int = 0


def measure_image(prediction: Anomaly, truth: Anomaly) -> ImageMeasure:
    """prediction.heatmap and truth.heatmap have one shape. A normal image's truth needs no heat map.

    Raises ValueError where the shapes differ.
    """
    found, defect = prediction.heatmap, truth.score > 0.5
    if found is None or (defect and truth.heatmap is None):
        return ImageMeasure(prediction.score, defect, truth.kind)
    places = np.clip(found * BINS, 0, BINS - 1).astype(np.int64)
    if truth.heatmap is None or not truth.heatmap.any():
        return ImageMeasure(prediction.score, defect, truth.kind, normal=_counts(places))
    if truth.heatmap.shape != found.shape:
        raise ValueError(f"heat maps {found.shape} and {truth.heatmap.shape} must have one shape")
    marked = truth.heatmap > 0.5
    overlap, regions = _overlap(places, marked)
    return ImageMeasure(
        prediction.score, defect, truth.kind, _counts(places[~marked]), _counts(places[marked]), overlap, regions
    )


def _counts(places: NDArray[np.int64]) -> NDArray[np.uint32]:
    return np.bincount(places.ravel(), minlength=BINS).astype(np.uint32)


def _overlap(places: NDArray[np.int64], marked: NDArray[np.bool_]) -> tuple[NDArray[np.float32], int]:
    from scipy.ndimage import label

    regions, count = label(marked, np.ones((3, 3)))
    own = regions[marked]
    weights = 1.0 / np.bincount(own, minlength=count + 1)[own]
    return np.bincount(places[marked], weights, BINS).astype(np.float32), int(count)


def auroc(positive: Numbers, negative: Numbers) -> Numbers:
    """Area under the ROC curve from counts (..., bins) of both kinds, bins in rising order of the score."""
    below = np.cumsum(negative, -1) - negative / 2  # of equal scores, half count as below
    pairs = positive.sum(-1) * negative.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Numbers = (positive * below).sum(-1) / pairs
    return area


def aupro(overlap: Numbers, regions: Numbers, negative: Numbers, *, limit: float = FPR_LIMIT) -> Numbers:
    """Area under the mean overlap of regions against the false-positive rate of pixels up to `limit`, over `limit`.

    overlap: (..., bins), regions: (...), negative: (..., bins) counts of pixels without defect.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = _from_above(negative) / negative.sum(-1, keepdims=True)
        hit = _from_above(overlap) / regions[..., None]
    start, end = rate[..., :-1], rate[..., 1:]
    inside = np.clip(limit - start, 0, end - start)  # how much of each piece of the curve lies under the limit
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(end > start, inside / (end - start), 0.0)
    middle = hit[..., :-1] + (hit[..., 1:] - hit[..., :-1]) * share / 2
    area: Numbers = (middle * inside).sum(-1) / limit
    return area


def _from_above(values: Numbers) -> Numbers:
    """0, then the sums of the highest bin, of the two highest ..."""
    sums = np.cumsum(values[..., ::-1], -1)
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), sums], -1)


class Areas:
    """The three areas of a set of images, and their intervals. scores: (N,); defect: (N,) bool."""

    def __init__(self, measures: Sequence[ImageMeasure]) -> None:
        self.measures = measures
        self.scores = np.array([m.score for m in measures], np.float64)
        self.defect = np.array([m.defect for m in measures], np.bool_)
        self._ranks = np.unique(self.scores, return_inverse=True)[1].reshape(-1)
        self._seen = np.array([m.normal is not None for m in measures], np.bool_)

    def image_auroc(self, weights: Numbers | None = None) -> Numbers:
        """weights: (rounds, N), how often each image was drawn."""
        given = np.ones((1, len(self.scores))) if weights is None else weights
        counts = [
            _sums(given[:, part], self._ranks[part], self._ranks.max() + 1) for part in (self.defect, ~self.defect)
        ]
        return auroc(*counts)

    def pixels(self, weights: Numbers | None = None) -> tuple[Numbers, Numbers]:
        """(pixel AUROC, AU-PRO), NaN where no place of a defect is known."""
        given = np.ones((1, len(self.scores))) if weights is None else weights
        negative = self._total("normal", given)
        positive, overlap = self._total("defective", given), self._total("overlap", given)
        regions = given @ np.array([m.regions for m in self.measures], np.float64)
        return auroc(positive, negative), aupro(overlap, regions, negative)

    def _total(self, name: str, weights: Numbers) -> Numbers:
        total = np.zeros((len(weights), BINS))
        for index, measure in enumerate(self.measures):
            value = getattr(measure, name)
            if value is not None:
                total += weights[:, index, None] * value
        return total

    def intervals(self, *, seed: int = 0, level: float = 0.95) -> Numbers:
        """(3, 2): bootstrap intervals of image AUROC, pixel AUROC and AU-PRO.

        Normal and defective images are drawn apart, so that both are always there.
        """
        random, count = np.random.default_rng(seed), len(self.scores)
        rounds = max(1, _CHUNK // max(count, BINS))
        found: list[Numbers] = []
        for start in range(0, ROUNDS, rounds):
            weights = np.zeros((min(rounds, ROUNDS - start), count))
            for part in (self.defect, ~self.defect):
                number = int(part.sum())
                if number:
                    weights[:, part] = random.multinomial(number, np.full(number, 1 / number), len(weights))
            found.append(np.stack([self.image_auroc(weights), *self.pixels(weights)]))
        tail = (1 - level) / 2
        rounds_of = [values[np.isfinite(values)] for values in np.concatenate(found, 1)]
        ends = [np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan) for values in rounds_of]
        return np.array(ends)


def _sums(weights: Numbers, places: NDArray[np.int64], size: int) -> Numbers:
    """(rounds, size): the weights (rounds, M) added up by place (M,)."""
    rounds = len(weights)
    flat = (np.arange(rounds)[:, None] * size + places).ravel()
    sums: Numbers = np.bincount(flat, weights.ravel(), rounds * size).reshape(rounds, size).astype(np.float64)
    return sums


def threshold_scores(scores: Numbers, defect: NDArray[np.bool_]) -> dict[str, float]:
    """What a threshold of 0.5 gives, and how many normal images are reported where 99 % of the defects must be.

    Only what can be told: without defects, the false-alarm rate alone.
    """
    from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_curve

    said = scores > 0.5
    found: dict[str, float] = {}
    if defect.any() and not defect.all():
        rate, recall, _ = roc_curve(defect, scores, drop_intermediate=False)
        found = {
            "aupr": float(average_precision_score(defect, scores)),
            "threshold_f1": float(f1_score(defect, said, zero_division=0)),
            "threshold_precision": float(precision_score(defect, said, zero_division=0)),
            "threshold_recall": float(recall_score(defect, said, zero_division=0)),
            "false_alarms_at_99_recall": float(rate[recall >= RECALL].min()),
        }
    if not defect.all():
        found["false_alarm_rate"] = float(said[~defect].mean())
    return found


def kind_scores(measures: Sequence[ImageMeasure]) -> dict[str, dict[str, float]]:
    """Each kind of defect against all normal images; normal images by themselves have no entry."""
    normal = [m for m in measures if not m.defect]
    found: dict[str, dict[str, float]] = {}
    for kind in sorted({m.kind for m in measures if m.defect}):
        own = [m for m in measures if m.defect and m.kind == kind]
        areas = Areas(normal + own)
        pixel, pro = (float(value[0]) for value in areas.pixels())
        row = {"image_auroc": float(areas.image_auroc()[0]), "pixel_auroc": pixel, "aupro": pro}
        row |= {"recall": float(np.mean([m.score > 0.5 for m in own])), "support": float(len(own))}
        found[kind] = {name: value for name, value in row.items() if np.isfinite(value)}
    return found
