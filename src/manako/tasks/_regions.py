"""Connected regions of a mask, without SciPy: what `predict` needs on a machine that has only NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Region:
    """xyxy: left, top, right, bottom in pixels, the right and lower end excluded. value: the highest one within."""

    xyxy: tuple[int, int, int, int]
    area: int
    value: float


def regions_above(values: NDArray[np.float32], limit: float) -> list[Region]:
    """Regions of (H, W) `values` over `limit`, corners touching, largest first."""
    rows, starts, ends = _runs(values > limit)
    owner = _join(rows, starts, ends)
    found = []
    for root in np.unique(owner):
        own = owner == root
        box = int(starts[own].min()), int(rows[own].min()), int(ends[own].max()), int(rows[own].max()) + 1
        runs = zip(rows[own].tolist(), starts[own].tolist(), ends[own].tolist(), strict=True)
        value = max(float(values[row, start:end].max()) for row, start, end in runs)
        found.append(Region(box, int((ends[own] - starts[own]).sum()), value))
    return sorted(found, key=lambda region: (-region.area, region.xyxy))


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, first and past-the-last column of every horizontal run, row by row."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    return rows, starts, np.nonzero(steps == -1)[1]


def _join(rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first run of the region of each run (union-find over runs that touch in neighbouring rows)."""
    parent = list(range(len(rows)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    above = 0
    for run in range(len(rows)):
        while above < run and (rows[above] < rows[run] - 1 or (rows[above] < rows[run] and ends[above] < starts[run])):
            above += 1
        other = above
        while other < run and rows[other] == rows[run] - 1 and starts[other] <= ends[run]:
            first, second = sorted((root(other), root(run)))
            parent[second] = first
            other += 1
    return np.array([root(run) for run in range(len(rows))], np.int64)
