"""From image files to predictions, with any engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.errors import ImageError, ManakoError
from manako.images import MAX_PIXELS
from manako.runtime.ahead import Opened, Picture, Source, Unreadable, in_batches, name_of, of_one_size, open_ahead
from manako.runtime.engine import Engine
from manako.tasks import Outputs, Task, task_of
from manako.types import Frame, Prediction, Sample

BATCH = 16
WINDOW = 8  # batches of lines that are sorted by their widths
_ONE = (str, Path, bytes, Sample, Image.Image, Picture, Unreadable)


@dataclass(frozen=True, eq=False)
class Result:
    """One source with its prediction, or with the error that kept it from one. width, height: of the upright image."""

    source: Source
    image: str
    width: int = 0
    height: int = 0
    prediction: Prediction | None = None
    error: ManakoError | None = None


class Predictor:
    """Images in, predictions out, in order. Images are opened by threads while the network works."""

    def __init__(self, engine: Engine, task: Task[Any] | None = None) -> None:
        self.engine = engine
        self.card = engine.card
        self.task = task or task_of(engine.card)
        self.settings = engine.card.settings

    def to_show(self) -> Predictor:
        """The same for people, who look only at what is sure enough to be shown: faster."""
        quick = Predictor(self.engine, self.task)
        quick.settings = self.task.to_show(self.settings)
        return quick

    def with_settings(self, **chosen: float | None) -> Predictor:
        """The same with other numbers for the task's `settings`; None leaves one as it is. Raises UsageError where the
        task has no such setting."""
        changed = Predictor(self.engine, self.task)
        given = {name: value for name, value in chosen.items() if value is not None}
        changed.settings = self.task.choose(self.settings, given)
        return changed

    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        batch: int = BATCH,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Result]:
        """One result a source (a file, not a folder), in their order. A source that fails carries its error and harms
        no other.

        `sources` may be endless: three batches are held in memory at a time; of lines, which only share a batch where
        they are equally wide, as many as `WINDOW` batches.
        """
        for window in self._windows(several(sources), batch, workers, max_pixels):
            found: dict[int, Result] = {}
            for places, opened, outputs, frames in self._parts(window, batch):
                found |= zip(places, self._results(opened, outputs, frames), strict=True)
            yield from (found[place] for place in range(len(window)))

    def batches(
        self,
        sources: Iterable[Source],
        *,
        batch: int = BATCH,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[tuple[list[Opened], Outputs, list[Frame]]]:
        """Each batch of sources, with the network's own outputs and the frames of those that could be opened. Lines
        come by their widths, not in order."""
        for window in self._windows(sources, batch, workers, max_pixels):
            for _, opened, outputs, frames in self._parts(window, batch):
                yield opened, outputs, frames

    def _windows(
        self, sources: Iterable[Source], batch: int, workers: int | None, max_pixels: int
    ) -> Iterator[list[Opened]]:
        """What is opened before the network works on it: a batch, or enough to put equally wide lines together."""
        plan = self.card.preprocess
        size = batch * WINDOW if plan.fit == "line" else batch
        return in_batches(open_ahead(sources, plan, ahead=2 * batch, workers=workers, max_pixels=max_pixels), size)

    def _parts(
        self, window: Sequence[Opened], batch: int
    ) -> Iterator[tuple[list[int], list[Opened], Outputs, list[Frame]]]:
        for places in of_one_size([None if o.pixels is None else o.pixels.shape for o in window], batch):
            items = [window[place] for place in places]
            pixels = [item.pixels for item in items if item.pixels is not None]
            frames = [item.frame for item in items if item.frame is not None]
            yield places, items, (self.engine.run(np.stack(pixels)) if pixels else {}), frames

    def _results(self, opened: Sequence[Opened], outputs: Outputs, frames: Sequence[Frame]) -> Iterator[Result]:
        good = finite_rows(outputs, len(frames))
        kept = {key: value[good] for key, value in outputs.items()}
        decoded = iter(self._decode(kept, [f for f, g in zip(frames, good, strict=True) if g]))
        usable = iter(good)
        for item in opened:
            name = name_of(item.source)
            if item.frame is None:
                yield Result(item.source, name, error=item.error)
            elif next(usable):
                yield Result(item.source, name, item.frame.width, item.frame.height, next(decoded))
            else:
                error = ImageError("predict.not_finite", file=name)
                yield Result(item.source, name, item.frame.width, item.frame.height, error=error)

    def _decode(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Prediction]:
        return self.task.decode(outputs, frames, self.settings) if frames else []

    def as_json(self, result: Result) -> dict[str, object]:
        """`{"image", "width", "height", "predictions"}`, or `{"image", "error", "message"}`."""
        if result.prediction is None:
            failure = result.error.as_json() if result.error else {}
            return {"image": result.image, "error": failure.get("error"), "message": failure.get("message")}
        answers = self.task.as_json(result.prediction, self.card.classes)
        return {"image": result.image, "width": result.width, "height": result.height, "predictions": answers}


def several(sources: Source | Iterable[Source]) -> Iterable[Source]:
    """One source as a list of one, others as they are."""
    return [sources] if isinstance(sources, _ONE) else sources


def finite_rows(outputs: Mapping[str, NDArray[Any]], count: int) -> NDArray[np.bool_]:
    """(count,): for which images every number of every output is finite."""
    good = np.ones(count, np.bool_)
    for value in outputs.values():
        if not np.issubdtype(value.dtype, np.floating):
            continue
        good &= np.isfinite(value.reshape(count, -1)).all(axis=1)
    return good
