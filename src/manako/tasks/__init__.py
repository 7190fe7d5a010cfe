"""The tasks: what a target is, and how a network's standard outputs become a prediction. Torch-free.

A task file holds one subclass of `Task` and `TASK`, its instance. Tasks are found by their file names: a new
file is a new task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from manako.errors import UsageError
from manako.images import Fit
from manako.types import Dataset, Evaluation, Frame, Prediction, Sample, Skeleton, Window

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

Outputs = Mapping[str, NDArray[Any]]
Json = dict[str, object]


@dataclass(frozen=True)
class Output:
    """One tensor that every model of a task must return. shape: symbols ("N", "classes", any other for a size that is
    free) or numbers."""

    key: str
    shape: tuple[str | int, ...]
    kind: Literal["logits", "probabilities", "features", "pixels", "boxes", "classes", "distances"]
    dtype: str = "float32"


Result = TypeVar("Result", bound=Prediction)
Seen = TypeVar("Seen", bound=Prediction, contravariant=True)


class Watch(Protocol[Seen]):
    """Sees predictions in order."""

    def see(self, prediction: Seen) -> None: ...

    def note(self) -> tuple[str, dict[str, object]] | None:
        """A warning as (message key, facts)."""
        ...


class Task(ABC, Generic[Result]):
    """One thing to learn from images. Everything here is NumPy and Pillow."""

    name: ClassVar[str]
    main_metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    outputs: ClassVar[tuple[Output, ...]]
    settings: ClassVar[Mapping[str, float]] = {}
    """Numbers that `decode` uses, with their neutral values; stored with the model, set by `calibrate`."""
    columns: ClassVar[tuple[str, ...]]
    """Keys of an entry of `as_json` that a table shows."""
    fit: ClassVar[Fit] = "crop"
    """How images are brought to the network's size: "letterbox" where every pixel counts."""
    dense: ClassVar[bool] = False
    """Whether a prediction is as large as an image, so that only a few are ever held at once."""
    enough: ClassVar[int | None] = None
    """Images, evenly spread, that an evaluation takes at most: for tasks that judge sets, or where predicting takes
    long. A look at the validation images takes a fifth of them. None: all."""
    measured_with: ClassVar[str] = ""
    """Name and hash of what the metrics are measured with, where numbers of others can't be compared."""
    beside_training_seconds: ClassVar[float] = 0.0
    """What `beside_training` takes for each training image; 0: it tells nothing."""
    on_sheet: ClassVar[int] = 0
    """Predictions of each look at the validation images that `sheet` shows."""

    def of(self, skeleton: Skeleton | None) -> Task[Result]:
        """The task for data with this skeleton: poses need it, the others don't."""
        return self

    @property
    def looked(self) -> int | None:
        """Images of a look at the validation images, at most."""
        return self.enough // 5 if self.enough else None

    @abstractmethod
    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Result]:
        """The network's outputs for N images -> N predictions in original-image pixels."""

    def to_show(self, settings: Mapping[str, float]) -> Mapping[str, float]:
        """Settings with which `decode` gives the same answers to people, and may leave out what only scores need."""
        return settings

    def choose(self, settings: Mapping[str, float], chosen: Mapping[str, float]) -> dict[str, float]:
        """`settings` with the numbers that a person chose. Raises UsageError for what can't be chosen."""
        for name in chosen:
            if name not in self.settings:
                raise UsageError("predict.no_setting", name=name, task=self.name)
        return {**settings, **chosen}

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Result]]]) -> dict[str, float]:
        """The best `settings`, measured on validation data (never on test data): outputs, frames and truths, a few
        images at a time."""
        return dict(self.settings)

    def measure(self, prediction: Result, truth: Result, classes: Sequence[str]) -> Any:
        """All that `summarise` needs to know of one image: small where predictions are large."""
        return prediction, truth

    @abstractmethod
    def summarise(
        self, measures: Sequence[Any], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        """All metrics of the task, from what `measure` returned for each image, with bootstrap intervals over images.

        intervals: False skips the bootstrap (used once an epoch).
        """

    def chance(self, score: float, count: int) -> float:
        """How far the main metric of `count` images may lie from `score` by luck (one standard error), where it is
        known: of two looks that differ by less, training keeps the later one."""
        return 0.0

    def evaluate(
        self,
        predictions: Iterable[Result],
        truths: Iterable[Result],
        classes: Sequence[str],
        *,
        intervals: bool = True,
        seed: int = 0,
    ) -> Evaluation:
        """`measure` each image, then `summarise`."""
        measures = [self.measure(p, t, classes) for p, t in zip(predictions, truths, strict=True)]
        return self.summarise(measures, classes, intervals=intervals, seed=seed)

    def beside_training(
        self, evaluation: Evaluation, again: Callable[[Sequence[int]], list[Result]], training: Sequence[Sample]
    ) -> Evaluation:
        """The evaluation, with what the training images add to it: are the predictions copies? again: the predictions
        at these places of the evaluation once more."""
        return evaluation

    @abstractmethod
    def same(self, first: Result, second: Result) -> bool:
        """Whether a person would call the two the same answer (was the shipped model changed?)."""

    def difference(self, before: Outputs, after: Outputs) -> float:
        """How far the outputs of two engines lie apart: of any number, over max(1, the largest number of that output,
        before). Whole numbers (classes, places) differ by steps: `same` and the score judge those."""
        return max(distance(before[key], after[key]) for key in before)

    @abstractmethod
    def draw(
        self,
        image: Image.Image,
        prediction: Result,
        classes: Sequence[str],
        *,
        truth: Result | None = None,
    ) -> Image.Image:
        """The prediction drawn on (or under) a copy of the image in its original size, with what is true where it is
        known."""

    def compare(
        self, image: Image.Image, prediction: Result, truth: Result, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        """Pictures of one image for the gallery of mistakes, side by side: (message key of the heading, picture)."""
        return [
            ("gallery.truth", self.draw(image, truth, classes)),
            ("gallery.prediction", self.draw(image, prediction, classes)),
        ]

    def promise(self, settings: Mapping[str, float]) -> tuple[str, Json] | None:
        """What a calibrated model lets expect, as (message key, facts), for the report and the summary of `predict`;
        None where nothing can be promised."""
        return None

    def sheet(self, predictions: Sequence[Result]) -> Image.Image:
        """One picture of some predictions of a look, always of the same images: how the model learns, look by look."""
        raise NotImplementedError

    def alarm(self, looks: Sequence[Mapping[str, float]]) -> tuple[str, dict[str, object]] | None:
        """Why, by the metrics of all looks so far, to go on learning is in vain, as (message key, facts): the run ends
        with its best weights, and the report says why."""
        return None

    def watch(self) -> Watch[Result] | None:
        """What sees each prediction of a long run and may have to warn at its end; None where there is nothing."""
        return None

    @abstractmethod
    def describe(self, prediction: Result, classes: Sequence[str]) -> str:
        """The prediction in a few words, for a caption: "cat 98 %", "3 bolts, 1 nut"."""

    @abstractmethod
    def as_json(self, prediction: Result, classes: Sequence[str]) -> list[Json]:
        """The entries of `"predictions"` in one line of `predict`'s output."""

    def as_rows(self, prediction: Result, classes: Sequence[str]) -> list[Json]:
        """What a table holds of the prediction: rows of `columns`."""
        return self.as_json(prediction, classes)

    def join(self, parts: Iterable[tuple[Window, Result]], height: int, width: int) -> Result:
        """What was predicted in overlapping windows of one image, row by row, each in its own pixels -> one prediction
        of the whole image. Raises UsageError where the task has no such thing."""
        raise UsageError("tiles.not_for_task", task=self.name)

    @abstractmethod
    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        """Figures of the report, from the evaluation's tables; name of the file -> figure."""

    @abstractmethod
    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        """Generated images with exact truth, written to `folder` in a layout that people use, then read back."""


Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int | None) -> Sequence[Item]:
    """At most `most` of them, evenly spread."""
    if most is None or len(items) <= most:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, most).astype(int).tolist()]


