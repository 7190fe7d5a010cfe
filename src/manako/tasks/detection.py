"""Detection: which objects are in an image, and where, as boxes.

Outputs: up to 1,000 candidates an image, filled up with score 0. Prediction: those that are left when of two that
overlap the better one is kept. Objects with a low score are kept to be scored, for average precision looks at all of
them; from `confidence` on they are shown. Both limits are chosen on validation images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from manako.messages import message
from manako.metrics.boxes import areas, overlaps, suppress
from manako.metrics.detection import ImageScore
from manako.tasks import Json, Output, Outputs, Task
from manako.types import Dataset, Detections, Evaluation, Frame, Window

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

LOWEST = 0.001  # score of a candidate that is looked at
VISIBLE = 0.05  # score from which on two engines have to agree on a candidate
DOUBTFUL = 0.4  # of the confidence: objects that may be known ones half hidden, in a video; below that, nothing
MOST = 300  # objects of one image
OVERLAPS = (0.5, 0.6, 0.7)  # limits that calibration tries
MARGIN = 0.02  # scores that near to the confidence may fall on either side of it
BOX = ("left", "top", "right", "bottom")


class Detection(Task[Detections]):
    """iou: how much two objects of one class may overlap. confidence: the score from which on objects are shown."""

    name: ClassVar[str] = "detection"
    main_metric: ClassVar[str] = "ap"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("boxes", ("N", "candidates", 4), "boxes"),
        Output("scores", ("N", "candidates"), "probabilities"),
        Output("labels", ("N", "candidates"), "classes", "int64"),
    )
    settings: ClassVar[Mapping[str, float]] = {"confidence": 0.25, "iou": 0.6}
    columns: ClassVar[tuple[str, ...]] = ("class", "score", *BOX, "track")
    fit = "letterbox"

    def to_show(self, settings: Mapping[str, float]) -> Mapping[str, float]:
        """Without what is neither shown nor used to follow objects: most of the time of suppression goes there."""
        chosen = {**self.settings, **settings}
        return {**chosen, "lowest": max(LOWEST, DOUBTFUL * chosen["confidence"])}

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Detections]:
        chosen = {**self.settings, **settings}
        rows = [{key: value[i] for key, value in outputs.items()} for i in range(len(frames))]
        return [self.one_image(row, frame, chosen) for row, frame in zip(rows, frames, strict=True)]

    def one_image(self, row: Outputs, frame: Frame, settings: Mapping[str, float]) -> Detections:
        """The objects of one image, from its part of the outputs."""
        return self.boxes(row, frame, settings)[0]

    def boxes(self, row: Outputs, frame: Frame, settings: Mapping[str, float]) -> tuple[Detections, NDArray[np.int64]]:
        """The objects, and which candidate each was."""
        scores, labels = row["scores"].astype(np.float32), row["labels"]
        lowest = settings.get("lowest", LOWEST)
        order = best_candidates(row["boxes"], scores, labels, iou=settings["iou"], lowest=lowest)
        xyxy = frame.restore(row["boxes"][order].reshape(-1, 2, 2)).reshape(-1, 4)
        seen = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)  # what lay in the margin is gone
        order = order[seen]
        return Detections(xyxy[seen], labels[order], scores[order], confidence=settings["confidence"]), order

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Detections]]]) -> dict[str, float]:
        from manako.metrics.average_precision import average_precisions, best_confidence, pool

        measures: dict[float, list[ImageScore]] = {iou: [] for iou in OVERLAPS}
        classes = 0
        for outputs, frames, truths in batches:
            classes = max(classes, *(int(ids.max(initial=-1)) + 1 for ids in (t.class_id for t in truths)), 0)
            for iou, measured in measures.items():
                found = self.decode(outputs, frames, {"iou": iou})
                measured += [self.measure(f, t, ()) for f, t in zip(found, truths, strict=True)]
        scores = {}
        for iou, measured in measures.items():
            pooled = pool([m.matches for m in measured], classes)
            known = [found for found in pooled if found.positives[0].sum()]
            scores[iou] = float(average_precisions(known)[0].mean()) if known else 0.0
        best = max(OVERLAPS, key=lambda iou: (scores[iou], iou == self.settings["iou"]))
        pooled = pool([m.matches for m in measures[best]], classes)
        return {"confidence": best_confidence(pooled, self.settings["confidence"]), "iou": best}

    def measure(self, prediction: Detections, truth: Detections, classes: Sequence[str]) -> ImageScore:
        from manako.metrics.detection import score_image

        overlap = overlaps(prediction.xyxy, truth.xyxy, truth.crowd)
        return score_image(prediction, truth, (areas(prediction.xyxy), areas(truth.xyxy)), overlap)

    def summarise(
        self, measures: Sequence[ImageScore], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        from manako.metrics.detection import summarise_detection

        return summarise_detection(measures, classes, intervals=intervals, seed=seed)

    def same(self, first: Detections, second: Detections) -> bool:
        return _holds(first, second) and _holds(second, first)

    def difference(self, before: Outputs, after: Outputs) -> float:
        """Candidates of nearly equal scores may stand in another order: each is compared with the one nearest to it."""
        return candidate_difference(before, after)

    def join(self, parts: Iterable[tuple[Window, Detections]], height: int, width: int) -> Detections:
        from manako.tasks._join_boxes import join_boxes

        return join_boxes(parts, height, width)

    def draw(
        self,
        image: Image.Image,
        prediction: Detections,
        classes: Sequence[str],
        *,
        truth: Detections | None = None,
    ) -> Image.Image:
        from manako.tasks._draw_boxes import draw_objects

        return draw_objects(image, prediction.shown(), classes, truth=truth)

    def describe(self, prediction: Detections, classes: Sequence[str]) -> str:
        count = np.bincount(prediction.shown().class_id, minlength=len(classes))
        parts = [f"{count[i]} × {classes[i]}" for i in np.argsort(-count, kind="stable") if count[i]]
        return ", ".join(parts) or message("detection.nothing")

    def as_json(self, prediction: Detections, classes: Sequence[str]) -> list[Json]:
        shown = prediction.shown()
        entries: list[Json] = [
            {"class": classes[kind], "score": round(score, 6), "box": [round(side, 2) for side in box]}
            for kind, score, box in zip(shown.class_id.tolist(), shown.score.tolist(), shown.xyxy.tolist(), strict=True)
        ]
        if shown.track is not None:
            for entry, track in zip(entries, shown.track.tolist(), strict=True):
                entry["track"] = track
        return entries

    def as_rows(self, prediction: Detections, classes: Sequence[str]) -> list[Json]:
        shown = prediction.shown()
        tracks = [""] * len(shown) if shown.track is None else shown.track.tolist()
        return [
            {"class": classes[kind], "score": round(score, 6), "track": track}
            | dict(zip(BOX, (round(side, 2) for side in box), strict=True))
            for kind, score, box, track in zip(
                shown.class_id.tolist(), shown.score.tolist(), shown.xyxy.tolist(), tracks, strict=True
            )
        ]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._box_figures import box_figures

        return box_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.objects import write_objects

        write_objects(folder, seed=seed, count=count)
        return read_dataset(folder, task=self.name)


def best_candidates(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    iou: float,
    lowest: float = LOWEST,
) -> NDArray[np.int64]:
    """The candidates of one image that are left, best first: at most MOST. lowest: score from which on they count."""
    sides = boxes[:, 2:] - boxes[:, :2]
    usable = (scores >= lowest) & (sides > 0).all(axis=1)
    order = np.flatnonzero(usable)
    order = order[np.argsort(-scores[order], kind="stable")]
    return order[suppress(boxes[order], labels[order], iou=iou, limit=MOST)[:MOST]]


def candidate_difference(before: Outputs, after: Outputs) -> float:
    """The largest distance of a candidate that scores at least VISIBLE to the one nearest to it, over max(1, the
    largest coordinate). One in two hundred may be another one: where two overlap and score alike, rounding decides
    which is left. What that does to answers and score, `same` and the score say."""
    if any(before[key].shape != after[key].shape for key in before):
        return float("inf")
    size = max(1.0, float(np.abs(before["boxes"]).max(initial=0)))
    tables = [
        np.concatenate([o["boxes"] / size, o["scores"][..., None], o["labels"][..., None].astype(np.float32)], 2)
        for o in (before, after)
    ]
    apart = np.sort(np.concatenate([np.zeros(1), *(_apart(one, other) for one, other in zip(*tables, strict=True))]))
    found = float(apart[: len(apart) - len(apart) // 200].max())
    return found if np.isfinite(found) else float("inf")


def _apart(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of one image, (C, 6) each: boxes, score, class. How far each candidate is from its counterpart."""
    rows = before[before[:, 4] >= VISIBLE]
    apart = np.abs(rows - after[: len(rows)]).max(axis=1, initial=0).astype(np.float64)
    for row in np.flatnonzero(~(apart <= 1e-6)):
        apart[row] = np.abs(rows[row] - after).max(axis=1).min()
    return np.asarray(apart)


def _holds(first: Detections, second: Detections) -> bool:
    """Whether `second` has each object of `first` that is surely shown."""
    sure = first.take(first.score >= first.confidence + MARGIN)
    near = second.take(second.score >= second.confidence - MARGIN)
    alike = overlaps(sure.xyxy, near.xyxy) * (sure.class_id[:, None] == near.class_id[None])
    return bool((alike.max(axis=1, initial=0) >= 0.9).all())


TASK = Detection()
