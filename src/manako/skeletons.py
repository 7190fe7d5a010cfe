"""Skeletons that data leave open are completed from the names of their points; what was guessed is said."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manako.types import Problem, Skeleton

Pair = tuple[int, int]
# How exactly people place each point, as a part of the root of the subject's area (COCO, from repeated labels).
_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
SIGMA = 0.05  # of a point that COCO doesn't know
_SIDES = (("left", "right"), ("l", "r"), ("lt", "rt"), ("左", "右"))
MARGIN = 0.25  # of the longer side, around the points of a subject whose box is not given


def complete(
    points: Sequence[str],
    *,
    limbs: Sequence[Pair] | None = None,
    flips: Sequence[Pair] | None = None,
    sigmas: Sequence[float] | None = None,
    facts: dict[str, object],
) -> tuple[Skeleton, list[Problem]]:
    """A skeleton of which every part is known. facts: of the file, for the notes about what was guessed.

    Pairs that name a point that isn't there, or a point twice, are left out and named.
    """
    problems: list[Problem] = []
    limbs = _existing(limbs, points, "limb", facts, problems)
    flips = _existing(flips, points, "flip", facts, problems)
    if flips is not None:
        flips = _once(flips, points, facts, problems)
    if flips is None:
        flips = flips_of(points)
        pairs = ", ".join(f"{points[a]}/{points[b]}" for a, b in flips) or "-"
        problems.append(Problem("pose.flips_guessed", {**facts, "pairs": pairs}, "note"))
    if not limbs and len(points) > 1:
        limbs = tuple((i, i + 1) for i in range(len(points) - 1))
        problems.append(Problem("pose.limbs_guessed", {**facts, "count": len(limbs)}, "note"))
    joined = (*(limbs or ()), *missing_limbs(limbs or (), len(points)))
    if len(joined) > len(limbs or ()):
        added = ", ".join(f"{points[a]}–{points[b]}" for a, b in joined[len(limbs or ()) :])
        problems.append(Problem("pose.limbs_added", {**facts, "limbs": added}, "note"))
    if sigmas is not None and (len(sigmas) != len(points) or not all(0 < s < 10 for s in sigmas)):
        problems.append(Problem("pose.bad_sigmas", {**facts, "count": len(points)}))
        sigmas = None
    if sigmas is None:
        sigmas = [sigma_of(name) for name in points]
        problems.append(Problem("pose.sigmas_guessed", {**facts, "other": SIGMA}, "note"))
    return Skeleton(tuple(points), joined, flips, tuple(sigmas)), problems


def _existing(
    pairs: Sequence[Pair] | None, points: Sequence[str], kind: str, facts: dict[str, object], problems: list[Problem]
) -> tuple[Pair, ...] | None:
    if pairs is None:
        return None
    good = [p for p in dict.fromkeys(pairs) if p[0] != p[1] and all(0 <= i < len(points) for i in p)]
    bad = [p for p in pairs if p[0] == p[1] or not all(0 <= i < len(points) for i in p)]
    if bad:
        told = ", ".join(f"{a + 1}–{b + 1}" for a, b in bad[:5])
        problems.append(Problem(f"pose.bad_{kind}", {**facts, "pairs": told, "count": len(points)}))
    return tuple(good)


def _once(
    flips: Sequence[Pair], points: Sequence[str], facts: dict[str, object], problems: list[Problem]
) -> tuple[Pair, ...]:
    """A point has one partner: further pairs are left out."""
    used: set[int] = set()
    good = []
    for pair in flips:
        if used & set(pair):
            names = "–".join(points[i] for i in pair)
            problems.append(Problem("pose.flip_twice", {**facts, "pair": names}))
        else:
            used |= set(pair)
            good.append(pair)
    return tuple(good)


def flips_of(points: Sequence[str]) -> tuple[Pair, ...]:
    """Points whose names differ in left and right only."""
    place = {_spelling(name): i for i, name in enumerate(points)}
    found = []
    for name, i in place.items():
        for left, right in _SIDES:
            other = place.get(_swapped(name, left, right))
            if other is not None and other != i:
                found.append((min(i, other), max(i, other)))
                break
    return tuple(sorted(found))


def side_of(name: str) -> str:
    """ "left", "right" or "" of a point's name."""
    spelling = _spelling(name)
    for left, right in _SIDES:
        for word, side in ((left, "left"), (right, "right")):
            if re.search(_whole(word), spelling):
                return side
    return ""


def _spelling(name: str) -> str:
    """Words in lower case with "_" between: leftEar, LeftEar, left ear and left-ear are one."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\s.\-_]+", "_", words).strip("_").lower()


def _whole(word: str) -> str:
    """`left` also as a part of a word (leftear); a single letter only where it stands alone (l_ear, ear_l)."""
    return rf"(?:^|_){word}(?:_|$)" if len(word) <= 2 and word.isascii() else word


def _swapped(name: str, left: str, right: str) -> str:
    """left -> right in a spelling; the name itself where it has none."""
    return re.sub(_whole(left), lambda found: found.group().replace(left, right), name, count=1)


def sigma_of(name: str) -> float:
    """COCO's, where the name ends like one of its points."""
    spelling = _spelling(name)
    return next((s for word, s in _SIGMAS.items() if re.search(rf"(?:^|_|left|right|[lr]){word}$", spelling)), SIGMA)


def missing_limbs(limbs: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """Limbs that make one whole of `count` points: each part is joined to the first point by its own first."""
    part = list(range(count))
    for a, b in limbs:
        low, high = sorted((part[a], part[b]))
        part = [low if p == high else p for p in part]
    return tuple((0, p) for p in sorted(set(part)) if p != part[0])


def around(
    xy: NDArray[np.float32], size: tuple[int, int] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (N, 4) around the points (N, K, 2), NaN left out, a quarter of the longer side wider on each side and
    clipped to the image's (height, width), and their areas (N,)."""
    count = len(xy)
    if not count:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    known = np.asarray(~np.isnan(xy).any(-1, keepdims=True))
    low = np.where(known, xy, np.inf).min(1)
    high = np.where(known, xy, -np.inf).max(1)
    empty = ~np.asarray(known.any(axis=1))[:, 0]
    low[empty], high[empty] = 0, 0
    margin = np.maximum(1, MARGIN * (high - low).max(1, keepdims=True))
    boxes = np.concatenate([low - margin, high + margin], 1)
    if size is not None:
        boxes = np.clip(boxes, 0, [size[1], size[0], size[1], size[0]])
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes.astype(np.float32), np.maximum(sides.prod(1), 1).astype(np.float32)
