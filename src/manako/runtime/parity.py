"""Is the shipped model the trained model? Two engines on the same real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manako.errors import DataError
from manako.images import MAX_PIXELS
from manako.runtime.ahead import in_batches, open_ahead
from manako.runtime.engine import Engine
from manako.runtime.evaluate import aligned
from manako.runtime.predictor import BATCH, finite_rows
from manako.tasks import Outputs, get_task
from manako.types import Prediction, Sample

LARGEST_DIFFERENCE = 1e-4
SAME_ANSWERS = 0.999
LOST_SCORE = 0.001  # a tenth of a point


@dataclass(frozen=True)
class Parity:
    """max_difference: of any number of any output, over max(1, the largest number of that output, before).

    same_answers: share of images with the same best answer. score_before, score_after: the task's main metric.
    """

    count: int
    max_difference: float
    same_answers: float
    score_before: float
    score_after: float

    @property
    def kept(self) -> bool:
        close = self.max_difference <= LARGEST_DIFFERENCE and self.same_answers >= SAME_ANSWERS
        return close and not self.lost

    @property
    def lost(self) -> bool:
        """The score fell by more than a tenth of a point."""
        return not self.score_after >= self.score_before - LOST_SCORE


def compare(
    before: Engine,
    after: Engine,
    samples: Sequence[Sample],
    classes: Sequence[str],
    *,
    batch: int = BATCH,
    max_pixels: int = MAX_PIXELS,
) -> Parity:
    """Run both engines on every readable sample that has a target. Raises DataError where there is none."""
    task, card = get_task(before.card.task), before.card
    known = list(aligned(samples, classes, card.classes))
    differences, truths = [0.0], []
    answers: tuple[list[Prediction], list[Prediction]] = ([], [])
    opened = open_ahead(known, card.preprocess, ahead=2 * batch, max_pixels=max_pixels)
    for items in in_batches((o for o in opened if o.pixels is not None), batch):
        pixels = np.stack([o.pixels for o in items if o.pixels is not None])
        frames = [o.frame for o in items if o.frame is not None]
        outputs = before.run(pixels), after.run(pixels)
        differences.append(_difference(*outputs))
        for found, said in zip(outputs, answers, strict=True):
            if not finite_rows(found, len(items)).all():
                raise DataError("parity.not_finite")
            said.extend(task.decode(found, frames, card.settings))
        truths += [o.source.target for o in items if isinstance(o.source, Sample) and o.source.target]
    if not truths:
        raise DataError("parity.nothing")
    scores = [task.evaluate(a, truths, card.classes, intervals=False).main.value for a in answers]
    same = np.mean([a.best == b.best for a, b in zip(*answers, strict=True)])
    return Parity(len(truths), max(differences), float(same), scores[0], scores[1])


def _difference(before: Outputs, after: Outputs) -> float:
    each = [float(np.abs(before[k] - after[k]).max() / max(1.0, float(np.abs(before[k]).max()))) for k in before]
    return max(each) if all(np.isfinite(each)) else float("inf")
