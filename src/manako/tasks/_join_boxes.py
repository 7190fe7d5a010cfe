"""Objects from the windows of a large image, each once and whole.

Two windows saw the same object where its parts in the region that both saw agree. So an object that lies in two
windows, one cut by the border of a window, and one larger than any window are all found by the same rule. Where that
region is thin, or windows only touch, a box that ends at its window's border is taken to go on a little beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from manako.tasks.detection import DOUBTFUL
from manako.types import Detections, Outline, Window

AGREES = 0.5  # overlap (intersection over union) of the two parts
COVERED = 0.7  # part of a box that was cut off by its window's border, and that lies in the other one
TRUSTED = 0.5  # of the best score: who saw an object less surely says only where sides lie that others see cut off
_BORDER = 0.02  # of a window's size: a side that lies so near to its border may be cut off
_OUTWARDS = np.array([-1, -1, 1, 1], np.float32)  # left, top, right, bottom
_STRIP = 0.1  # of a window's size: what two windows are compared in is at least so wide


def join_boxes(parts: Iterable[tuple[Window, Detections]], height: int, width: int) -> Detections:
    """The objects of all windows in the image's pixels, best first.

    What several windows saw becomes one object with the best score; each side of its box comes from the window inside
    which that side lies deepest; outlines are united.
    """
    seen = _Seen.of(list(parts), height, width)
    groups = _Groups(seen.window)
    for agreement in sorted(_agreements(seen), reverse=True):
        groups.unite(agreement.first, agreement.second)
    best_first = [sorted(members, key=lambda m: -float(seen.found.score[m])) for members in groups.members()]
    joined = _merged(seen, best_first)
    return joined.take(np.argsort(-joined.score, kind="stable"))


@dataclass(frozen=True, eq=False)
class _Seen:
    """All boxes in the image's pixels. window: (N,) which window saw each. depth: (N, 4) how far each side lies from
    the nearer of its window's borders, as a part of the window's size; the image's own borders don't count. cut: (N, 4)
    which sides may be cut off. limits: (W, 4) of the windows."""

    found: Detections
    window: NDArray[np.int64]
    depth: NDArray[np.float32]
    cut: NDArray[np.bool_]
    limits: NDArray[np.float32]

    def gone_on(self, index: NDArray[np.int64], margin: NDArray[np.float32]) -> NDArray[np.float32]:
        """The boxes at `index`; sides that are cut off lie `margin` (x, y) beyond their window's border, where that is
        not 0."""
        outwards = np.tile(margin, 2) * _OUTWARDS
        boxes, beyond = self.found.xyxy[index], self.limits[self.window[index]] + outwards
        gone: NDArray[np.float32] = np.where(self.cut[index] & (outwards != 0), beyond, boxes)
        return gone

    @classmethod
    def of(cls, parts: list[tuple[Window, Detections]], height: int, width: int) -> _Seen:
        limits = np.array([(w.left, w.top, w.right, w.bottom) for w, _ in parts], np.float32).reshape(-1, 4)
        moved = [_moved(found, window, height, width) for window, found in parts]
        window = np.repeat(np.arange(len(parts)), np.array([len(m) for m in moved], np.int64))
        found = _together(moved)
        mine = limits[window]
        size = np.tile(mine[:, 2:] - mine[:, :2], 2)
        inner = mine != np.array([0, 0, width, height], np.float32)
        borders = np.where(inner, mine, np.array([-np.inf, -np.inf, np.inf, np.inf], np.float32))
        sides = found.xyxy.reshape(-1, 2, 2)  # (N, first or last, x or y)
        borders = borders.reshape(-1, 2, 2)
        depth = np.minimum(sides - borders[:, :1], borders[:, 1:] - sides).reshape(-1, 4) / size
        near = np.abs(found.xyxy - borders.reshape(-1, 4)) / size
        cut: NDArray[np.bool_] = near < _BORDER
        return cls(found, window, depth.astype(np.float32), cut, limits)


def _moved(found: Detections, window: Window, height: int, width: int) -> Detections:
    shift = np.array([window.left, window.top], np.float32)
    found = found.take(found.score >= DOUBTFUL * found.confidence)
    outlines = found.outlines
    if outlines is not None:
        outlines = tuple(o and _moved_outline(o, window, height, width) for o in outlines)
    return replace(found, xyxy=found.xyxy + np.tile(shift, 2), outlines=outlines)


def _moved_outline(outline: Outline, window: Window, height: int, width: int) -> Outline:
    shift = np.array([window.left, window.top], np.float32)
    polygons = tuple(p + shift for p in outline.polygons)
    if outline.runs is None or outline.size is None:
        return replace(outline, polygons=polygons)
    spans = _spans(outline.runs)
    high = outline.size[0]
    # A run may go on in the next column; in the image, columns don't touch: split at each column's end.
    pieces = [
        ((c + window.left) * height + window.top + max(a, c * high) - c * high,
         (c + window.left) * height + window.top + min(b, (c + 1) * high) - c * high)
        for a, b in spans.tolist()
        for c in range(a // high, (b - 1) // high + 1)
    ]  # fmt: skip
    return Outline(polygons, _runs(np.array(pieces, np.int64).reshape(-1, 2), height * width), (height, width))


def _spans(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, 2): where each run of 1 begins and ends."""
    ends = np.cumsum(runs)
    ones = ends[1::2]
    spans: NDArray[np.int64] = np.stack([ones - runs[1::2], ones], axis=1)
    return spans[spans[:, 1] > spans[:, 0]]


