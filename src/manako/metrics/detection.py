"""All scores of found objects (boxes or regions): COCO's average precision, and what goes wrong at the confidence from
which on objects are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.average_precision import RECALLS, average_precisions, curve, f1_curve, interval, pool
from manako.metrics.box_mistakes import KINDS, Mistakes, find_mistakes
from manako.metrics.boxes import Overlap
from manako.metrics.matching import SIZES, Matches, Objects, match
from manako.types import Detections, Evaluation, Score

_AP50, _AP75 = 0, 5  # places in THRESHOLDS
GRID = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True, eq=False)
class ImageScore:
    """All that is kept of one image. confidence: from which on its objects were shown."""

    matches: Matches
    mistakes: Mistakes
    confidence: float


def score_image(
    found: Detections, truth: Detections, areas: tuple[NDArray[np.float64], NDArray[np.float64]], overlap: Overlap
) -> ImageScore:
    """areas: of what was found (D,) and of the truth (G,), in pixels. overlap: (D, G)."""
    crowd = np.zeros(len(truth), np.bool_) if truth.crowd is None else truth.crowd
    matches = match(
        Objects(found.class_id, found.score, areas[0]), Objects(truth.class_id, truth.score, areas[1]), crowd, overlap
    )
    order = np.argsort(-found.score, kind="stable")
    shown = order[found.score[order] >= found.confidence]
    mistakes = find_mistakes(found.class_id[shown], found.score[shown], truth.class_id, crowd, overlap[shown])
    return ImageScore(matches, mistakes, found.confidence)


def summarise_detection(
    images: Sequence[ImageScore], classes: Sequence[str], *, intervals: bool, seed: int
) -> Evaluation:
    """The main score is `ap`: the mean over classes and over ten overlaps from 0.5 to 0.95. A class or a size without
    true objects has no score; where there is none at all, `ap` is 0."""
    pooled = pool([image.matches for image in images], len(classes))
    table = average_precisions(pooled)
    pairs = _pairs(images, len(classes))
    value = _mean(table[0])
    ap = 0.0 if value is None else value
    low, high = interval(pooled, len(images), ap, seed=seed) if intervals and value is not None else (ap, ap)
    per_class = _per_class(table, pairs, classes)
    metrics = {"ap": ap, "ap50": _mean(table[0, _AP50]), "ap75": _mean(table[0, _AP75])}
    metrics |= {f"ap_{size}": _mean(table[i]) for i, size in enumerate(SIZES) if i}
    for name in ("precision", "recall"):
        metrics[name] = _mean(np.array([row[name] for row in per_class.values()]))
    weights = np.array([image.mistakes.weight for image in images])
    wrong = np.flatnonzero([image.mistakes.kinds.total() for image in images])
    return Evaluation(
        main=Score("ap", ap, low, high),
        metrics={name: number for name, number in metrics.items() if number is not None},
        per_class=per_class,
        count=len(images),
        worst=tuple(wrong[np.argsort(-weights[wrong], kind="stable")].tolist()),
        tables={
            "confusion": pairs,
            "mistakes": _kinds(images),
            "precision": np.array([curve(found) for found in pooled]).reshape(-1, len(RECALLS)),
            "f1": np.array([f1_curve(found, GRID) for found in pooled]).reshape(-1, len(GRID)),
            "confidence": np.array([images[0].confidence if images else 0.0]),
        },
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _pairs(images: Sequence[ImageScore], classes: int) -> NDArray[np.float64]:
    """(K + 1, K + 1) counts: rows are the truth, columns the answer, the last is the background."""
    counts = np.zeros((classes + 1, classes + 1))
    for image in images:
        np.add.at(counts, tuple(image.mistakes.pairs.T), 1)
    return counts


def _kinds(images: Sequence[ImageScore]) -> NDArray[np.float64]:
    """How many mistakes of each of KINDS."""
    total: Counter[str] = Counter()
    for image in images:
        total.update(image.mistakes.kinds)
    return np.array([total[kind] for kind in KINDS], np.float64)


def _per_class(
    table: NDArray[np.float64], pairs: NDArray[np.float64], classes: Sequence[str]
) -> Mapping[str, Mapping[str, float]]:
    """Of each class with true objects."""
    right, support, shown = pairs.diagonal()[:-1], pairs[:-1].sum(axis=1), pairs[:, :-1].sum(axis=0)
    rows = {}
    for kind, name in enumerate(classes):
        if support[kind]:
            rows[name] = {
                "ap": float(np.nan_to_num(table[0, :, kind]).mean()),
                "ap50": float(np.nan_to_num(table[0, _AP50, kind])),
                "precision": float(right[kind] / shown[kind]) if shown[kind] else 0.0,
                "recall": float(right[kind] / support[kind]),
                "objects": float(support[kind]),
            }
    return rows
