"""Segmentation: a class for every pixel.

Outputs, in network pixels: class_id (N, H, W) uint8, the most likely class; score (N, H, W), its probability. Both are
made inside the graph: numbers for every class would be many times larger than the image.
Prediction: both in original pixels. With two classes the probability of the second is brought to the original size and
compared with a threshold from validation images; with more, the nearest pixel's class is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.metrics.regions import Agreement, compare_regions, score_regions
from manako.regions import ground_of
from manako.tasks import Json, Output, Outputs, Task
from manako.types import IGNORE, Dataset, Evaluation, Frame, Score, Segmentation, Window

if TYPE_CHECKING:
    from manako.figures import Figure

Pixel = TypeVar("Pixel", bound=np.generic)
THRESHOLDS = np.arange(1, 100) / 100
SAME = 0.999  # part of the pixels
ENDS = ("dice_low", "dice_high")
SEEN = 5e-4  # part of an image below which a class is not told of
_NAMED = 3  # classes in a caption


class SegmentationTask(Task[Segmentation]):
    name: ClassVar[str] = "segmentation"
    main_metric: ClassVar[str] = "mean_iou"
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("class_id", ("N", "height", "width"), "classes", "uint8"),
        Output("score", ("N", "height", "width"), "probabilities"),
    )
    settings: ClassVar[Mapping[str, float]] = {"threshold": 0.0}
    """threshold: of the second of two classes; 0: the most likely class is taken."""
    columns: ClassVar[tuple[str, ...]] = ("class", "pixels", "share", "regions")
    fit = "letterbox"
    dense: ClassVar[bool] = True

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Segmentation]:
        threshold = settings.get("threshold", 0.0)
        parts = zip(outputs["class_id"], outputs["score"], frames, strict=True)
        if threshold:
            return [_by_threshold(_restored(_second(ids, score), frame), threshold) for ids, score, frame in parts]
        return [Segmentation(_restored(ids, frame), _restored(score, frame)) for ids, score, frame in parts]

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Segmentation]]]) -> dict[str, float]:
        """With two classes, the threshold with the best mean Dice of the rarer one; with more there is none."""
        dice: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
        pixels = np.zeros(2, np.int64)
        for outputs, frames, truths in batches:
            for ids, score, frame, truth in zip(outputs["class_id"], outputs["score"], frames, truths, strict=True):
                known = truth.class_id != IGNORE
                if ids.max(initial=0) > 1 or truth.class_id[known].max(initial=0) > 1:
                    return dict(self.settings)
                second = _restored(_second(ids, score), frame)[known]
                for index, each in enumerate(_dice_by_threshold(second, truth.class_id[known])):
                    dice[index].append(each)
                pixels += np.bincount(truth.class_id[known], minlength=2)
        if not pixels.all():
            return dict(self.settings)
        mean = np.nanmean(dice[int(pixels.argmin())], axis=0)
        best = np.flatnonzero(mean >= mean.max() - 1e-4)  # the middle of a plateau
        return {"threshold": float(THRESHOLDS[best[len(best) // 2]])}

    def measure(self, prediction: Segmentation, truth: Segmentation, classes: Sequence[str]) -> Agreement:
        return compare_regions(prediction.class_id, truth.class_id, classes=len(classes))

    def summarise(
        self, measures: Sequence[Agreement], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        found = score_regions(
            measures, classes=len(classes), foreground=_foreground(classes), intervals=intervals, seed=seed
        )
        columns = ("iou", "dice", "pooled_dice", "precision", "recall", "boundary_f1")
        rows = {
            name: {column: float(value) for column, value in zip(columns, row, strict=True) if np.isfinite(value)}
            for name, row in zip(classes, found.per_class, strict=True)
        }
        low, high = found.interval
        wrong = np.flatnonzero(found.share_wrong)
        order = np.nan_to_num(found.dice, nan=1.0)[wrong]
        return Evaluation(
            main=Score(self.main_metric, found.metrics[self.main_metric], low, high),
            metrics=found.metrics | (dict(zip(ENDS, found.dice_interval, strict=True)) if intervals else {}),
            per_class={name: row for name, row in rows.items() if row},
            count=len(measures),
            worst=tuple(wrong[np.lexsort((-found.share_wrong[wrong], order))].tolist()),
            tables={
                "confusion": found.confusion,
                "dice": found.dice[:, None],
                "dice_interval": np.array([found.dice_interval]),
            },
        )

    def same(self, first: Segmentation, second: Segmentation) -> bool:
        equal = first.class_id.shape == second.class_id.shape
        return equal and float((first.class_id == second.class_id).mean()) >= SAME

    def join(self, parts: Iterable[tuple[Window, Segmentation]], height: int, width: int) -> Segmentation:
        from manako.tasks._join_regions import join_regions

        return join_regions(parts, height, width)

    def draw(
        self,
        image: Image.Image,
        prediction: Segmentation,
        classes: Sequence[str],
        *,
        truth: Segmentation | None = None,
    ) -> Image.Image:
        """The classes' colours over the image, and their names below; with the truth, what is wrong beside it."""
        from manako.tasks._region_pictures import overlay_picture, side_by_side

        plain = ground_of(classes)
        drawn = overlay_picture(image, prediction.class_id, classes, plain=plain)
        if truth is None:
            return drawn
        return side_by_side([picture for _, picture in self.compare(image, prediction, truth, classes)])

    def compare(
        self, image: Image.Image, prediction: Segmentation, truth: Segmentation, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        from manako.tasks._region_pictures import mistake_picture, overlay_picture

        plain = ground_of(classes)
        return [
            ("gallery.truth", overlay_picture(image, truth.class_id, classes, plain=plain)),
            ("gallery.prediction", overlay_picture(image, prediction.class_id, classes, plain=plain)),
            ("gallery.mistakes", mistake_picture(image, prediction.class_id, truth.class_id, plain=plain)),
        ]

    def describe(self, prediction: Segmentation, classes: Sequence[str]) -> str:
        shares = _shares(prediction.class_id, classes)
        plain = ground_of(classes)
        order = sorted((i for i in range(len(classes)) if i != plain and shares[i] >= SEEN), key=lambda i: -shares[i])
        told = [f"{classes[i]} {100 * shares[i]:.1f} %" for i in order[:_NAMED]]
        return ", ".join(told) or classes[plain or 0]

    def as_json(self, prediction: Segmentation, classes: Sequence[str]) -> list[Json]:
        """Each class that occurs: its pixels, its share of the image, and how many connected regions it forms."""
        from scipy.ndimage import label

        ids, entries = prediction.class_id, []
        eight = np.ones((3, 3), np.int8)  # pixels that touch at a corner are one region
        for index, name in enumerate(classes):
            here = ids == index
            pixels = int(here.sum())
            if pixels:
                regions = int(label(here, eight)[1])
                share = round(pixels / ids.size, 6)
                entries.append({"class": name, "pixels": pixels, "share": share, "regions": regions})
        return list(entries)

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._region_figures import region_figures

        return region_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.regions import write_regions

        write_regions(folder, seed=seed, count=count)
        return read_dataset(folder, task=self.name, format="masks")


def _restored(values: NDArray[Pixel], frame: Frame) -> NDArray[Pixel]:
    """(H, W) in network pixels -> in original pixels: the nearest one of whole numbers, bilinear for others. Original
    pixels that the network didn't see take those at the border."""
    height, width = values.shape
    left, top = frame.left, frame.top
    right, bottom = left + frame.width * frame.scale_x, top + frame.height * frame.scale_y
    whole = all(abs(edge - round(edge)) < 1e-6 for edge in (left, top, right, bottom))
    box = (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))
    inside = (left, top, right, bottom) == box
    if whole and inside and (round(right - left), round(bottom - top)) == (frame.width, frame.height):
        return values[round(top) : round(bottom), round(left) : round(right)].copy()
    how = Image.Resampling.NEAREST if values.dtype == np.uint8 else Image.Resampling.BILINEAR
    picture = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(picture.resize((frame.width, frame.height), how, box))