def _runs(spans: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The inverse of `_spans`, in an image of `count` pixels; overlapping spans are united."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    if not len(spans):
        return np.array([count], np.int64)
    reach = np.maximum.accumulate(spans[:, 1])
    fresh = np.r_[True, spans[1:, 0] > reach[:-1]]
    starts = spans[fresh, 0]
    stops = reach[np.r_[np.flatnonzero(fresh)[1:] - 1, len(spans) - 1]]
    edges = np.r_[0, np.stack([starts, stops], axis=1).ravel(), count]
    runs: NDArray[np.int64] = np.diff(edges)
    return runs if runs[-1] else runs[:-1]


def _together(parts: list[Detections]) -> Detections:
    if not parts:
        return Detections.truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    outlined = any(p.outlines is not None for p in parts)
    outlines = [o for p in parts for o in (p.outlines or (None,) * len(p))]
    return Detections(
        np.concatenate([p.xyxy for p in parts]).astype(np.float32),
        np.concatenate([p.class_id for p in parts]),
        np.concatenate([p.score for p in parts]),
        outlines=tuple(outlines) if outlined else None,
        confidence=parts[0].confidence,
    )


@dataclass(frozen=True, order=True)
class _Agreement:
    overlap: float
    first: int
    second: int


def _agreements(seen: _Seen) -> Iterator[_Agreement]:
    """Pairs of boxes of one class that two windows saw, and that agree where both could see."""
    found = seen.found
    members = [np.flatnonzero(seen.window == i) for i in range(len(seen.limits))]
    for a, b in _neighbours(seen.limits):
        low, high, margin = _region(seen.limits[a], seen.limits[b])
        one, other = (_clipped(seen.gone_on(m, margin), m, low, high) for m in (members[a], members[b]))
        if not len(one[0]) or not len(other[0]):
            continue
        union_over, least_over = _overlaps(one[1], other[1])
        small_cut = np.where(
            _areas(found.xyxy[one[0]])[:, None] < _areas(found.xyxy[other[0]])[None],
            np.any(seen.cut[one[0]], axis=1, keepdims=True),
            np.any(seen.cut[other[0]], axis=1, keepdims=True).T,
        )
        good = (union_over >= AGREES) | (small_cut & (least_over >= COVERED))
        good &= found.class_id[one[0]][:, None] == found.class_id[other[0]][None]
        for i, j in zip(*np.nonzero(good), strict=True):
            yield _Agreement(float(union_over[i, j]), int(one[0][i]), int(other[0][j]))


def _region(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """low, high (x, y) of what two windows are compared in, and by how much that is wider than what both saw."""
    low, high = np.maximum(first, second)[:2], np.minimum(first, second)[2:]
    side = np.minimum(first[2:] - first[:2], second[2:] - second[:2])
    margin = np.maximum(0, _STRIP * side - (high - low)) / 2
    return low - margin, high + margin, margin


def _neighbours(limits: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Windows that share a region, or touch."""
    for a, mine in enumerate(limits):
        later = limits[a + 1 :]
        low, high = np.maximum(later[:, :2], mine[:2]), np.minimum(later[:, 2:], mine[2:])
        for b in np.flatnonzero((high >= low).all(axis=1)):
            yield a, a + 1 + int(b)


def _clipped(
    boxes: NDArray[np.float32], index: NDArray[np.int64], low: NDArray[np.float32], high: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which of the boxes (those at `index`) reach into a region, and their parts in it."""
    inside = np.clip(boxes, np.tile(low, 2), np.tile(high, 2))
    there = (inside[:, 2:] > inside[:, :2]).all(axis=1)
    return index[there], inside[there]


def _areas(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    size = xyxy[:, 2:] - xyxy[:, :2]
    return size[:, 0] * size[:, 1]


def _overlaps(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, M) twice: intersection over union, and over the smaller one."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    a, b = _areas(first)[:, None], _areas(second)[None]
    return shared / (a + b - shared), shared / np.minimum(a, b)


class _Groups:
    """Boxes that are one object. A window sees an object once, so no group has two boxes of one window."""

    def __init__(self, window: NDArray[np.int64]) -> None:
        self._of = list(range(len(window)))
        self._boxes = {i: [i] for i in self._of}
        self._windows = {i: {w} for i, w in enumerate(window.tolist())}

    def unite(self, first: int, second: int) -> None:
        a, b = self._of[first], self._of[second]
        if a == b or self._windows[a] & self._windows[b]:
            return
        for box in self._boxes[b]:
            self._of[box] = a
        self._boxes[a] += self._boxes.pop(b)
        self._windows[a] |= self._windows.pop(b)

    def members(self) -> list[list[int]]:
        return list(self._boxes.values())


def _merged(seen: _Seen, groups: list[list[int]]) -> Detections:
    """One object a group, whose members stand best first."""
    found = seen.found
    xyxy = np.empty((len(groups), 4), np.float32)
    outlines: list[Outline | None] = []
    for row, members in zip(xyxy, groups, strict=True):
        doubtful = found.score[members] < TRUSTED * found.score[members[0]]
        depth = np.where(doubtful[:, None], np.minimum(seen.depth[members], _BORDER), seen.depth[members])
        boxes = found.xyxy[members]
        outermost = (boxes * _OUTWARDS).argmax(axis=0)  # of a side that all of them see cut off
        row[:] = boxes[np.where(depth.max(axis=0) < _BORDER, outermost, depth.argmax(axis=0)), np.arange(4)]
        # Where windows disagree much, a side may end up on the wrong side of its opposite.
        row[2:] = np.maximum(row[:2], row[2:])
        if found.outlines is not None:
            outlines.append(_united([found.outlines[m] for m in members]))
    best = [members[0] for members in groups]
    return Detections(
        xyxy,
        found.class_id[best],
        found.score[best],
        outlines=tuple(outlines) if found.outlines is not None else None,
        confidence=found.confidence,
    )


def _united(outlines: list[Outline | None]) -> Outline | None:
    known = [o for o in outlines if o is not None]
    if len(known) < 2:
        return known[0] if known else None
    polygons = tuple(p for o in known for p in o.polygons)
    spans = [_spans(o.runs) for o in known if o.runs is not None]
    size = known[0].size
    if not spans or size is None:
        return Outline(polygons)
    return Outline(polygons, _runs(np.concatenate(spans), size[0] * size[1]), size)
