"""Lines cut into dashes, and lines and areas cut at the edge of a panel: shared by both canvases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise

import numpy as np
from numpy.typing import NDArray

from manako.figures.canvas import Point
from manako.figures.colours import Dash


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def corners(self) -> list[Point]:
        return [
            (self.left, self.top),
            (self.right, self.top),
            (self.right, self.bottom),
            (self.left, self.bottom),
        ]

    def holds(self, x: float, y: float, slack: float = 0.5) -> bool:
        return (
            self.left - slack <= x <= self.right + slack and self.top - slack <= y <= self.bottom + slack
        )  # False for NaN


def dashed(points: Sequence[Point], dash: Dash) -> list[list[Point]]:
    """The drawn pieces of the line through `points`."""
    lengths = cycle(dash)
    left, drawn = next(lengths), True
    pieces: list[list[Point]] = []
    current: list[Point] = [points[0]] if points else []
    for (x0, y0), (x1, y1) in pairwise(points):
        length, done = math.hypot(x1 - x0, y1 - y0), 0.0
        while length - done > left:
            done += left
            corner = (x0 + (x1 - x0) * done / length, y0 + (y1 - y0) * done / length)
            if drawn:
                pieces.append([*current, corner])
            current, drawn, left = [corner], not drawn, next(lengths)
        left -= length - done
        current.append((x1, y1))
    return [*pieces, current] if drawn and len(current) > 1 else pieces


def clip_line(points: NDArray[np.float64], box: Box) -> list[list[Point]]:
    """The parts of the line through `points` (N, 2) inside `box`; a NaN breaks the line."""
    pieces: list[list[Point]] = []
    for (x0, y0), (x1, y1) in pairwise(points.tolist()):
        part = _clip_segment(x0, y0, x1, y1, box)
        if part is None:
            continue
        start, end = part
        if pieces and pieces[-1][-1] == start:
            pieces[-1].append(end)
        else:
            pieces.append([start, end])
    return pieces


def _clip_segment(x0: float, y0: float, x1: float, y1: float, box: Box) -> tuple[Point, Point] | None:
    """Liang and Barsky 1984."""
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        return None
    enter, leave, dx, dy = 0.0, 1.0, x1 - x0, y1 - y0
    sides = ((-dx, x0 - box.left), (dx, box.right - x0), (-dy, y0 - box.top), (dy, box.bottom - y0))
    for towards, room in sides:
        if towards == 0:
            if room < 0:
                return None
        elif towards < 0:
            enter = max(enter, room / towards)
        else:
            leave = min(leave, room / towards)
    if enter > leave:
        return None
    start = (x0, y0) if enter == 0 else (x0 + enter * dx, y0 + enter * dy)
    return start, (x1, y1) if leave == 1 else (x0 + leave * dx, y0 + leave * dy)


def clip_polygon(points: Sequence[Point], box: Box) -> list[Point]:
    """The part of a polygon inside `box` (Sutherland and Hodgman 1974); empty where nothing is left."""
    result = list(points)
    for axis, edge, sign in ((0, box.left, 1), (0, box.right, -1), (1, box.top, 1), (1, box.bottom, -1)):
        source, result = result, []
        for before, after in pairwise([*source[-1:], *source]):
            a, b = sign * (before[axis] - edge), sign * (after[axis] - edge)
            if (a < 0) != (b < 0):
                t = a / (a - b)
                result.append((before[0] + t * (after[0] - before[0]), before[1] + t * (after[1] - before[1])))
            if b >= 0:
                result.append(after)
    return result if len(result) > 2 else []