def distance(before: NDArray[Any], after: NDArray[Any]) -> float:
    """See `Task.difference`. Infinite where shapes differ or a number is not finite."""
    if before.shape != after.shape:
        return float("inf")
    if not np.issubdtype(before.dtype, np.floating) or not before.size:
        return 0.0
    found = float(np.abs(before - after).max() / max(1.0, float(np.abs(before).max())))
    return found if np.isfinite(found) else float("inf")


def task_names() -> tuple[str, ...]:
    """All tasks, from the names of their files."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_")))


class Described(Protocol):
    """A data set or a model card: what says which task it is for."""

    @property
    def task(self) -> str: ...
    @property
    def skeleton(self) -> Skeleton | None: ...


def task_of(described: Described) -> Task[Any]:
    """The task of a data set or a model, as it is for its skeleton. Raises UsageError."""
    return get_task(described.task).of(described.skeleton)


def get_task(name: str) -> Task[Any]:
    """The task called `name`. Raises UsageError naming the nearest one."""
    if name not in task_names():
        near = get_close_matches(name, task_names(), n=1)
        raise UsageError("task.unknown", name=name, near=near[0] if near else ", ".join(task_names()))
    task = import_module(f"manako.tasks.{name}").TASK
    assert isinstance(task, Task)
    return task
