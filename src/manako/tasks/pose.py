"""Pose: the points of each subject (joints of people, of animals, of anything) in one image.

Outputs: for each point some candidates, peaks (N, classes, peaks, 3): x, y in network pixels and a score 0..1, 0 for an
empty place; and for each limb of the skeleton how surely each candidate of its first point belongs to each of its
second, limbs (N, limbs, peaks, peaks). Matching them is done here. A model with one candidate a point finds one
subject, whose points all belong together. The classes of a pose data set are its points.

Main metric: OKS average precision, for one subject as for several; beside it the distance in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from manako.images import Fit
from manako.metrics.poses import PoseMeasure, measure, subject_scores
from manako.skeletons import SIGMA, around, side_of
from manako.tasks import Json, Output, Outputs, Task
from manako.tasks._pose_matching import NOBODY, match_limbs
from manako.tasks._pose_scores import oks_ap, summarise
from manako.types import Dataset, Evaluation, Frame, Poses, Skeleton

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

ONE_PIXEL = 1.0
POINT_GRID, LIMB_GRID, SUBJECT_GRID = (0.05, 0.1, 0.2, 0.3), (0.05, 0.15, 0.3, 0.45), (0.3, 0.2, 0.15, 0.1, 0.05)
GIVEN_UP = 0.005  # of the average precision, for fewer subjects that aren't there


class Pose(Task[Poses]):
    """Bound to a skeleton by `of`; without one, the points are a chain in their order."""

    name: ClassVar[str] = "pose"
    main_metric: ClassVar[str] = "oks_ap"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("peaks", ("N", "classes", "peaks", 3), "features"),
        Output("limbs", ("N", "limbs", "peaks", "peaks"), "features"),
    )
    settings: ClassVar[Mapping[str, float]] = {"least_point": 0.1, "least_limb": 0.15, "least_subject": 0.0}
    columns: ClassVar[tuple[str, ...]] = ("subject", "point", "x", "y", "score")
    fit: ClassVar[Fit] = "letterbox"

    def __init__(self, skeleton: Skeleton | None = None) -> None:
        self.skeleton = skeleton

    def of(self, skeleton: Skeleton | None) -> Pose:
        return self if skeleton is None else Pose(skeleton)

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Poses]:
        images = zip(outputs["peaks"], outputs["limbs"], frames, strict=True)
        return [self._subjects(peaks, limbs, frame, settings) for peaks, limbs, frame in images]

    def _subjects(
        self,
        peaks: NDArray[np.float32],
        strength: NDArray[np.float32],
        frame: Frame,
        settings: Mapping[str, float],
    ) -> Poses:
        chosen = {**self.settings, **settings}
        count, candidates, _ = peaks.shape
        if candidates == 1:
            table = np.zeros((1, count), np.int64)
        else:
            seen = (peaks[..., 2] >= chosen["least_point"]) & (peaks[..., 2] > 0)
            table = match_limbs(seen, strength, self._limbs(count), least=chosen["least_limb"])
        place = np.take_along_axis(peaks[None], np.maximum(table, 0)[..., None, None], axis=2)[:, :, 0]
        nobody = table == NOBODY
        xy = np.where(nobody[..., None], np.nan, frame.restore(place[..., :2])).astype(np.float32)
        score = np.where(nobody, 0, np.clip(place[..., 2], 0, 1)).astype(np.float32)
        found = Poses(*_boxes(xy, score, frame))
        rank = subject_scores(found)
        kept = [i for i in np.argsort(-rank, kind="stable") if rank[i] >= chosen["least_subject"]]
        return Poses(found.xyxy[kept], found.xy[kept], found.score[kept], found.area[kept])

    def _limbs(self, count: int) -> tuple[tuple[int, int], ...]:
        return self.skeleton.limbs if self.skeleton else tuple((i, i + 1) for i in range(count - 1))

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Poses]]]) -> dict[str, float]:
        """The thresholds with the highest average precision; then the highest one for subjects that gives up little."""
        known = [(dict(outputs), frames, truths) for outputs, frames, truths in batches]
        truths = [truth for *_, some in known for truth in some]
        neutral = dict(self.settings)
        if not any((truth.score > 0).any() for truth in truths) or known[0][0]["peaks"].shape[2] == 1:
            return neutral

        def score(**changes: float) -> float:
            decoded = (p for outputs, frames, _ in known for p in self.decode(outputs, frames, neutral | changes))
            return oks_ap([self.measure(p, t, ()) for p, t in zip(decoded, truths, strict=True)])

        grid = [{"least_point": point, "least_limb": limb} for point in POINT_GRID for limb in LIMB_GRID]
        scores = [score(**cell) for cell in grid]
        best = grid[int(np.argmax(scores))]
        enough = (s for s in SUBJECT_GRID if score(**best, least_subject=s) >= max(scores) - GIVEN_UP)
        return neutral | best | {"least_subject": next(enough, 0.0)}

    def measure(self, prediction: Poses, truth: Poses, classes: Sequence[str]) -> PoseMeasure:
        count = prediction.score.shape[1]
        missing = count - truth.score.shape[1]
        if missing > 0:  # truth from other data, which lack the last points
            xy = np.pad(truth.xy, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan)
            truth = replace(truth, xy=xy, score=np.pad(truth.score, ((0, 0), (0, missing))))
        return measure(prediction, truth, self.skeleton.sigmas if self.skeleton else (SIGMA,) * count)

    def summarise(
        self, measures: Sequence[PoseMeasure], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        return summarise(measures, classes, intervals=intervals, seed=seed)

    def same(self, first: Poses, second: Poses) -> bool:
        """As many subjects, the same points found, none more than a pixel away."""
        if first.score.shape != second.score.shape:
            return False
        missing = np.isnan(first.xy), np.isnan(second.xy)
        away = np.abs(np.nan_to_num(first.xy) - np.nan_to_num(second.xy))
        return bool((missing[0] == missing[1]).all() and (away <= ONE_PIXEL).all())

    def draw(
        self, image: Image.Image, prediction: Poses, classes: Sequence[str], *, truth: Poses | None = None
    ) -> Image.Image:
        from manako.tasks._pose_drawing import draw_poses

        sides = [side_of(name) for name in classes]
        return draw_poses(image, prediction, self._limbs(len(classes)), sides, truth=truth)

    def compare(
        self, image: Image.Image, prediction: Poses, truth: Poses, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        """The part of the image with the subjects, as large as the image; true points are crosses in the answer."""
        from manako.tasks._pose_drawing import around_subjects

        boxes = np.concatenate([prediction.xyxy, truth.xyxy])
        drawn = self.draw(image, truth, classes), self.draw(image, prediction, classes, truth=truth)
        keys = ("gallery.truth", "gallery.prediction")
        return [(key, around_subjects(picture, boxes)) for key, picture in zip(keys, drawn, strict=True)]

    def describe(self, prediction: Poses, classes: Sequence[str]) -> str:
        from manako.messages import message

        found = int((~np.isnan(prediction.xy).any(-1)).sum())
        return message("pose.found", subjects=len(prediction), points=found)

    def as_json(self, prediction: Poses, classes: Sequence[str]) -> list[Json]:
        """A subject each: score, box, and x, y, score of each point that was found."""
        return [
            {
                "score": round(float(score), 6),
                "box": [round(float(v), 2) for v in box],
                "points": {name: [x, y, s] for name, x, y, s in _points(xy, scores, classes)},
            }
            for score, box, xy, scores in zip(
                subject_scores(prediction), prediction.xyxy, prediction.xy, prediction.score, strict=True
            )
        ]

    def as_rows(self, prediction: Poses, classes: Sequence[str]) -> list[Json]:
        """A point each; subjects are counted from 1."""
        return [
            {"subject": number, "point": name, "x": x, "y": y, "score": s}
            for number, (xy, scores) in enumerate(zip(prediction.xy, prediction.score, strict=True), 1)
            for name, x, y, s in _points(xy, scores, classes)
        ]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._pose_figures import pose_figures

        return pose_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.stick_figures import write_figures

        write_figures(folder, seed=seed, count=count)
        return read_dataset(folder, task=self.name)


def _boxes(
    xy: NDArray[np.float32], score: NDArray[np.float32], frame: Frame
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    boxes, area = around(xy, (frame.height, frame.width))
    return boxes, xy, score, area


def _points(
    xy: NDArray[np.float32], scores: NDArray[np.float32], classes: Sequence[str]
) -> Iterator[tuple[str, float, float, float]]:
    """Name, x, y, score of those that were found."""
    for name, (x, y), score in zip(classes, xy.tolist(), scores.tolist(), strict=True):
        if x == x:  # not NaN
            yield name, round(x, 2), round(y, 2), round(score, 4)


TASK = Pose()
