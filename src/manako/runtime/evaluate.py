"""Scores of a finished model on samples whose truth is known, read one batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manako.console import progress
from manako.errors import DataError, ManakoError
from manako.images import MAX_PIXELS
from manako.runtime.ahead import Opened
from manako.runtime.predictor import BATCH, Predictor, Result
from manako.tasks import Outputs, get_task, spread
from manako.types import Detections, Evaluation, Frame, Labels, Prediction, Sample, Skeleton, TextLine

SHOWN = 48  # worst images of which a picture may be asked, and as many others


@dataclass(frozen=True, eq=False)
class Evaluated:
    """samples: those that could be read, in order. shown: prediction and truth of those that pictures may be asked of
    (the worst and some others; all of them where predictions are small), by their place in `samples`. Class ids are
    those of `classes`. left_out: what of the labels could not be used."""

    task: str
    model: str
    split: str
    classes: tuple[str, ...]
    evaluation: Evaluation
    samples: tuple[Sample, ...]
    shown: Mapping[int, tuple[Prediction, Prediction]]
    skeleton: Skeleton | None = None
    skipped: tuple[Result, ...] = ()
    left_out: int = 0

    def as_json(self) -> dict[str, object]:
        """The object that `evaluate --json` prints."""
        found = self.evaluation
        ruler = get_task(self.task).measured_with
        return {
            "task": self.task,
            "model": self.model,
            "split": self.split,
            **({"measured_with": ruler} if ruler else {}),
            "count": found.count,
            "skipped": len(self.skipped),
            "left_out": self.left_out,
            "main": found.main.as_json(),
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
    task, names = predictor.task, predictor.card.classes
    known = spread(tuple(aligned(samples, classes, names)), task.enough)
    kept: list[Sample] = []
    measures: list[Any] = []
    skipped: list[Result] = []
    shown: dict[int, tuple[Prediction, Prediction]] = {}
    results = predictor.predict(known, batch=batch, max_pixels=max_pixels)
    for sample, result in zip(known, progress(results, "evaluate.bar", len(known)), strict=True):
        result, truth = _with_truth(sample, result)
        if result.prediction is None or truth is None:
            skipped.append(result)
            continue
        if not task.dense:
            shown[len(kept)] = result.prediction, truth
        kept.append(sample)
        measures.append(task.measure(result.prediction, truth, names))
    if not kept:
        raise DataError("evaluate.nothing", split=split, skipped=len(skipped))
    evaluation = task.summarise(measures, names, intervals=intervals, seed=seed)
    if task.dense:
        shown = _again(predictor, kept, evaluation.worst, max_pixels=max_pixels)
    return Evaluated(
        task=predictor.task.name,
        model=predictor.card.model,
        split=split,
        classes=names,
        evaluation=evaluation,
        samples=tuple(kept),
        shown=shown,
        skipped=tuple(skipped),
        skeleton=predictor.card.skeleton,
    )


def beside_training(found: Evaluated, predictor: Predictor, training: Sequence[Sample]) -> Evaluated:
    """With what the training images add to the evaluation (see `Task.beside_training`). training: of the model's own
    classes."""

    def again(places: Sequence[int]) -> list[Prediction]:
        results = predictor.predict([found.samples[i] for i in places], batch=4)
        return [result.prediction for result in results if result.prediction is not None]

    if not predictor.task.beside_training_seconds:
        return found
    return replace(found, evaluation=predictor.task.beside_training(found.evaluation, again, training))


def _with_truth(sample: Sample, result: Result) -> tuple[Result, Prediction | None]:
    """A truth that can't be read from its file is an error of this sample's."""
    try:
        return result, sample.truth
    except ManakoError as error:
        return replace(result, prediction=None, error=error), None


def _again(
    predictor: Predictor, samples: Sequence[Sample], worst: Sequence[int], *, max_pixels: int
) -> dict[int, tuple[Prediction, Prediction]]:
    """Predictions as large as images aren't kept: those that are shown are made once more."""
    others = [i for i in range(len(samples)) if i not in set(worst)]
    spread = [others[i] for i in np.linspace(0, len(others) - 1, min(SHOWN, len(others))).astype(int)]
    chosen = [*worst[:SHOWN], *spread]
    results = predictor.predict([samples[i] for i in chosen], batch=4, max_pixels=max_pixels)
    pairs = {i: (result.prediction, samples[i].truth) for i, result in zip(chosen, results, strict=True)}
    return {i: (found, truth) for i, (found, truth) in pairs.items() if found is not None and truth is not None}


def calibrate(
    predictor: Predictor, samples: Sequence[Sample], classes: Sequence[str], *, batch: int = BATCH
) -> dict[str, float]:
    """The task's `settings`, measured on validation samples. Empty samples give the neutral ones."""
    known = tuple(aligned(samples, classes, predictor.card.classes))
    if not known:
        return dict(predictor.task.settings)
    return predictor.task.calibrate(_with_truths(predictor.batches(known, batch=batch)))


def _with_truths(
    batches: Iterable[tuple[list[Opened], Outputs, list[Frame]]],
) -> Iterator[tuple[Outputs, Sequence[Frame], Sequence[Prediction]]]:
    for opened, outputs, frames in batches:
        truths = [o.source.truth for o in opened if o.frame and isinstance(o.source, Sample)]
        if frames:
            yield outputs, frames, [truth for truth in truths if truth is not None]


def aligned(samples: Sequence[Sample], classes: Sequence[str], known: Sequence[str]) -> Iterator[Sample]:
    """The samples that have a target, its ids turned from places in `classes` into places in `known`, by name."""
    if tuple(classes) == tuple(known):
        yield from (sample for sample in samples if sample.target is not None)
        return
    place = {name: index for index, name in enumerate(known)}
    if any(isinstance(sample.target, TextLine) for sample in samples):  # a character that can't be read is a mistake
        place = {name: place.get(name, -1) for name in classes}
    strange = sorted(_used(samples, classes) - set(place))
    if strange:
        raise DataError("evaluate.unknown_classes", unknown=", ".join(strange[:10]), known=", ".join(known[:10]))
    ids = np.array([place.get(name, 0) for name in classes], np.int64)
    for sample in samples:
        if sample.target is not None:
            yield replace(sample, target=sample.target.relabel(ids))


def _used(samples: Sequence[Sample], classes: Sequence[str]) -> set[str]:
    """Names of the classes that the samples have; all of them where that is not known without reading files."""
    used: set[str] = set()
    for sample in samples:
        if isinstance(sample.target, (Labels, Detections)):
            used |= {classes[i] for i in sample.target.class_id.tolist()}
        elif sample.target is not None:
            return set(classes)
    return used
