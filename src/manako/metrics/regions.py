"""How well the regions of two maps of classes agree: overlap and borders, image by image, then over all images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.bootstrap import ROUNDS
from manako.types import IGNORE

Array = NDArray[np.float64]
Ids = NDArray[np.uint8]

TOLERANCE = 0.0075  # part of the diagonal by which a border may be off (Csurka et al. 2013)
_CHUNK = 4_000_000  # numbers of resampling held in memory at once


@dataclass(frozen=True, eq=False)
class Agreement:
    """One image. cells: (M, 3) int64, each a true class, an answered class, and their common pixels.

    border: class -> (answered border pixels near a true one, all answered ones, true ones near an answered one, all
    true ones).
    """

    cells: NDArray[np.int64]
    border: dict[int, tuple[int, int, int, int]]


def compare_regions(prediction: Ids, truth: Ids, *, classes: int) -> Agreement:
    """prediction, truth: (H, W). Pixels whose truth is IGNORE don't exist for any number here; an answer that is no
    class counts as wrong."""
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} differ in size")
    known = truth < classes
    answered = np.minimum(prediction, classes).astype(np.int64)  # one more class: no answer
    pairs = np.bincount(truth[known] * np.int64(classes + 1) + answered[known], minlength=classes * (classes + 1))
    used = np.flatnonzero(pairs)
    cells = np.stack([used // (classes + 1), used % (classes + 1), pairs[used]], 1)
    here = np.unique(cells[:, :2])
    return Agreement(cells, _borders(prediction, truth, known, [int(c) for c in here if c < classes]))


def _borders(
    prediction: Ids, truth: Ids, known: NDArray[np.bool_], classes: Sequence[int]
) -> dict[int, tuple[int, int, int, int]]:
    reach = max(1.0, round(TOLERANCE * math.hypot(*truth.shape)))
    hidden = np.where(known, prediction, IGNORE)
    found = {}
    for class_id in classes:
        answered, true = (border(ids == class_id, known) for ids in (hidden, truth))
        if answered.any() or true.any():
            near_true, near_answered = (
                _near(edge, other, reach) for edge, other in ((answered, true), (true, answered))
            )
            found[class_id] = (near_true, int(answered.sum()), near_answered, int(true.sum()))
    return found


def border(region: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the region that touch (in one of four directions) a known pixel outside it."""
    outside = known & ~region
    edge = np.zeros(region.shape, np.bool_)
    edge[1:] |= outside[:-1]
    edge[:-1] |= outside[1:]
    edge[:, 1:] |= outside[:, :-1]
    edge[:, :-1] |= outside[:, 1:]
    return edge & region