def _second(ids: NDArray[np.uint8], score: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probability of the second of two classes."""
    return np.where(ids == 1, score, 1 - score).astype(np.float32)


def _by_threshold(probability: NDArray[np.float32], threshold: float) -> Segmentation:
    second = probability >= threshold
    return Segmentation(second.astype(np.uint8), np.where(second, probability, 1 - probability).astype(np.float32))


def _dice_by_threshold(probability: NDArray[np.float32], truth: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
    """Dice of the first and of the second class of one image at each of THRESHOLDS, NaN where an image has none of it.

    All from two histograms of the second's probability.
    """
    steps = len(THRESHOLDS)
    level = np.floor(np.asarray(probability, np.float64) * (steps + 1) + 1e-6).astype(np.int64).clip(0, steps)
    each = [np.bincount(level[truth == index], minlength=steps + 1) for index in (0, 1)]
    below = [np.cumsum(counts)[:-1] for counts in each]  # of each class, pixels that are called the first
    above = [counts.sum() - part for counts, part in zip(each, below, strict=True)]
    for called, index in ((below, 0), (above, 1)):
        total = each[index].sum()
        dice = 2 * called[index] / np.maximum(called[0] + called[1] + total, 1)
        yield dice if total else np.full(steps, np.nan)


def _foreground(classes: Sequence[str]) -> list[int]:
    """All classes but a background."""
    return [index for index in range(len(classes)) if index != ground_of(classes)]


def _shares(ids: NDArray[np.uint8], classes: Sequence[str]) -> NDArray[np.float64]:
    known: NDArray[np.float64] = np.bincount(ids.ravel(), minlength=256)[: len(classes)] / max(1, ids.size)
    return known


TASK = SegmentationTask()
