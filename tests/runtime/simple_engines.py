"""Tasks and engines that need no training and whose right answers are known: coloured blocks found exactly, a filter
over grey levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures import Figure
from manako.images import Fit, Preprocess
from manako.runtime.card import ModelCard
from manako.tasks import Json, Output, Outputs, Task
from manako.tasks._join_boxes import join_boxes
from manako.tasks._join_regions import join_regions
from manako.types import Dataset, Detections, Evaluation, Frame, Segmentation, Window

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)], np.uint8)
NAMES = ("red", "green", "blue", "yellow")
MOST = 64


class _Bare(Task[Any]):
    """What these tests never ask for."""

    name: ClassVar[str] = "detection"
    main_metric: ClassVar[str] = "ap"
    fit: ClassVar[Fit] = "letterbox"
    columns: ClassVar[tuple[str, ...]] = ("class", "score")

    def summarise(self, measures: Any, classes: Any, *, intervals: bool = True, seed: int = 0) -> Evaluation:
        raise NotImplementedError

    def same(self, first: Any, second: Any) -> bool:
        raise NotImplementedError

    def describe(self, prediction: Any, classes: Sequence[str]) -> str:
        raise NotImplementedError

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        raise NotImplementedError

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        raise NotImplementedError

    def draw(self, image: Image.Image, prediction: Any, classes: Sequence[str], *, truth: Any = None) -> Image.Image:
        raise NotImplementedError

    def as_json(self, prediction: Any, classes: Sequence[str]) -> list[Json]:
        raise NotImplementedError


class Blocks(_Bare):
    """Boxes of one-coloured blocks. Output "boxes": left, top, right, bottom, class, score; score 0 for none."""

    outputs: ClassVar[tuple[Output, ...]] = (Output("boxes", ("N", MOST, 6), "pixels"),)

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Detections]:
        found = []
        for rows, frame in zip(outputs["boxes"], frames, strict=True):
            rows = rows[rows[:, 5] > 0]
            xyxy = frame.restore(rows[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
            found.append(Detections(xyxy, rows[:, 4].astype(np.int64), rows[:, 5]))
        return found

    def join(self, parts: Iterable[tuple[Window, Detections]], height: int, width: int) -> Detections:
        return join_boxes(parts, height, width)

    def draw(self, image: Image.Image, prediction: Any, classes: Sequence[str], *, truth: Any = None) -> Image.Image:
        drawn = image.convert("RGB")
        for box in prediction.xyxy.tolist():
            ImageDraw.Draw(drawn).rectangle(box, outline="white")
        return drawn

    def as_json(self, prediction: Any, classes: Sequence[str]) -> list[Json]:
        rows = zip(prediction.class_id.tolist(), prediction.score.tolist(), prediction.xyxy.tolist(), strict=True)
        answers: list[Json] = [{"class": classes[i], "score": round(s, 4), "box": box} for i, s, box in rows]
        if prediction.track is not None:
            answers = [a | {"track": t} for a, t in zip(answers, prediction.track.tolist(), strict=True)]
        return answers


class BlockEngine:
    """Finds every connected block of each of COLOURS exactly: what a perfect detector would see in these pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.card = ModelCard(
            "detection", "blocks", NAMES, Preprocess(height, width, "letterbox"), (0.5,) * 3, (1.0,) * 3
        )
        self.batches: list[int] = []

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self.batches.append(len(images))
        return {"boxes": np.stack([self._blocks(image) for image in images])}

    @staticmethod
    def _blocks(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        from scipy.ndimage import find_objects, label

        rows = np.zeros((MOST, 6), np.float32)
        count = 0
        for class_id, colour in enumerate(COLOURS):
            for down, across in find_objects(label((np.abs(image.astype(int) - colour) < 90).all(axis=2))[0]):
                seen = (down.stop - down.start) * (across.stop - across.start)
                score = 0.5 + 0.5 * min(1, seen / 5000)
                rows[count] = (across.start, down.start, across.stop, down.stop, class_id, score)
                count += 1
        return rows


class Greys(_Bare):
    """Class 1 where `outputs["level"]` (N, H, W), 0..1, is over a half; the score is that of the class."""

    outputs: ClassVar[tuple[Output, ...]] = (Output("level", ("N", "H", "W"), "probabilities"),)
    dense: ClassVar[bool] = True
    name: ClassVar[str] = "segmentation"

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Segmentation]:
        found = []
        for level, frame in zip(outputs["level"], frames, strict=True):
            high, wide = round(frame.height * frame.scale_y), round(frame.width * frame.scale_x)
            top, left = round(frame.top), round(frame.left)
            level = level[top : top + high, left : left + wide]
            if (high, wide) != (frame.height, frame.width):
                size = (frame.width, frame.height)
                level = np.asarray(Image.fromarray(level).resize(size, Image.Resampling.BILINEAR))
            class_id = (level > 0.5).astype(np.uint8)
            found.append(Segmentation(class_id, np.where(class_id, level, 1 - level).astype(np.float32)))
        return found

    def join(self, parts: Iterable[tuple[Window, Segmentation]], height: int, width: int) -> Segmentation:
        return join_regions(parts, height, width)


class FilterEngine:
    """A convolution of 7 x 7 over grey levels, zeros around, as networks pad."""

    def __init__(self, height: int, width: int) -> None:
        self.card = ModelCard(
            "segmentation", "filter", ("no", "yes"), Preprocess(height, width, "letterbox", channels=1), (0.5,), (1.0,)
        )
        self.batches: list[int] = []

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        from scipy.ndimage import uniform_filter1d

        self.batches.append(len(images))
        level = images[..., 0].astype(np.float32) / 255
        for axis in (1, 2):
            level = uniform_filter1d(level, 7, axis=axis, mode="constant")
        return {"level": level}
