"""Maps of classes from the windows of a large image, joined into one map."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from manako.types import IGNORE, Segmentation, Window

_ACROSS, _DOWN = 1, 0
Kind = TypeVar("Kind", bound=np.generic)


def join_regions(parts: Iterable[tuple[Window, Segmentation]], height: int, width: int) -> Segmentation:
    """Each pixel from the window in whose middle it lies; in the middle half of an overlap one window fades into the
    next, where there are scores.

    parts: row by row, as they come; one row of windows is held at a time.
    """
    whole = _Map(height, width)
    for _, row in groupby(parts, key=lambda part: (part[0].top, part[0].bottom)):
        strip, first = None, None
        for window, part in row:
            strip = strip or _Map(window.height, width)
            strip.lay(part, window.left, _ACROSS)
            first = first or window
        assert strip and first
        whole.lay(strip.finished(), first.top, _DOWN)
    return whole.finished()


class _Map:
    """A map that grows along one axis."""

    def __init__(self, height: int, width: int) -> None:
        self._class_id = np.full((height, width), IGNORE, np.uint8)
        self._score: NDArray[np.float32] | None = None
        self._end = 0

    def lay(self, part: Segmentation, start: int, axis: int) -> None:
        """Put `part` at `start`; what lies there already fades into it."""
        stop = start + part.class_id.shape[axis]
        if part.score is not None and self._score is None:
            self._score = np.zeros(self._class_id.shape, np.float32)
        shared = max(0, min(self._end, stop) - start)
        if shared:
            under = _slice(self._class_id, start, start + shared, axis)
            over = _slice(part.class_id, 0, shared, axis)
            weight = _ramp(shared) if axis == _ACROSS else _ramp(shared)[:, None]
            if self._score is None or part.score is None:
                under[...] = np.where(weight < 0.5, under, over)
            else:
                score = _slice(self._score, start, start + shared, axis)
                _fade(under, score, over, _slice(part.score, 0, shared, axis), weight)
        _slice(self._class_id, start + shared, stop, axis)[...] = _slice(part.class_id, shared, None, axis)
        if self._score is not None and part.score is not None:
            _slice(self._score, start + shared, stop, axis)[...] = _slice(part.score, shared, None, axis)
        self._end = max(self._end, stop)

    def finished(self) -> Segmentation:
        return Segmentation(self._class_id, self._score)


def _fade(
    class_id: NDArray[np.uint8],
    score: NDArray[np.float32],
    new_class_id: NDArray[np.uint8],
    new_score: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> None:
    """In place. weight: of the new ones. Where the two disagree, the surer one is taken as it is."""
    old, new = (1 - weight) * score, weight * new_score
    better = new > old
    same = class_id == new_class_id
    np.copyto(score, np.where(same, old + new, np.where(better, new_score, score)))
    np.copyto(class_id, new_class_id, where=better)


def _ramp(count: int) -> NDArray[np.float32]:
    """0 in the first quarter (the border of the new window), 1 in the last (that of the old one)."""
    place = (np.arange(count, dtype=np.float32) + 0.5) / count
    return np.clip(2 * place - 0.5, 0, 1)


def _slice(values: NDArray[Kind], start: int, stop: int | None, axis: int) -> NDArray[Kind]:
    return values[start:stop] if axis == _DOWN else values[:, start:stop]
