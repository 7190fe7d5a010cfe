"""The tasks: what a target is, and how a network's standard outputs become a prediction. Torch-free.

A task file holds one subclass of `Task` and `TASK`, its instance. Tasks are found by their file names: a new
file is a new task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from manako.errors import UsageError
from manako.types import Dataset, Evaluation, Frame, Prediction

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

Outputs = Mapping[str, NDArray[np.float32]]
Json = dict[str, object]


@dataclass(frozen=True)
class Output:
    """One tensor that every model of a task must return. shape: symbols ("N", "classes") or numbers."""

    key: str
    shape: tuple[str | int, ...]
    kind: Literal["logits", "probabilities", "features", "pixels"]
    dtype: str = "float32"


class Task(ABC):
    """One thing to learn from images. Everything here is NumPy and Pillow."""

    name: ClassVar[str]
    main_metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    outputs: ClassVar[tuple[Output, ...]]
    settings: ClassVar[Mapping[str, float]] = {}
    """Numbers that `decode` uses, with their neutral values; stored with the model, set by `calibrate`."""
    columns: ClassVar[tuple[str, ...]]
    """Keys of an entry of `as_json` that a table shows."""

    @abstractmethod
    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Prediction]:
        """The network's outputs for N images -> N predictions in original-image pixels."""

    def calibrate(
        self,
        outputs: Outputs,
        frames: Sequence[Frame],
        truths: Sequence[Prediction],
    ) -> dict[str, float]:
        """The best `settings`, measured on validation data (never on test data)."""
        return dict(self.settings)

    @abstractmethod
    def evaluate(
        self,
        predictions: Sequence[Prediction],
        truths: Sequence[Prediction],
        classes: Sequence[str],
        *,
        intervals: bool = True,
        seed: int = 0,
    ) -> Evaluation:
        """All metrics of the task. `intervals=False` skips the bootstrap (used once an epoch)."""

    @abstractmethod
    def draw(
        self,
        image: Image.Image,
        prediction: Prediction,
        classes: Sequence[str],
        *,
        truth: Prediction | None = None,
    ) -> Image.Image:
        """The prediction drawn on (or under) a copy of the image, with what is true where it is known."""

    @abstractmethod
    def as_json(self, prediction: Prediction, classes: Sequence[str]) -> list[Json]:
        """The entries of `"predictions"` in one line of `predict`'s output."""

    def as_rows(self, prediction: Prediction, classes: Sequence[str]) -> list[Json]:
        """What a table holds of the prediction: rows of `columns`."""
        return self.as_json(prediction, classes)

    @abstractmethod
    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        """Figures of the report, from the evaluation's tables; name of the file -> figure."""

    @abstractmethod
    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        """Generated images with exact truth, written to `folder` in a layout that people use, then read back."""


def task_names() -> tuple[str, ...]:
    """All tasks, from the names of their files."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_")))


def get_task(name: str) -> Task:
    """The task called `name`. Raises UsageError naming the nearest one."""
    if name not in task_names():
        near = get_close_matches(name, task_names(), n=1)
        raise UsageError("task.unknown", name=name, near=near[0] if near else ", ".join(task_names()))
    task = import_module(f"manako.tasks.{name}").TASK
    assert isinstance(task, Task)
    return task
