"""Geometry of polygons: areas, overlaps, hulls, the smallest rectangle around points. Points are (K, 2), x before y."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def signed_area(polygon: ArrayLike) -> float:
    """Positive where the points go clockwise on the screen (y down)."""
    x, y = np.asarray(polygon, np.float64).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def area(polygon: ArrayLike) -> float:
    return abs(signed_area(polygon))


def perimeter(polygon: ArrayLike) -> float:
    points = np.asarray(polygon, np.float64)
    return float(np.linalg.norm(points - np.roll(points, -1, 0), axis=1).sum())


def intersection(first: ArrayLike, second: ArrayLike) -> float:
    """The area that two simple polygons share.

    Exact for concave ones, too: a polygon is the sum of the signed triangles of a fan, and a triangle is convex, so
    that Sutherland and Hodgman's clipping (1974) holds.
    """
    one, other = (np.asarray(p, np.float64) for p in (first, second))
    if not _boxes_touch(one, other):
        return 0.0
    if _convex(other):
        return area(clipped(one, other))
    if _convex(one):
        return area(clipped(other, one))
    total = 0.0
    for a, b in pairwise(one[1:]):
        triangle = np.stack([one[0], a, b])
        sign = np.sign(signed_area(triangle))
        if sign:
            total += sign * area(clipped(other, triangle))
    return abs(total)


def overlap(first: ArrayLike, second: ArrayLike) -> float:
    """Intersection over union, 0..1."""
    shared = intersection(first, second)
    union = area(first) + area(second) - shared
    return shared / union if union > 0 else 0.0


def overlaps(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """(N, M): intersection over union of each with each."""
    found = np.zeros((len(first), len(second)))
    for i, j in _touching(first, second):
        found[i, j] = overlap(first[i], second[j])
    return found


def covered(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """(N, M): the part of each of `first` that lies within each of `second`."""
    found = np.zeros((len(first), len(second)))
    for i, j in _touching(first, second):
        found[i, j] = intersection(first[i], second[j]) / max(area(first[i]), 1e-9)
    return found


def clipped(subject: Points, window: Points) -> Points:
    """What of `subject` lies within the convex `window`; (0, 2) where nothing does. The parts of a concave one hang
    together by lines without area."""
    turn = 1.0 if signed_area(window) >= 0 else -1.0
    points = subject
    for start, end in zip(window, np.roll(window, -1, 0), strict=True):
        if not len(points):
            break
        edge = end - start
        side = turn * (edge[0] * (points[:, 1] - start[1]) - edge[1] * (points[:, 0] - start[0]))
        points = _half(points, side)
    return points


def _half(points: Points, side: NDArray[np.float64]) -> Points:
    """The part with side >= 0."""
    kept: list[Points] = []
    for i in range(len(points)):
        a, b = side[i - 1], side[i]
        if (a < 0 < b) or (b < 0 < a):
            kept.append(points[i - 1] + (points[i] - points[i - 1]) * (a / (a - b)))
        if b >= 0:
            kept.append(points[i])
    return np.array(kept) if kept else np.empty((0, 2))


def _convex(polygon: Points) -> bool:
    edges = np.roll(polygon, -1, 0) - polygon
    after = np.roll(edges, -1, 0)
    turns = edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0]
    if not ((turns >= 0).all() or (turns <= 0).all()):
        return False
    # A star turns to one side only, too, but more than once around.
    angles = np.arctan2(turns, (edges * after).sum(1))
    return bool(abs(abs(angles.sum()) - 2 * np.pi) < 1e-6)


def _boxes_touch(one: Points, other: Points) -> bool:
    return bool((one.min(0) < other.max(0)).all() and (other.min(0) < one.max(0)).all())


def _touching(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> list[tuple[int, int]]:
    """Pairs whose upright boxes overlap."""
    if not first or not second:
        return []
    low, high = (np.array([getattr(np.asarray(p), f)(0) for p in first]) for f in ("min", "max"))
    left, right = (np.array([getattr(np.asarray(p), f)(0) for p in second]) for f in ("min", "max"))
    touch = ((low[:, None] < right[None]) & (left[None] < high[:, None])).all(2)
    return [(int(i), int(j)) for i, j in np.argwhere(touch)]


def hull(points: ArrayLike) -> Points:
    """The convex hull, clockwise on the screen, without points on its edges (Andrew's monotone chain, 1979)."""
    order = np.unique(np.asarray(points, np.float64), axis=0)
    if len(order) < 3:
        return order
    return np.array([*_chain(order.tolist())[:-1], *_chain(order[::-1].tolist())[:-1]])


def _chain(points: list[list[float]]) -> list[list[float]]:
    kept: list[list[float]] = []
    for x, y in points:
        while len(kept) >= 2:
            (ax, ay), (bx, by) = kept[-2], kept[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            kept.pop()
        kept.append([x, y])
    return kept


def smallest_rectangle(points: ArrayLike) -> Points:
    """(4, 2): the rectangle of least area around points; one of its sides lies on a side of the hull (Freeman and
    Shapira 1975). Clockwise on the screen from the corner that `from_top_left` begins with."""
    outline = hull(points)
    if len(outline) == 1:
        return np.repeat(outline, 4, 0)
    edges = np.roll(outline, -1, 0) - outline
    along = edges / np.linalg.norm(edges, axis=1, keepdims=True)  # (E, 2)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    u, v = along @ outline.T, across @ outline.T  # (E, K)
    best = int(np.argmin(np.ptp(u, 1) * np.ptp(v, 1)))
    low, high = (getattr(u[best], f)() for f in ("min", "max"))
    near, far = (getattr(v[best], f)() for f in ("min", "max"))
    corners = np.array([(low, near), (high, near), (high, far), (low, far)])
    return from_top_left(corners @ np.stack([along[best], across[best]]))


def from_top_left(quad: ArrayLike) -> Points:
    """The four corners of a convex quadrilateral, clockwise on the screen; the first side is the one nearest to
    pointing right."""
    points = np.asarray(quad, np.float64)
    if signed_area(points) < 0:
        points = points[::-1]
    sides = np.roll(points, -1, 0) - points
    lengths = np.maximum(np.linalg.norm(sides, axis=1), 1e-9)
    return np.roll(points, -int(np.argmax(np.round(sides[:, 0] / lengths, 6))), 0)


def sides_of(quad: ArrayLike) -> tuple[float, float]:
    """(along, across): the mean lengths of a quadrilateral's first and third, and of its other sides."""
    points = np.asarray(quad, np.float64)
    lengths = np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)
    return float(lengths[0] + lengths[2]) / 2, float(lengths[1] + lengths[3]) / 2


def grown(rectangle: ArrayLike, distance: float) -> Points:
    """A rectangle with each side moved outwards by `distance`."""
    points = np.asarray(rectangle, np.float64)
    across = points[3] - points[0]
    along = points[1] - points[0]
    # A side without length has the direction that stands upright on the other one.
    if not np.linalg.norm(along):
        along = np.array([across[1], -across[0]]) if np.linalg.norm(across) else np.array([1.0, 0.0])
    if not np.linalg.norm(across):
        across = np.array([-along[1], along[0]])
    right, down = (distance * side / np.linalg.norm(side) for side in (along, across))
    moved: Points = points + np.stack([-right - down, right - down, right + down, down - right])
    return moved


def unclipped(rectangle: ArrayLike, ratio: float) -> Points:
    """A rectangle grown by area * ratio / perimeter: what differentiable binarisation undoes its shrinking by."""
    length = perimeter(rectangle)
    return grown(rectangle, area(rectangle) * ratio / length if length else 0.0)
