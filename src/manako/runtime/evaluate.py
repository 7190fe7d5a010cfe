"""Scores of a finished model on samples whose truth is known, read one batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from manako.console import progress
from manako.errors import DataError
from manako.images import MAX_PIXELS
from manako.runtime.predictor import BATCH, Predictor, Result
from manako.types import Evaluation, Prediction, Sample


@dataclass(frozen=True, eq=False)
class Evaluated:
    """samples, predictions, truths: of the images that could be read, in order; ids are those of `classes`."""

    task: str
    model: str
    split: str
    classes: tuple[str, ...]
    evaluation: Evaluation
    samples: tuple[Sample, ...]
    predictions: tuple[Prediction, ...]
    truths: tuple[Prediction, ...]
    skipped: tuple[Result, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The object that `evaluate --json` prints."""
        found = self.evaluation
        return {
            "task": self.task,
            "model": self.model,
            "split": self.split,
            "count": found.count,
            "skipped": len(self.skipped),
            "main": asdict(found.main),
            "metrics": dict(found.metrics),
            "per_class": {name: dict(values) for name, values in found.per_class.items()},
        }


def evaluate(
    predictor: Predictor,
    samples: Sequence[Sample],
    classes: Sequence[str],
    *,
    split: str = "test",
    batch: int = BATCH,
    intervals: bool = True,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Evaluated:
    """classes: the names behind the ids of the samples' targets; the model's own ids are found by name.

    Samples without a target are left out. Raises DataError where nothing is left, or where the samples have a class
    that the model was not taught.
    """
    known = tuple(aligned(samples, classes, predictor.card.classes))
    kept: list[Sample] = []
    predictions: list[Prediction] = []
    skipped: list[Result] = []
    results = predictor.predict(known, batch=batch, max_pixels=max_pixels)
    for sample, result in zip(known, progress(results, "evaluate.bar", len(known)), strict=True):
        if result.prediction is None:
            skipped.append(result)
        else:
            kept.append(sample)
            predictions.append(result.prediction)
    if not kept:
        raise DataError("evaluate.nothing", split=split, skipped=len(skipped))
    truths = [s.target for s in kept if s.target is not None]
    names = predictor.card.classes
    evaluation = predictor.task.evaluate(predictions, truths, names, intervals=intervals, seed=seed)
    return Evaluated(
        task=predictor.task.name,
        model=predictor.card.model,
        split=split,
        classes=names,
        evaluation=evaluation,
        samples=tuple(kept),
        predictions=tuple(predictions),
        truths=tuple(truths),
        skipped=tuple(skipped),
    )


def calibrate(
    predictor: Predictor, samples: Sequence[Sample], classes: Sequence[str], *, batch: int = BATCH
) -> dict[str, float]:
    """The task's `settings`, measured on validation samples. Empty samples give the neutral ones."""
    known = tuple(aligned(samples, classes, predictor.card.classes))
    outputs, frames, truths = [], [], []
    for opened, found, places in predictor.batches(known, batch=batch):
        if places:
            outputs.append(found)
            frames += places
            truths += [o.source.target for o in opened if o.frame and isinstance(o.source, Sample) and o.source.target]
    if not outputs:
        return dict(predictor.task.settings)
    joined = {key: np.concatenate([o[key] for o in outputs]) for key in outputs[0]}
    return predictor.task.calibrate(joined, frames, truths)


def aligned(samples: Sequence[Sample], classes: Sequence[str], known: Sequence[str]) -> Iterator[Sample]:
    """The samples that have a target, its ids turned from places in `classes` into places in `known`, by name."""
    place = {name: index for index, name in enumerate(known)}
    used = {i for s in samples if s.target is not None for i in s.target.class_id.tolist()}
    strange = sorted({classes[i] for i in used} - set(place))
    if strange:
        raise DataError("evaluate.unknown_classes", unknown=", ".join(strange[:10]), known=", ".join(known[:10]))
    ids = np.array([place.get(name, 0) for name in classes], np.int64)
    for sample in samples:
        if sample.target is not None:
            yield replace(sample, target=replace(sample.target, class_id=ids[sample.target.class_id]))
