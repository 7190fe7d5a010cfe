"""The metrics of a set of images with poses, with intervals, from what each image was measured to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manako.metrics.bootstrap import ROUNDS
from manako.metrics.poses import NEAR, OksAp, PoseMeasure
from manako.types import Evaluation, Score

Floats = NDArray[np.float64]
WORK = 40_000_000  # additions that the intervals of the average precision may cost
CURVE = np.linspace(0, 0.3, 61)  # distances, as a part of the box's longer side


def oks_ap(measures: Sequence[PoseMeasure]) -> float:
    """Average precision over all OKS thresholds; 0 where nothing is labelled."""
    value = float(OksAp.of(measures)(np.ones(len(measures), np.int64)).mean())
    return value if np.isfinite(value) else 0.0


def summarise(
    measures: Sequence[PoseMeasure], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
) -> Evaluation:
    """See `tasks/pose.py`. Intervals draw whole images (Efron 1979)."""
    precision = OksAp.of(measures)
    levels = precision(np.ones(len(measures), np.int64))
    ap = float(levels.mean())
    labelled = bool(len(classes)) and any(len(m.side) for m in measures)
    metrics = {"oks_ap": ap, "oks_ap50": float(levels[0]), "oks_ap75": float(levels[5])} if labelled else {}
    low = high = ap
    if labelled:
        metrics |= _distances(measures)
    if labelled and intervals:
        low, high = _ap_interval(precision, len(measures), seed)
        metrics |= _distance_intervals(measures, seed)
    return Evaluation(
        main=Score("oks_ap", ap, low, high),
        metrics=metrics,
        per_class=_per_point(measures, classes) if labelled else {},
        count=len(measures),
        worst=_worst(measures),
        tables=_tables(measures) if labelled else {},
    )


def _distances(measures: Sequence[PoseMeasure]) -> dict[str, float]:
    distance, share, found = _pooled(measures)
    known = ~np.isnan(distance)
    return {
        "pck": float((share[known] <= NEAR).mean()),
        "pixel_error": float(distance[known].mean()),
        "pixel_error_median": float(np.median(distance[known])),
        "normalised_error": float(share[known].mean()),
        "found": float(found[known].mean()),
    }


def _pooled(measures: Sequence[PoseMeasure]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Of all labelled subjects: distance (G, K) in pixels, and as a part of the subject's side, and whether found."""
    distance = np.concatenate([m.distance for m in measures])
    share = distance / np.concatenate([m.side for m in measures])[:, None]
    return distance, share, np.concatenate([m.found for m in measures])


def _ap_interval(precision: OksAp, count: int, seed: int) -> tuple[float, float]:
    """Where every subject was found (or none), resampling would say that nothing is uncertain: see `mean_interval`."""
    value = float(precision(np.ones(count, np.int64)).mean())
    reach = 0.025 ** (1 / count)
    if value >= 1:
        return reach, 1.0
    rounds = int(np.clip(WORK // max(1, precision.hit.size), 100, ROUNDS))
    generator = np.random.default_rng(seed)
    times = [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(rounds)]
    values = np.array([precision(t).mean() for t in times])
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (value, value)
    return float(low), float(high)


def _distance_intervals(measures: Sequence[PoseMeasure], seed: int) -> dict[str, float]:
    """Ends of the 95 % intervals of PCK, and of mean and median distance."""
    rows = [(m.distance / m.side[:, None], m.distance) for m in measures]
    shares, distances = ([r[i][~np.isnan(r[1])] for r in rows] for i in (0, 1))
    generator = np.random.default_rng(seed)
    rounds = int(np.clip(WORK // max(1, sum(map(len, distances))), 100, ROUNDS))
    draws = generator.integers(0, len(measures), (rounds, len(measures)))
    count = np.array([len(d) for d in distances])
    total, near = (np.array([f(v).sum() for v in some]) for f, some in ((np.asarray, distances), (_near, shares)))
    number = np.maximum(count[draws].sum(1), 1)
    medians = [np.median(pooled) for draw in draws if len(pooled := np.concatenate([distances[i] for i in draw]))]
    found = {"pck": near[draws].sum(1) / number, "pixel_error": total[draws].sum(1) / number}
    ends: dict[str, float] = {}
    for name, values in {**found, "pixel_error_median": np.array(medians)}.items():
        low, high = np.quantile(values, [0.025, 0.975])
        ends |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return ends


def _near(share: Floats) -> Floats:
    return (share <= NEAR).astype(np.float64)


def _per_point(measures: Sequence[PoseMeasure], classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Points that are labelled nowhere are left out."""
    distance, share, found = _pooled(measures)
    table = {}
    for k, name in enumerate(classes):
        known = ~np.isnan(distance[:, k])
        if known.any():
            table[name] = {
                "pixel_error": float(distance[known, k].mean()),
                "pixel_error_median": float(np.median(distance[known, k])),
                "pck": float((share[known, k] <= NEAR).mean()),
                "found": float(found[known, k].mean()),
                "support": float(known.sum()),
            }
    return table


def _worst(measures: Sequence[PoseMeasure]) -> tuple[int, ...]:
    """Images with a point that is not near, or a subject too many; the largest mean distance first."""

    def worth(one: PoseMeasure) -> float:
        return float(np.nanmean(one.distance / one.side[:, None])) if len(one.side) else 1.0

    wrong = [
        i
        for i, m in enumerate(measures)
        if (np.nan_to_num(m.distance / m.side[:, None]) > NEAR).any() or (~m.hit[0] & ~m.left_out[0]).any()
    ]
    return tuple(sorted(wrong, key=lambda i: -worth(measures[i])))


def _tables(measures: Sequence[PoseMeasure]) -> dict[str, Floats]:
    """within: (61, 1 + K), distance and the share of each point's labels within it. spread: (K, 5), quantiles of the
    distance in pixels: 5, 25, 50, 75, 95 %."""
    distance, share, _ = _pooled(measures)
    known = ~np.isnan(distance)
    count = np.maximum(known.sum(0), 1)
    within = (np.nan_to_num(share, nan=np.inf)[None] <= CURVE[:, None, None]).sum(1) / count
    filled = np.where(known.any(0), distance, 0)
    spread = np.nanquantile(filled, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0).T
    return {"within": np.column_stack([CURVE, within]), "spread": spread}
