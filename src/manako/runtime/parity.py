"""Is the shipped model the trained model? Two engines on the same real images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manako.errors import DataError
from manako.images import MAX_PIXELS
from manako.runtime.ahead import Opened, in_batches, of_one_size, open_ahead
from manako.runtime.engine import Engine
from manako.runtime.evaluate import aligned
from manako.runtime.predictor import BATCH, WINDOW, finite_rows
from manako.tasks import spread, task_of
from manako.types import Sample

LARGEST_DIFFERENCE = 1e-4
SAME_ANSWERS = 0.999
LOST_SCORE = 0.001  # a tenth of a point


@dataclass(frozen=True)
class Parity:
    """max_difference: of any number of any output, over max(1, the largest number of that output, before).

    same_answers: share of images whose answer is the same (`Task.same`).
    score_before, score_after: the task's main metric.
    """

    count: int
    max_difference: float
    same_answers: float
    score_before: float
    score_after: float
    higher_is_better: bool = True

    @property
    def kept(self) -> bool:
        close = self.max_difference <= LARGEST_DIFFERENCE and self.same_answers >= SAME_ANSWERS
        return close and not self.lost

    @property
    def lost(self) -> bool:
        """The score is worse by more than a tenth of a point."""
        if math.isnan(self.score_before):  # these images can't tell the score (anomalies: all are normal)
            return not math.isnan(self.score_after)
        worse = self.score_before - self.score_after
        return not (worse if self.higher_is_better else -worse) <= LOST_SCORE * max(1.0, abs(self.score_before))


def compare(
    before: Engine,
    after: Engine,
    samples: Sequence[Sample],
    classes: Sequence[str],
    *,
    batch: int = BATCH,
    max_pixels: int = MAX_PIXELS,
) -> Parity:
    """Run both engines on every readable sample that has a target, or on as many as are enough for a look. Raises
    DataError where there is none."""
    task, card = task_of(before.card), before.card
    known = spread(list(aligned(samples, classes, card.classes)), task.looked)
    differences: list[float] = [0.0]
    measures: tuple[list[Any], list[Any]] = ([], [])
    same: list[bool] = []
    opened = open_ahead(known, card.preprocess, ahead=2 * batch, max_pixels=max_pixels)
    for items in _batches((o for o in opened if o.pixels is not None), batch, lines=card.preprocess.fit == "line"):
        pixels = np.stack([o.pixels for o in items if o.pixels is not None])
        frames = [o.frame for o in items if o.frame is not None]
        outputs = before.run(pixels), after.run(pixels)
        differences.append(task.difference(*outputs))
        if not all(finite_rows(found, len(items)).all() for found in outputs):
            raise DataError("parity.not_finite")
        answers = [task.decode(found, frames, card.settings) for found in outputs]
        truths = [o.source.truth for o in items if isinstance(o.source, Sample)]
        same += [task.same(a, b) for a, b in zip(*answers, strict=True)]
        for said, measured in zip(answers, measures, strict=True):
            measured += [task.measure(a, truth, card.classes) for a, truth in zip(said, truths, strict=True)]
    if not same:
        raise DataError("parity.nothing")
    scores = [task.summarise(m, card.classes, intervals=False).main.value for m in measures]
    return Parity(len(same), max(differences), float(np.mean(same)), scores[0], scores[1], task.higher_is_better)


def _batches(opened: Iterable[Opened], batch: int, *, lines: bool) -> Iterator[list[Opened]]:
    """Of lines, those that are equally wide."""
    for items in in_batches(opened, batch * WINDOW if lines else batch):
        for places in of_one_size([None if o.pixels is None else o.pixels.shape for o in items], batch):
            yield [items[place] for place in places]
