"""Found regions of text against true ones: precision, recall and their harmonic mean at IoU 0.5 (ICDAR 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.bootstrap import ROUNDS
from manako.metrics.text import normalised
from manako.polygons import covered, overlaps
from manako.types import TextRegions

ENOUGH = 0.5  # IoU of a hit; and the part of a found region within an ignored one from which on it doesn't count


@dataclass(frozen=True, eq=False)
class RegionScore:
    """One image. score: (F,) of the found regions that count, best first. hit: (F,) bool, whether each is a true one.
    true: the number of true regions that count. best: (T,) the largest IoU of each of those with a found one.
    read, read_normalised: found regions that are hits and say what is true; None where texts are not known.
    """

    score: NDArray[np.float32]
    hit: NDArray[np.bool_]
    true: int
    best: NDArray[np.float64]
    read: int | None = None
    read_normalised: int | None = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """(hits, found, true)."""
        return int(self.hit.sum()), len(self.hit), self.true


def score_regions(found: TextRegions, truth: TextRegions) -> RegionScore:
    """Of pairs that overlap by more than half, the best are taken first; each region belongs to one pair. Found ones
    that lie by more than half in an ignored region count neither way."""
    ignored = np.zeros(len(truth), np.bool_) if truth.ignored is None else truth.ignored
    true = truth.take(~ignored)
    if ignored.any() and len(found):
        inside = covered(found.polygons, truth.take(ignored).polygons).max(axis=1, initial=0)
        found = found.take(inside <= ENOUGH)
    found = found.take(np.argsort(-found.score, kind="stable"))
    table = overlaps(found.polygons, true.polygons)
    pairs = matched(table)
    hit = np.zeros(len(found), np.bool_)
    hit[[i for i, _ in pairs]] = True
    best = table.max(axis=0, initial=0)
    return RegionScore(found.score, hit, len(true), best, *_read(found, true, pairs))


def matched(table: NDArray[np.float64]) -> list[tuple[int, int]]:
    """(N, M) IoU -> pairs (row, column), the largest first, each row and column once, above ENOUGH."""
    rows, columns = np.nonzero(table > ENOUGH)
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for k in np.argsort(-table[rows, columns], kind="stable"):
        i, j = int(rows[k]), int(columns[k])
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j))
    return pairs


def _read(found: TextRegions, true: TextRegions, pairs: Sequence[tuple[int, int]]) -> tuple[int, int] | tuple[()]:
    if found.texts is None or true.texts is None:
        return ()
    both = [(found.texts[i] or "", true.texts[j] or "") for i, j in pairs]
    exact = sum(a == b for a, b in both)
    plain = sum(normalised(a).replace(" ", "") == normalised(b).replace(" ", "") for a, b in both)
    return exact, plain


def h_mean(hits: float, found: float, true: float) -> float:
    """Of hits / found and hits / true; 1 where there is nothing and nothing was found."""
    return 2 * hits / (found + true) if found + true else 1.0


def rates(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """(N, 3) hits, found, true of images -> (precision, recall, h_mean) of all together."""
    hits, found, true = (float(v) for v in counts.sum(0))
    precision = hits / found if found else float(true == 0)
    recall = hits / true if true else 1.0
    return precision, recall, h_mean(hits, found, true)


def intervals(counts: NDArray[np.int64], *, seed: int = 0, level: float = 0.95) -> NDArray[np.float64]:
    """(3, 2): low and high of precision, recall and h_mean, by the percentile bootstrap over images (Efron 1979).

    Where nothing was missed and nothing wrong, resampling would say that nothing is uncertain: the exact bound of
    that many images stands in (Clopper and Pearson 1934).
    """
    count, tail = len(counts), (1 - level) / 2
    point = np.array(rates(counts))
    if not count:
        return np.tile([0.0, 1.0], (3, 1))
    generator = np.random.default_rng(seed)
    drawn = np.array([rates(counts[generator.integers(0, count, count)]) for _ in range(ROUNDS)])
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    reach = tail ** (1 / count)
    low, high = np.where(point == 1, reach, low), np.where(point == 0, 1 - reach, high)
    return np.stack([low, high], 1)


def sweep(measures: Sequence[RegionScore], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, 3): precision, recall and h_mean if only regions that score at least grid[g] were found."""
    scores = np.concatenate([m.score for m in measures]) if measures else np.empty(0)
    hits = np.concatenate([m.hit for m in measures]) if measures else np.empty(0, np.bool_)
    true = sum(m.true for m in measures)
    kept = scores[None] >= grid[:, None]
    return np.array([rates(np.array([[int((k & hits).sum()), int(k.sum()), true]])) for k in kept])
