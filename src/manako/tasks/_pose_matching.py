"""From candidate points and the strength of the limbs between them to subjects.

Paper: Cao et al. 2019, "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields",
arXiv 1812.08008: strongest limbs first, no point in two limbs of a kind; limbs that share a point are one subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
NOBODY = -1


def match_limbs(
    seen: NDArray[np.bool_], strength: NDArray[np.float32], limbs: Sequence[Pair], *, least: float
) -> NDArray[np.int64]:
    """(S, K): which candidate of each point belongs to each subject, NOBODY where none does.

    seen: (K, P), which candidates count. strength: (L, P, P), of the limb from one candidate to another; those below
    `least` join nothing. A candidate that no limb holds is a subject of one point.
    """
    subject: dict[Pair, dict[int, int]] = {(k, p): {k: p} for k, p in np.argwhere(seen).tolist()}
    for start, end in _chosen(seen, strength, limbs, least):
        one, other = subject[start], subject[end]
        if one is not other and not one.keys() & other.keys():
            one.update(other)
            for member in other.items():
                subject[member] = one
    groups = list({id(group): group for group in subject.values()}.values())
    table = np.full((len(groups), len(seen)), NOBODY, np.int64)
    for row, group in zip(table, groups, strict=True):
        row[list(group)] = list(group.values())
    return table


def _chosen(
    seen: NDArray[np.bool_], strength: NDArray[np.float32], limbs: Sequence[Pair], least: float
) -> Iterator[tuple[Pair, Pair]]:
    """The limbs, strongest first, none of which shares an end with a stronger one of its kind."""
    start, end = np.array(limbs, np.int64).reshape(-1, 2).T
    possible = seen[start][:, :, None] & seen[end][:, None, :] & (strength >= least)
    kind, first, second = np.nonzero(possible)
    taken: set[tuple[int, int, int]] = set()
    for i in np.argsort(-strength[kind, first, second], kind="stable").tolist():
        limb, a, b = int(kind[i]), int(first[i]), int(second[i])
        ends = {(limb, 0, a), (limb, 1, b)}
        if not ends & taken:
            taken |= ends
            yield (int(start[limb]), a), (int(end[limb]), b)
