"""Boxes (N, 4), left, top, right, bottom: overlaps, and the suppression of what was found twice. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]
Overlap = NDArray[np.float64]


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """(N,): of a box that is turned inside out 0."""
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def shared_areas(first: Boxes, second: Boxes) -> Overlap:
    """(N, M): the area that each of `first` (N, 4) shares with each of `second` (M, 4)."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def overlaps(found: Boxes, truth: Boxes, crowd: NDArray[np.bool_] | None = None) -> Overlap:
    """(N, M) intersection over union, 0..1; with a crowd, over the area of the found box alone (COCO)."""
    shared = shared_areas(found, truth)
    mine, theirs = areas(found)[:, None], areas(truth)[None]
    union = mine + theirs - shared
    if crowd is not None:
        union = np.where(crowd[None], mine, union)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes: NDArray[np.float32], class_id: NDArray[np.int64], *, iou: float, limit: int) -> NDArray[np.int64]:
    """Which boxes stay, best first: of two of one class that overlap by more than `iou`, the better one.

    boxes (N, 4) and class_id (N,) are sorted, best first; the answer's indices rise. limit: of each class at most so
    many. Equal to `torchvision.ops.batched_nms`.
    """
    kept = [rows[_greedy(boxes[rows], iou, limit)] for rows in _rows_of_classes(class_id)]
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, np.int64)


def _rows_of_classes(class_id: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(class_id, kind="stable")
    starts = np.flatnonzero(np.diff(class_id[order], prepend=-1))
    return np.split(order, starts[1:]) if len(order) else []


def _greedy(boxes: NDArray[np.float32], iou: float, limit: int) -> list[int]:
    """One class. Boxes by turns take out all that come after them and overlap too much."""
    x1, y1, x2, y2 = boxes.T
    area = (x2 - x1) * (y2 - y1)
    bar = np.float64(iou)  # not rounded to the boxes' float32
    left = np.arange(len(boxes))
    kept: list[int] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        while len(left) and len(kept) < limit:
            best, rest = left[0], left[1:]
            kept.append(int(best))
            wide = np.minimum(x2[rest], x2[best]) - np.maximum(x1[rest], x1[best])
            high = np.minimum(y2[rest], y2[best]) - np.maximum(y1[rest], y1[best])
            shared = np.maximum(wide, 0) * np.maximum(high, 0)
            ratio = shared / (area[best] + area[rest] - shared)
            left = rest[~(ratio > bar)]
    return kept
