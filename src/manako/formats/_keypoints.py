"""What readers of key points share: numbers of a file become `Poses`, and what was odd about them is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.skeletons import around
from manako.types import Poses, Problem

SEEN, HIDDEN, UNKNOWN = 1.0, 0.5, 0.0  # the score of a true point
_FLAGS = {0: UNKNOWN, 1: HIDDEN, 2: SEEN}
_TOLERANCE = 1.0  # pixels beyond the border that rounding explains


@dataclass
class Oddities:
    """Counts what was left out of one label file, with the first place where it stood."""

    file: Path
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, code: str, count: int, where: object) -> None:
        if count:
            self.counts[code] += count
            self.first.setdefault(code, str(where)[:200])

    def problems(self) -> Iterator[Problem]:
        for code, count in self.counts.items():
            yield Problem(code, {"file": self.file, "count": count, "first": self.first[code]})


def points_of(
    flat: object, count: int, size: tuple[int, int] | None, oddities: Oddities, where: object
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """COCO's x, y, flag by turns -> xy (K, 2), NaN where not labelled, and score (K,). None where they can't be used.

    Flag 0 is a point that is not labelled, whatever its place; a labelled point at 0, 0 is one that was forgotten.
    """
    numbers = _numbers(flat, 3 * count)
    if numbers is None:
        oddities.note("pose.bad_points", 1, where)
        return None
    xy, flags = numbers.reshape(-1, 3)[:, :2], numbers.reshape(-1, 3)[:, 2]
    known = np.isin(flags, list(_FLAGS))
    oddities.note("pose.bad_flag", int((~known).sum()), where)
    placed = (xy != 0).any(1)
    oddities.note("pose.flag_without_point", int((known & (flags > 0) & ~placed).sum()), where)
    oddities.note("pose.point_without_flag", int((known & (flags == 0) & placed).sum()), where)
    score = np.select([~known & placed, known & placed], [SEEN, flags / 2], UNKNOWN)
    return checked(xy, score, size, oddities, where)


def checked(
    xy: NDArray[np.float64],
    score: NDArray[np.float64],
    size: tuple[int, int] | None,
    oddities: Oddities,
    where: object,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points outside the image's (height, width) count as not labelled."""
    score = np.where(np.isfinite(xy).all(1), score, UNKNOWN)
    if size is not None:
        away = (xy < -_TOLERANCE).any(1) | (xy > np.array([size[1], size[0]]) + _TOLERANCE).any(1)
        oddities.note("pose.outside", int((away & (score > 0)).sum()), where)
        score = np.where(away, UNKNOWN, score)
        xy = np.clip(xy, 0, [size[1], size[0]])
    labelled = np.where(score[:, None] > 0, xy, np.nan)
    return labelled.astype(np.float32), score.astype(np.float32)


def poses(
    subjects: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    boxes: Sequence[Sequence[float] | None],
    areas: Sequence[float | None],
    count: int,
    size: tuple[int, int] | None,
    crowds: Sequence[bool] = (),
) -> Poses:
    """boxes: left, top, right, bottom, or None: then around the points. crowds: which are crowds; none if empty."""
    xy = np.array([s[0] for s in subjects], np.float32).reshape(-1, count, 2)
    score = np.array([s[1] for s in subjects], np.float32).reshape(-1, count)
    guessed, _ = around(xy, size)
    pairs = list(zip(boxes, guessed, strict=True))
    xyxy = np.array([g if b is None else b for b, g in pairs], np.float32).reshape(-1, 4)
    own = np.maximum((xyxy[:, 2:] - xyxy[:, :2]).prod(1), 1)
    area = np.array([a or o for a, o in zip(areas, own, strict=True)], np.float32)
    return Poses(xyxy, xy, score, area, np.array(crowds, np.bool_) if any(crowds) else None)


def box_of(value: object) -> list[float] | None:
    """COCO's left, top, width, height -> left, top, right, bottom; None where they are no box."""
    numbers = _numbers(value, 4)
    if numbers is None or (numbers[2:] <= 0).any():
        return None
    left, top, width, height = numbers.tolist()
    return [left, top, left + width, top + height]


def _numbers(value: object, count: int) -> NDArray[np.float64] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        return None
    try:
        numbers = np.array(value, np.float64)
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers).all() else None
