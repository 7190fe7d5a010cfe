"""Monocular depth: the distance of every pixel along the camera's axis, from one image.

Output: depth (N, h, w), positive, at a fraction of the network's size; it is brought to the image's size and the
letterbox is cut off. Settings: `scale` multiplies it (the factor that the validation images ask for; 1 for relative
depth); `metric` is 1 where the truth was in metres. The main metric is delta1, the share of pixels within a factor of
1.25 of the truth, without any alignment (of relative depth, which has no unit: after the median's).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from manako.images import Fit
from manako.metrics.bootstrap import mean_interval
from manako.metrics.depth import ALIGNMENTS, EDGES, ERRORS, DepthErrors, measure_depth
from manako.tasks import Json, Output, Outputs, Task
from manako.tasks._depth_map import known_range, resize_depth, restore_depth
from manako.types import Dataset, Depth, Evaluation, Frame, Score

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

WORST = 100
CLEARLY_WRONG = 0.5  # an image with delta1 below this is listed as a mistake, always
SAME = 0.01  # two maps are one answer where they differ by 1 % or less on average


class MonocularDepth(Task[Depth]):
    name: ClassVar[str] = "depth"
    main_metric: ClassVar[str] = "delta1"
    outputs: ClassVar[tuple[Output, ...]] = (Output("depth", ("N", "h", "w"), "pixels"),)
    settings: ClassVar[Mapping[str, float]] = {"scale": 1.0, "metric": 1.0}
    columns: ClassVar[tuple[str, ...]] = ("nearest", "median", "farthest", "unit")
    fit: ClassVar[Fit] = "letterbox"
    dense: ClassVar[bool] = True

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Depth]:
        scale, metric = settings.get("scale", 1.0), settings.get("metric", 1.0)
        return [
            Depth(restore_depth(depth, frame) * np.float32(scale), "m" if metric else "relative")
            for depth, frame in zip(outputs["depth"], frames, strict=True)
        ]

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Depth]]]) -> dict[str, float]:
        """The median, over validation images, of the factor between the medians of truth and estimate."""
        factors, metric = [], 1.0
        for outputs, frames, truths in batches:
            for estimate, truth in zip(self.decode(outputs, frames, self.settings), truths, strict=True):
                metric = float(truth.unit == "m")
                known = np.isfinite(truth.depth) & (truth.depth > 0) & (estimate.depth > 0)
                if known.any():
                    factors.append(float(np.median(np.log(truth.depth[known] / estimate.depth[known]))))
        scale = float(np.exp(np.median(factors))) if factors and metric else 1.0
        return {"scale": scale, "metric": metric}

    def measure(self, prediction: Depth, truth: Depth, classes: Sequence[str]) -> tuple[DepthErrors, bool]:
        """The errors, and whether depth has a unit."""
        estimate = resize_depth(prediction.depth, truth.depth.shape)
        metric = truth.unit == "m"
        return measure_depth(estimate, truth.depth, metric=metric), metric

    def summarise(
        self,
        measures: Sequence[tuple[DepthErrors, bool]],
        classes: Sequence[str],
        *,
        intervals: bool = True,
        seed: int = 0,
    ) -> Evaluation:
        """Images without any known depth count for nothing but `count`."""
        metric = all(has_unit for _, has_unit in measures)
        order = ALIGNMENTS if metric else ALIGNMENTS[1:]
        used = [errors for errors, _ in measures if errors.known > 0]
        each = np.array([errors.errors for errors in used]).reshape(-1, len(ALIGNMENTS), len(ERRORS))
        metrics: dict[str, float] = {}
        for how in order:
            for column, error in enumerate(ERRORS):
                values = each[:, ALIGNMENTS.index(how), column]
                metrics[error + _ending(how)] = float(values.mean()) if len(values) else 0.0
        metrics["known"] = float(np.mean([errors.known for errors, _ in measures])) if measures else 0.0
        row = ALIGNMENTS.index(order[0])
        main = f"delta1{_ending(order[0])}"
        delta1, relative = (each[:, row, ERRORS.index(error)] for error in ("delta1", "abs_rel"))
        low = high = metrics[main]
        if intervals:
            low, high = mean_interval(delta1, seed=seed)
            ends = mean_interval(relative, seed=seed)
            metrics |= {f"abs_rel{_ending(order[0])}_{end}": v for end, v in zip(("low", "high"), ends, strict=True)}
        distance = np.sum([errors.distance for errors in used], axis=0) if used else np.zeros((3, len(EDGES) - 1))
        return Evaluation(
            main=Score(main, metrics[main], low, high),
            metrics=metrics,
            per_class={},
            count=len(measures),
            worst=_worst(measures, row),
            tables={"distance": distance, "per_image": np.stack([delta1, relative], 1)},
        )

    def same(self, first: Depth, second: Depth) -> bool:
        if first.depth.shape != second.depth.shape:
            return False
        known = np.isfinite(first.depth) & np.isfinite(second.depth) & (first.depth > 0)
        if not known.any():
            return True
        change = np.abs(second.depth[known] - first.depth[known]) / first.depth[known]
        return bool(change.mean() <= SAME)

    def draw(
        self, image: Image.Image, prediction: Depth, classes: Sequence[str], *, truth: Depth | None = None
    ) -> Image.Image:
        """Beside the image: depth in colours, near ones light, and their scale below; the truth in the same colours."""
        from manako.tasks._depth_picture import beside, colour_map, with_scale

        low, high = known_range(truth or prediction)
        size = (image.height, image.width)
        maps = [colour_map(depth, low, high, size) for depth in (prediction, truth) if depth is not None]
        return with_scale(beside([image, *maps]), low, high, prediction.unit)

    def compare(
        self, image: Image.Image, prediction: Depth, truth: Depth, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        from manako.tasks._depth_picture import colour_map, error_map, with_scale

        low, high = known_range(truth)
        size = (image.height, image.width)
        found, known = (with_scale(colour_map(d, low, high, size), low, high, d.unit) for d in (prediction, truth))
        return [
            ("gallery.image", image.convert("RGB")),
            ("gallery.truth", known),
            ("gallery.prediction", found),
            ("gallery.depth_error", error_map(prediction, truth, size)),
        ]

    def describe(self, prediction: Depth, classes: Sequence[str]) -> str:
        from manako.messages import message

        entry = self.as_json(prediction, classes)[0]
        if entry["median"] is None:
            return "–"
        return message("depth.range" if prediction.unit == "m" else "depth.range_relative", **entry)

    def as_json(self, prediction: Depth, classes: Sequence[str]) -> list[Json]:
        known = prediction.depth[np.isfinite(prediction.depth)]
        if not len(known):
            return [{"nearest": None, "median": None, "farthest": None, "unit": prediction.unit}]
        names = ("nearest", "median", "farthest")
        values = zip(names, np.quantile(known, [0.01, 0.5, 0.99]).tolist(), strict=True)
        return [{name: round(value, 4) for name, value in values} | {"unit": prediction.unit}]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._depth_picture import depth_figures

        return depth_figures(evaluation)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.rooms import write_rooms

        return read_dataset(write_rooms(folder, seed=seed, count=count), task=self.name)


def _ending(alignment: str) -> str:
    """What an alignment adds to a metric's name."""
    return "" if alignment == "none" else f"_{alignment}"


def _worst(measures: Sequence[tuple[DepthErrors, bool]], row: int) -> tuple[int, ...]:
    """The images with the lowest delta1: those clearly wrong, and the lowest tenth."""
    delta1 = np.array([errors.errors[row, ERRORS.index("delta1")] for errors, _ in measures])
    order = [i for i in np.argsort(delta1, kind="stable").tolist() if delta1[i] < 1]
    bad = int((delta1 < CLEARLY_WRONG).sum())
    return tuple(order[: min(WORST, max(bad, len(order) // 10 + 1))])


TASK = MonocularDepth()
