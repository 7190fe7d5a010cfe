"""What is wrong in one image: objects that were missed, invented, named wrongly, badly placed or found twice.

After Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", arXiv 2008.08115.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.boxes import Overlap

KINDS = ("missed", "invented", "wrong_class", "misplaced", "double")
RIGHT, NEAR = 0.5, 0.1  # overlap of a hit; of a box that at least points to an object


@dataclass(frozen=True, eq=False)
class Mistakes:
    """pairs: (P, 2) class of the truth and of the answer, -1 where there is none. kinds: how many of each of KINDS.
    weight: how bad the image is: one for each missed object, the score for each wrong one."""

    pairs: NDArray[np.int32]
    kinds: Counter[str]
    weight: float


def find_mistakes(
    class_id: NDArray[np.int64],
    score: NDArray[np.float32],
    truth_class: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    overlap: Overlap,
) -> Mistakes:
    """Of the shown objects (D,), best first, against the true ones (G,). overlap: (D, G), see `boxes.overlaps`.

    Objects of the right class choose first; what is left may be an object of another class.
    """
    same = class_id[:, None] == truth_class[None]
    taken = np.full(len(truth_class), -1)
    partner = _choose(np.where(same & ~crowd, overlap, 0), taken, RIGHT)
    excused = (partner < 0) & (np.where(same & crowd, overlap, 0).max(axis=1, initial=0) >= RIGHT)
    open_rows = (partner < 0) & ~excused
    double = open_rows & (np.where(same & ~crowd, overlap, 0).max(axis=1, initial=0) >= RIGHT)
    rest = open_rows & ~double
    other = _choose(np.where(rest[:, None] & ~same & ~crowd, overlap, 0), taken, RIGHT)
    near = _choose(np.where((rest & (other < 0))[:, None] & same & ~crowd, overlap, 0), taken, NEAR)
    kinds = Counter(
        missed=int(((taken < 0) & ~crowd).sum()),
        invented=int((rest & (other < 0) & (near < 0)).sum()),
        wrong_class=int((other >= 0).sum()),
        misplaced=int((near >= 0).sum()),
        double=int(double.sum()),
    )
    named = [(truth_class[g], class_id[d]) for found in (partner, other) for d, g in enumerate(found) if g >= 0]
    alone = open_rows & (other < 0)
    lost = ~crowd
    lost[[g for found in (partner, other) for g in found if g >= 0]] = False
    named += [(-1, kind) for kind in class_id[alone]] + [(kind, -1) for kind in truth_class[lost]]
    weight = float(score[open_rows].sum()) + kinds["missed"]
    return Mistakes(np.array(named, np.int32).reshape(-1, 2), +kinds, weight)


def _choose(overlap: Overlap, taken: NDArray[np.int64], bar: float) -> NDArray[np.int64]:
    """(D,): each row by turns takes the free column with the largest value, if it reaches `bar`; -1 else. Marks it in
    `taken`."""
    answer = np.full(len(overlap), -1)
    if not overlap.shape[1]:
        return answer
    for row in np.flatnonzero(overlap.max(axis=1) >= bar):
        value = np.where(taken < 0, overlap[row], 0)
        best = int(value.argmax())
        if value[best] >= bar:
            answer[row], taken[best] = best, row
    return answer
