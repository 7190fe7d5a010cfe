"""Numbers of label files as polygons and run lengths; ValueError says what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manako.regions import decompress, mask_of_runs
from manako.types import Outline

_CIRCLE = 64
MOST_PIXELS = 2**28  # of an image that labels state: what they state decides how much memory is taken


def polygon(numbers: object) -> NDArray[np.float32]:
    """x, y, x, y... or pairs. Raises ValueError: fewer than three different points, an odd number, no numbers."""
    try:
        points = np.array(numbers, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("not numbers") from None
    if len(points) % 2:
        raise ValueError(f"{len(points)} numbers are no pairs")
    if len(points) < 6:
        raise ValueError(f"{len(points) // 2} points")
    if not (np.abs(points) < 1e9).all():
        raise ValueError("not numbers")
    if _different(points[:6]) < 3 and (found := _different(points)) < 3:  # the first three tell nearly always
        raise ValueError(f"{len(points) // 2} points, {found} of them different")
    return points.reshape(-1, 2).astype(np.float32)


def _different(points: NDArray[np.float64]) -> int:
    numbers = points.tolist()
    return len(set(zip(numbers[::2], numbers[1::2], strict=True)))


def turned(left: float, top: float, width: float, height: float, degrees: float, about: tuple[float, float]) -> Outline:
    """A rectangle turned clockwise about a point, as four corners. Raises ValueError."""
    _check(left, top, width, height, degrees)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    corners += (left - about[0], top - about[1])
    return Outline(((corners @ _turn(degrees) + about).astype(np.float32),))


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0.0) -> Outline:
    """By its centre and its two radii, turned clockwise, as a polygon of 64 points. Raises ValueError."""
    _check(x, y, across, down, degrees)
    angles = np.arange(_CIRCLE) * (2 * math.pi / _CIRCLE)
    points = np.stack([across * np.cos(angles), down * np.sin(angles)], 1) @ _turn(degrees) + (x, y)
    return Outline((polygon(points),))


def _check(*numbers: float) -> None:
    if not all(abs(number) < 1e9 for number in numbers):
        raise ValueError("not numbers")


def _turn(degrees: float) -> NDArray[np.float64]:
    angle = math.radians(degrees)
    return np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])


def run_lengths(counts: object, size: object) -> Outline:
    """COCO's, compressed or not. size: height, width. Raises ValueError."""
    if not isinstance(size, Sequence) or len(size) != 2 or not all(isinstance(s, int) and 0 < s < 2**20 for s in size):
        raise ValueError("run lengths without a size")
    height, width = size
    if height * width > MOST_PIXELS:
        raise ValueError(f"run lengths of {height * width} pixels")
    if isinstance(counts, str):
        runs = decompress(counts)
    else:
        try:
            runs = np.array(counts, np.float64).astype(np.int64).reshape(-1)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("run lengths that are no numbers") from None
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(f"run lengths of {int(runs.sum())} pixels, size {width} x {height}")
    return Outline(runs=runs, size=(height, width))


def placed(runs: NDArray[np.int64], left: int, top: int, width: int, height: int, size: tuple[int, int]) -> Outline:
    """Runs of 0 and 1 by turns, row by row, over a part of an image of `size`. Raises ValueError."""
    from manako.regions import outline_of

    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0] or size[0] * size[1] > MOST_PIXELS:
        raise ValueError("a mask beyond the image")
    part = mask_of_runs(runs, width, height).T  # row by row is column by column of the transposed
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = part
    return outline_of(whole)