def _near(edge: NDArray[np.bool_], other: NDArray[np.bool_], reach: float) -> int:
    """How many pixels of `edge` lie within `reach` of one of `other`."""
    if not other.any() or not edge.any():
        return 0
    from scipy.ndimage import distance_transform_edt

    # Only the part that matters is worth the distances.
    rows, columns = (np.flatnonzero((edge | other).any(axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return int((distance_transform_edt(~other[part])[edge[part]] <= reach).sum())


@dataclass(frozen=True, eq=False)
class RegionScores:
    """metrics: name -> number. per_class: (K, 6) IoU, mean Dice of the images that have or are given the class, Dice of
    all pixels together, precision, recall, border F1; NaN where a class occurs nowhere. interval,
    dice_interval: of mean IoU and of Dice. dice, share_wrong: (N,) of each image. confusion: (K, K) pixels."""

    metrics: dict[str, float]
    per_class: Array
    interval: tuple[float, float]
    dice_interval: tuple[float, float]
    dice: Array
    share_wrong: Array
    confusion: Array


def score_regions(
    images: Sequence[Agreement],
    *,
    classes: int,
    foreground: Sequence[int],
    intervals: bool = True,
    seed: int = 0,
) -> RegionScores:
    """foreground: the classes that Dice and border F1 are averaged over.

    mean_iou and pixel_accuracy are of all pixels together; dice and boundary_f1 are means over images of the mean over
    the classes that occur in an image (truth or answer); pooled_dice is of all pixels together.
    """
    counts = np.stack([_counts(image, classes) for image in images])  # (N, K, 3): common, answered, true
    confusion = sum((_table(image, classes) for image in images), np.zeros((classes, classes + 1)))
    total = counts.sum(0)
    dice, f1 = _dice(counts), _border_f1(images, classes)
    each = _mean(dice[:, foreground], 1)
    pooled_dice, iou = _dice(total), _iou(total)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = total[:, 0] / total[:, 1], total[:, 0] / total[:, 2]
    occurs = total[:, 1:].sum(1) > 0
    rates = [np.where(occurs, np.nan_to_num(rate), np.nan) for rate in (precision, recall)]
    metrics = {
        "mean_iou": _finite(np.nanmean(iou)) if occurs.any() else 1.0,
        "dice": _finite(_mean(each, 0)),
        "pooled_dice": _finite(_mean(pooled_dice[list(foreground)], 0)),
        "boundary_f1": _finite(_mean(_mean(f1[:, foreground], 1), 0)),
        "pixel_accuracy": float(total[:, 0].sum() / max(1.0, total[:, 2].sum())),
    }
    spread = _intervals(counts, each, seed) if intervals else ((metrics["mean_iou"],) * 2, (metrics["dice"],) * 2)
    per_class = np.stack([iou, _mean(dice, 0), pooled_dice, *rates, _mean(f1, 0)], 1)
    wrong = 1 - counts[:, :, 0].sum(1) / np.maximum(1, counts[:, :, 2].sum(1))
    return RegionScores(metrics, per_class, spread[0], spread[1], each, wrong, confusion[:, :classes])


def _counts(image: Agreement, classes: int) -> Array:
    table = _table(image, classes)
    return np.stack([np.diagonal(table), table.sum(0)[:classes], table.sum(1)], 1)


def _table(image: Agreement, classes: int) -> Array:
    table = np.zeros((classes, classes + 1))
    table[image.cells[:, 0], image.cells[:, 1]] = image.cells[:, 2]
    return table


def _dice(counts: Array) -> Array:
    """(..., K, 3) -> (..., K), NaN where a class is in neither."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = 2 * counts[..., 0] / (counts[..., 1] + counts[..., 2])
    return found


def _iou(counts: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = counts[..., 0] / (counts[..., 1] + counts[..., 2] - counts[..., 0])
    return found


def _border_f1(images: Sequence[Agreement], classes: int) -> Array:
    """(N, K), NaN where neither has a border of the class."""
    f1 = np.full((len(images), classes), np.nan)
    for row, image in zip(f1, images, strict=True):
        for class_id, (near_true, answered, near_answered, true) in image.border.items():
            precision, recall = near_true / max(1, answered), near_answered / max(1, true)
            row[class_id] = 2 * precision * recall / max(precision + recall, 1e-12)
    return f1


def _mean(values: Array, axis: int) -> Array:
    """Over what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        found: Array = np.where(known, values, 0).sum(axis) / known.sum(axis)
    return found


def _finite(value: Array | np.floating) -> float:
    """A mean over nothing: no foreground anywhere, and none answered."""
    number = float(value)
    return number if math.isfinite(number) else 1.0


def _intervals(counts: Array, dice: Array, seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % percentile bootstrap over images, of mean IoU and of Dice (Efron 1979)."""
    generator, count = np.random.default_rng(seed), len(counts)
    flat, known = counts.reshape(count, -1), ~np.isnan(dice)
    filled = np.stack([np.where(known, dice, 0), known], 1)
    ious, means = [], []
    size = max(1, _CHUNK // max(count, flat.shape[1]))
    for start in range(0, ROUNDS, size):
        times = generator.multinomial(count, np.full(count, 1 / count), min(size, ROUNDS - start)).astype(np.float64)
        ious.append(_mean(_iou((times @ flat).reshape(len(times), *counts.shape[1:])), 1))
        sums = times @ filled
        means.append(np.where(sums[:, 1] > 0, sums[:, 0] / np.maximum(sums[:, 1], 1), 1.0))
    low_high = [np.quantile(np.nan_to_num(np.concatenate(v), nan=1.0), [0.025, 0.975]) for v in (ious, means)]
    return tuple((float(low), float(high)) for low, high in low_high)  # type: ignore[return-value]
