"""Finding text: where the lines of text are in an image, as quadrilaterals.

Output: for each network pixel, how probable it is that it lies in the core of a line (its polygon, shrunk). Prediction:
the cores that hang together, grown back to whole lines, in original pixels. What they say is for `ocr`; a page that was
read, by both, is a prediction of this task with texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from manako.messages import message
from manako.metrics.text_regions import RegionScore, intervals, rates, score_regions, sweep
from manako.polygons import overlaps
from manako.tasks import Json, Output, Outputs, Task
from manako.types import Dataset, Evaluation, Frame, Score, TextRegions

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

GRID = np.arange(1, 100) / 100
UNCLIP = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5)  # that calibration tries
NAMES = ("precision", "recall", "h_mean")
SAME = 0.8  # IoU
WORST = 100


class TextFinding(Task[TextRegions]):
    """binary: the probability from which on a pixel is text. confidence: the score from which on a region is kept.
    unclip: how far a core is grown (times area over perimeter)."""

    name: ClassVar[str] = "text_finding"
    main_metric: ClassVar[str] = "h_mean"
    outputs: ClassVar[tuple[Output, ...]] = (Output("probability", ("N", "height", "width"), "probabilities"),)
    settings: ClassVar[Mapping[str, float]] = {"binary": 0.3, "confidence": 0.5, "unclip": 1.5}
    columns: ClassVar[tuple[str, ...]] = ("text", "text_score", "score", "polygon")
    fit = "letterbox"

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[TextRegions]:
        from manako.tasks._text_maps import regions_of

        chosen = {**self.settings, **settings}
        found = []
        for probability, frame in zip(outputs["probability"], frames, strict=True):
            quads, score = regions_of(probability, **{name: chosen[name] for name in self.settings})
            restored = [frame.restore(quad.astype(np.float32)) for quad in quads]
            found.append(TextRegions(tuple(restored), score))
        return found

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[TextRegions]]]) -> dict[str, float]:
        """`unclip` and `confidence` with the best h_mean; the middle of a plateau."""
        measures: dict[float, list[RegionScore]] = {ratio: [] for ratio in UNCLIP}
        for outputs, frames, truths in batches:
            for ratio, measured in measures.items():
                found = self.decode(outputs, frames, {"unclip": ratio, "confidence": 0.0})
                measured += [score_regions(f, t) for f, t in zip(found, truths, strict=True)]
        if not sum(m.true for m in next(iter(measures.values()))):
            return dict(self.settings)
        curves = {ratio: sweep(measured, GRID)[:, 2] for ratio, measured in measures.items()}
        tight = {ratio: _mean_overlap(measured) for ratio, measured in measures.items()}
        best = max(UNCLIP, key=lambda ratio: (round(float(curves[ratio].max()), 3), tight[ratio]))
        plateau = np.flatnonzero(curves[best] >= curves[best].max() - 1e-9)
        return {**self.settings, "unclip": best, "confidence": float(GRID[plateau[len(plateau) // 2]])}

    def measure(self, prediction: TextRegions, truth: TextRegions, classes: Sequence[str]) -> RegionScore:
        return score_regions(prediction, truth)

    def summarise(
        self, measures: Sequence[RegionScore], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        """Of all images together. mean_overlap: IoU of each true region with the found one that fits it best. Where
        readings and true texts are known, a hit counts for `end_to_end` if it says what is true."""
        counts = np.array([m.counts for m in measures], np.int64).reshape(-1, 3)
        metrics = dict(zip(NAMES, rates(counts), strict=True)) | {"mean_overlap": _mean_overlap(measures)}
        parts = {"": counts} | _end_to_end(measures, counts)
        low = high = metrics["h_mean"]
        for name, part in parts.items():
            if name:
                metrics[name] = rates(part)[2]
            if intervals:
                ends = _intervals(part, seed=seed)
                if not name:
                    low, high = (float(v) for v in ends[2])
                told = dict(zip(NAMES[:2], ends[:2], strict=True)) if not name else {name: ends[2]}
                metrics |= {
                    f"{n}_{end}": float(v) for n, pair in told.items() for end, v in zip(ENDS, pair, strict=True)
                }
        return Evaluation(
            main=Score("h_mean", metrics["h_mean"], low, high),
            metrics=metrics,
            per_class={},
            count=len(measures),
            worst=_worst(counts),
            tables={
                "sweep": sweep(measures, GRID),
                "iou": np.concatenate([m.best for m in measures] or [np.empty(0)]),
            },
        )

    def same(self, first: TextRegions, second: TextRegions) -> bool:
        if len(first) != len(second):
            return False
        table = overlaps(first.polygons, second.polygons)
        return bool((table.max(1, initial=0) >= SAME).all() and (table.max(0, initial=0) >= SAME).all())

    def draw(
        self, image: Image.Image, prediction: TextRegions, classes: Sequence[str], *, truth: TextRegions | None = None
    ) -> Image.Image:
        """The outlines on the image; beside it, where texts are known, what they say at the same places, numbered."""
        from manako.tasks._draw_text import draw_regions

        return draw_regions(image, prediction, truth=truth)

    def describe(self, prediction: TextRegions, classes: Sequence[str]) -> str:
        if not len(prediction):
            return message("text_finding.nothing")
        told = message("text_finding.count", count=len(prediction))
        texts = [text for text in prediction.texts or () if text]
        return f"{told}: {' / '.join(texts[:3])}" if texts else told

    def as_json(self, prediction: TextRegions, classes: Sequence[str]) -> list[Json]:
        entries: list[Json] = []
        for i, polygon in enumerate(prediction.polygons):
            entry: Json = {}
            if prediction.texts is not None:
                entry["text"] = prediction.texts[i]
            if prediction.text_score is not None:
                entry["text_score"] = round(float(prediction.text_score[i]), 6)
            entry["score"] = round(float(prediction.score[i]), 6)
            entry["polygon"] = [[round(x, 2), round(y, 2)] for x, y in polygon.tolist()]
            entries.append(entry)
        return entries

    def as_rows(self, prediction: TextRegions, classes: Sequence[str]) -> list[Json]:
        entries = self.as_json(prediction, classes)
        for entry, polygon in zip(entries, prediction.polygons, strict=True):
            entry["polygon"] = " ".join(f"{x:.2f},{y:.2f}" for x, y in polygon.tolist())
        return entries

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._finding_figures import finding_figures

        return finding_figures(evaluation, GRID)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.text_pages import write_text_pages

        return read_dataset(write_text_pages(folder, seed=seed, count=count), task=self.name)


ENDS = ("low", "high")
_intervals = intervals  # `summarise` has an argument of this name


def _mean_overlap(measures: Sequence[RegionScore]) -> float:
    best = np.concatenate([m.best for m in measures] or [np.empty(0)])
    return float(best.mean()) if len(best) else 1.0


def _end_to_end(measures: Sequence[RegionScore], counts: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Counts with hits that were read right only; none where texts are not known."""
    read = [(m.read, m.read_normalised) for m in measures]
    if not read or any(a is None or b is None for a, b in read):
        return {}
    exact, plain = np.array(read, np.int64).T
    return {
        "end_to_end": np.stack([exact, counts[:, 1], counts[:, 2]], 1),
        "end_to_end_normalised": np.stack([plain, counts[:, 1], counts[:, 2]], 1),
    }


def _worst(counts: NDArray[np.int64]) -> tuple[int, ...]:
    """Images with mistakes, those with the most first."""
    wrong = counts[:, 1] + counts[:, 2] - 2 * counts[:, 0]
    order = np.argsort(-wrong, kind="stable").tolist()
    return tuple(i for i in order if wrong[i] > 0)[:WORST]


TASK = TextFinding()
