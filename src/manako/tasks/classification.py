"""Classification: one class for one whole image.

Outputs: logits (N, classes). Prediction: every class with its probability, best first. The probabilities are
softmax(logits / temperature); the temperature comes from validation images (Guo et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from manako.metrics.bootstrap import mean_interval
from manako.metrics.calibration import best_temperature
from manako.tasks import Json, Output, Outputs, Task
from manako.types import Dataset, Evaluation, Frame, Labels, Score

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

SHOWN = 5  # answers in a line of JSON


class Classification(Task[Labels]):
    name: ClassVar[str] = "classification"
    main_metric: ClassVar[str] = "accuracy"
    outputs: ClassVar[tuple[Output, ...]] = (Output("logits", ("N", "classes"), "logits"),)
    settings: ClassVar[Mapping[str, float]] = {"temperature": 1.0}
    columns: ClassVar[tuple[str, ...]] = ("class", "score")

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Labels]:
        scaled = outputs["logits"].astype(np.float32) / settings.get("temperature", 1.0)
        weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        scores = weight / weight.sum(axis=1, keepdims=True)
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked = np.take_along_axis(scores, order, axis=1)
        return [Labels(ids.astype(np.int64), score) for ids, score in zip(order, ranked, strict=True)]

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Labels]]]) -> dict[str, float]:
        logits, truth = [], []
        for outputs, _, truths in batches:
            logits.append(outputs["logits"])
            truth += [t.best for t in truths]
        return {"temperature": best_temperature(np.concatenate(logits), np.array(truth)) if truth else 1.0}

    def measure(self, prediction: Labels, truth: Labels, classes: Sequence[str]) -> tuple[Labels, int]:
        return prediction, truth.best

    def summarise(
        self,
        measures: Sequence[tuple[Labels, int]],
        classes: Sequence[str],
        *,
        intervals: bool = True,
        seed: int = 0,
    ) -> Evaluation:
        from manako.metrics.classes import score_classes

        truth = np.array([best for _, best in measures], np.int64)
        probabilities = _matrix([prediction for prediction, _ in measures], len(classes))
        scores = score_classes(probabilities, truth)
        correct = probabilities.argmax(axis=1) == truth
        accuracy = scores.metrics["accuracy"]
        low, high = mean_interval(correct, seed=seed) if intervals else (accuracy, accuracy)
        wrong = np.flatnonzero(~correct)
        worst = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
        columns = ("precision", "recall", "f1", "support")
        return Evaluation(
            main=Score("accuracy", accuracy, low, high),
            metrics=scores.metrics,
            per_class={
                name: dict(zip(columns, row.tolist(), strict=True))
                for name, row in zip(classes, scores.per_class, strict=True)
            },
            count=len(truth),
            worst=tuple(worst.tolist()),
            tables=scores.tables,
        )

    def chance(self, score: float, count: int) -> float:
        return math.sqrt(score * (1 - score) / count)

    def same(self, first: Labels, second: Labels) -> bool:
        return first.best == second.best

    def draw(
        self,
        image: Image.Image,
        prediction: Labels,
        classes: Sequence[str],
        *,
        truth: Labels | None = None,
    ) -> Image.Image:
        from manako.tasks._caption import with_caption

        name, score = classes[prediction.best], float(prediction.score[0])
        if truth is None:
            return with_caption(image, name, score)
        return with_caption(image, name, score, right=truth.best == prediction.best, truth=classes[truth.best])

    def describe(self, prediction: Labels, classes: Sequence[str]) -> str:
        return f"{classes[prediction.best]} {100 * float(prediction.score[0]):.0f} %"

    def as_json(self, prediction: Labels, classes: Sequence[str]) -> list[Json]:
        best = zip(prediction.class_id[:SHOWN].tolist(), prediction.score[:SHOWN].tolist(), strict=True)
        return [{"class": classes[class_id], "score": round(score, 6)} for class_id, score in best]

    def as_rows(self, prediction: Labels, classes: Sequence[str]) -> list[Json]:
        return self.as_json(prediction, classes)[:1]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._class_figures import class_figures

        return class_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.scenes import write_shapes

        write_shapes(folder, seed=seed, count=count)
        return read_dataset(folder, task=self.name)


def _matrix(predictions: Sequence[Labels], classes: int) -> NDArray[np.float32]:
    """Predictions as probabilities (N, classes)."""
    matrix = np.zeros((len(predictions), classes), np.float32)
    for row, prediction in zip(matrix, predictions, strict=True):
        row[prediction.class_id] = prediction.score
    return matrix


TASK = Classification()
