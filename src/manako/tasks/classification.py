"""Classification: one class for one whole image.

Outputs: logits (N, classes). Prediction: every class with its probability, best first. The probabilities are
softmax(logits / temperature); the temperature comes from validation images (Guo et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from manako.metrics.bootstrap import mean_interval
from manako.metrics.calibration import best_temperature
from manako.tasks import Json, Output, Outputs, Task
from manako.types import Dataset, Evaluation, Frame, Labels, Prediction, Score

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

SHOWN = 5  # answers in a line of JSON


class Classification(Task):
    name: ClassVar[str] = "classification"
    main_metric: ClassVar[str] = "accuracy"
    outputs: ClassVar[tuple[Output, ...]] = (Output("logits", ("N", "classes"), "logits"),)
    settings: ClassVar[Mapping[str, float]] = {"temperature": 1.0}
    columns: ClassVar[tuple[str, ...]] = ("class", "score")

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Prediction]:
        scaled = outputs["logits"].astype(np.float32) / settings.get("temperature", 1.0)
        weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        scores = weight / weight.sum(axis=1, keepdims=True)
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked = np.take_along_axis(scores, order, axis=1)
        return [Labels(ids.astype(np.int64), score) for ids, score in zip(order, ranked, strict=True)]

    def calibrate(self, outputs: Outputs, frames: Sequence[Frame], truths: Sequence[Prediction]) -> dict[str, float]:
        truth = np.array([t.best for t in truths])
        return {"temperature": best_temperature(outputs["logits"], truth) if len(truth) else 1.0}

    def evaluate(
        self,
        predictions: Sequence[Prediction],
        truths: Sequence[Prediction],
        classes: Sequence[str],
        *,
        intervals: bool = True,
        seed: int = 0,
    ) -> Evaluation:
        from manako.metrics.classes import score_classes

        truth = np.array([t.best for t in truths], np.int64)
        probabilities = _matrix(predictions, len(classes))
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

    def draw(
        self,
        image: Image.Image,
        prediction: Prediction,
        classes: Sequence[str],
        *,
        truth: Prediction | None = None,
    ) -> Image.Image:
        from manako.tasks._caption import with_caption

        name, score = classes[prediction.best], float(prediction.score[0])
        if truth is None:
            return with_caption(image, name, score)
        return with_caption(image, name, score, right=truth.best == prediction.best, truth=classes[truth.best])

    def as_json(self, prediction: Prediction, classes: Sequence[str]) -> list[Json]:
        best = zip(prediction.class_id[:SHOWN].tolist(), prediction.score[:SHOWN].tolist(), strict=True)
        return [{"class": classes[class_id], "score": round(score, 6)} for class_id, score in best]

    def as_rows(self, prediction: Prediction, classes: Sequence[str]) -> list[Json]:
        return self.as_json(prediction, classes)[:1]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._class_figures import class_figures

        return class_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.scenes import write_shapes

        write_shapes(folder, seed=seed, count=count)
        return read_dataset(folder, task=self.name)


def _matrix(predictions: Sequence[Prediction], classes: int) -> NDArray[np.float32]:
    """Predictions as probabilities (N, classes)."""
    matrix = np.zeros((len(predictions), classes), np.float32)
    for row, prediction in zip(matrix, predictions, strict=True):
        row[prediction.class_id] = prediction.score
    return matrix


TASK = Classification()
