"""Small masks of objects, as a network gives them, laid into the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manako.types import Outline

Mask = NDArray[np.bool_]


def pasted(mask: NDArray[np.float32], box: NDArray[np.float64], height: int, width: int) -> Outline:
    """mask: (S, S) how likely each part of `box` (left, top, right, bottom; may reach beyond the image) belongs to the
    object. The pixels whose centre is at least as likely in as out, as run lengths."""
    left, top = (max(0, int(np.floor(side))) for side in box[:2])
    right, bottom = (min(limit, int(np.ceil(side))) for side, limit in zip(box[2:], (width, height), strict=True))
    if right <= left or bottom <= top:
        return Outline(runs=np.array([height * width], np.int64), size=(height, width))
    across = _weights(left, right, box[0], box[2], mask.shape[1])
    down = _weights(top, bottom, box[1], box[3], mask.shape[0])
    inside = down @ mask.astype(np.float64) @ across.T >= 0.5
    return Outline(runs=runs_of_part(inside, left, top, height, width), size=(height, width))


def _weights(start: int, end: int, low: float, high: float, count: int) -> NDArray[np.float64]:
    """(end - start, count): bilinear weights of the cells between `low` and `high` at the centres of pixels."""
    place = (np.arange(start, end) + 0.5 - low) / (high - low) * count - 0.5
    return np.asarray(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(count))))


def runs_of_part(part: Mask, left: int, top: int, height: int, width: int) -> NDArray[np.int64]:
    """COCO's run lengths of an image of (height, width) that is empty but for `part` at (left, top)."""
    edges = np.diff(np.pad(part.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)  # column by column
    column, row = np.nonzero(edges)
    flat = (left + column) * height + top + row
    again = np.flatnonzero(np.diff(flat) == 0)  # a run that goes on at the head of the next column
    flat = np.delete(flat, np.concatenate([again, again + 1]))
    return np.diff(np.concatenate([[0], flat, [height * width]])).astype(np.int64)
