"""In which order the lines of a page are read: columns one after the other, rows of tables cell by cell, vertical
Japanese from right to left.

All is done along two directions: that in which lines run, and that in which they follow each other. For horizontal
text these are right and down, for vertical text down and left, for a turned scan whatever they are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.polygons import sides_of

GAP = 1.0  # between columns, in heights of a line
CORE = 0.6  # the part of a line's height by which rows are told apart
CELL = 7.0  # a cell of a table is at most so many times as wide as high
APART = 3.0  # heights of a line without text, between two parts of a page
ALIGNED = 0.6  # the part of the lines that stand in rows of several columns, of a table

Quads = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class _Boxes:
    """(N,) each, along the lines (start, end) and across (top, bottom)."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    top: NDArray[np.float64]
    bottom: NDArray[np.float64]

    def take(self, index: NDArray[np.int64]) -> _Boxes:
        return _Boxes(self.start[index], self.end[index], self.top[index], self.bottom[index])

    @property
    def height(self) -> float:
        return float(np.median(self.bottom - self.top))


def direction_of(quads: Quads, vertical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(2,): the unit vector along which lines run, by the median of their angles, long lines counting more.

    vertical: (N,) of quadrilaterals whose text runs along the second side, not the first.
    """
    if not len(quads):
        return np.array([1.0, 0.0])
    sides = np.array([quad[[1, 2]] - quad[[0, 1]] for quad in quads], np.float64)  # (N, 2, 2)
    along = sides[np.arange(len(quads)), vertical.astype(int)]
    length = np.linalg.norm(along, axis=1)
    first = along.sum(0)  # about where all of them point; angles are measured from there
    first = first / max(float(np.linalg.norm(first)), 1e-9)
    turn = np.array([[first[0], first[1]], [-first[1], first[0]]])
    u, v = turn @ along.T
    angle = _weighted_median(np.arctan2(v, u), length)
    direction: NDArray[np.float64] = np.array([np.cos(angle), np.sin(angle)]) @ turn
    return direction


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order[int(np.searchsorted(reached, reached[-1] / 2))]])


def reading_order(quads: Quads, direction: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,): the indices of the lines as they are read."""
    if not len(quads):
        return np.empty(0, np.int64)
    across = np.array([-direction[1], direction[0]])
    u = np.stack(
        [np.array([(quad @ axis).min(), (quad @ axis).max()]) for quad in quads for axis in (direction, across)]
    )
    u = u.reshape(-1, 2, 2)
    boxes = _Boxes(u[:, 0, 0], u[:, 0, 1], *_across(quads, u[:, 1]))
    return np.array(_ordered(np.arange(len(quads)), boxes), np.int64)


def _across(quads: Quads, extent: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Top and bottom: a line that is turned a little reaches further than it is high, so the height of the line itself
    is taken around its middle."""
    thin = np.array([min(sides_of(quad)) for quad in quads])
    height = np.minimum(np.maximum(thin, 1e-6), extent[:, 1] - extent[:, 0] + 1e-6)
    centre = extent.mean(1)
    return centre - height / 2, centre + height / 2


def _ordered(index: NDArray[np.int64], boxes: _Boxes) -> list[int]:
    rows = _rows(index, boxes)
    found: list[int] = []
    for block in _blocks(rows, boxes):
        lines = np.concatenate(block)
        columns = _columns(lines, boxes)
        if len(columns) < 2 or _is_table(block, columns, boxes):
            for row in block:
                found += row[np.argsort(boxes.start[row], kind="stable")].tolist()
        else:
            for column in columns:
                found += _ordered(column, boxes)
    return found


def _rows(index: NDArray[np.int64], boxes: _Boxes) -> list[NDArray[np.int64]]:
    """Lines whose cores lie at one height, from top to bottom: each next one by its middle."""
    order = index[np.argsort((boxes.top + boxes.bottom)[index], kind="stable")]
    rows: list[list[int]] = []
    limit = -np.inf
    for i in order.tolist():
        middle = (boxes.top[i] + boxes.bottom[i]) / 2
        half = (boxes.bottom[i] - boxes.top[i]) * CORE / 2
        if rows and middle - half < limit:
            rows[-1].append(i)
        else:
            rows.append([i])
            limit = middle + half
    return [np.array(row) for row in rows]


def _blocks(rows: list[NDArray[np.int64]], boxes: _Boxes) -> list[list[NDArray[np.int64]]]:
    """Rows that follow each other closely and leave the same gap free between columns; others stand alone."""
    blocks: list[list[NDArray[np.int64]]] = []
    for row in rows:
        near = APART * boxes.take(row).height
        if blocks and boxes.top[row].min() - boxes.bottom[blocks[-1][-1]].max() < near:
            joined = np.concatenate([*blocks[-1], row])
            if len(_columns(joined, boxes)) > 1:
                blocks[-1].append(row)
                continue
        blocks.append([row])
    return blocks


def _columns(index: NDArray[np.int64], boxes: _Boxes) -> list[NDArray[np.int64]]:
    """Lines between gaps that no line crosses, in the direction of reading."""
    gap = GAP * boxes.take(index).height
    order = index[np.argsort(boxes.start[index], kind="stable")]
    columns: list[list[int]] = []
    end = -np.inf
    for i in order.tolist():
        if not columns or boxes.start[i] > end + gap:
            columns.append([i])
        else:
            columns[-1].append(i)
        end = max(end, float(boxes.end[i]))
    return [np.array(column) for column in columns]


def _is_table(block: list[NDArray[np.int64]], columns: list[NDArray[np.int64]], boxes: _Boxes) -> bool:
    """Cells of several columns stand side by side, and one column at least has short ones."""
    place = {int(i): number for number, column in enumerate(columns) for i in column}
    shared = sum(len(row) for row in block if len({place[int(i)] for i in row}) > 1)
    widths = [
        np.median((boxes.end - boxes.start)[c] / np.maximum((boxes.bottom - boxes.top)[c], 1e-6)) for c in columns
    ]
    return bool(shared >= ALIGNED * sum(len(row) for row in block) and min(widths) <= CELL)
