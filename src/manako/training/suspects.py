"""Which of the "normal" training images may be none: those that are far stranger than the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manako.types import Problem, Sample

FAR = 6.0  # robust standard deviations above the median
SHOWN = 10


def suspects(scores: NDArray[np.float64], samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """scores: (N,) how strange each image of `samples` is, measured without itself. Strangest first."""
    if len(scores) < 8:
        return ()
    middle = np.median(scores)
    spread = 1.4826 * np.median(np.abs(scores - middle))
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] > middle + FAR * max(spread, 1e-9)]
    if not order or not spread:
        return ()
    names = [samples[i].id for i in order]
    facts = {"count": len(names), "names": ", ".join(names[:SHOWN])}
    return (Problem("anomaly.suspects", facts, "warning", tuple(names)),)
