"""What a data set is: samples with what is known of them, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from manako.types.maps import Anomaly, Depth, Generated, Labels, Segmentation
from manako.types.objects import Detections, Poses, Skeleton
from manako.types.text import TextLine, TextRegions

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

# Each new task adds its result type to `maps`, `objects` or `text`, and here.
Prediction = Labels | Detections | Segmentation | Anomaly | Depth | Poses | TextLine | TextRegions | Generated


class Deferred(Protocol):
    """Truth that lies in a file of its own (a mask, a depth map) and is read only when it is needed."""

    def load(self) -> Prediction:
        """Raises LabelError naming the file."""
        ...

    def relabel(self, ids: NDArray[np.int64]) -> Deferred: ...


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and what is known of it.

    id: unique within the data set and stable when data grow (the path within the data folder, `#frame` added).
    frame: which picture of a file that holds several (IDX, TIFF pages, GIF, video); 0 else.
    target: what is known, or how to read it (see `truth`).
    group: samples of one group (one patient, one part, one burst) never lie in two splits.
    split: where the data set itself says so; None where it doesn't.
    """

    id: str
    image: Path
    target: Prediction | Deferred | None = None
    frame: int = 0
    group: str | None = None
    split: Split | None = None

    @property
    def truth(self) -> Prediction | None:
        """What is known of the image, read now if it lies in a file. Raises LabelError."""
        target = self.target
        if target is None or isinstance(target, Prediction):
            return target
        return target.load()


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the data. `code` is a message key, `facts` its fields (file, line, field, value...)."""

    code: str
    facts: Mapping[str, object]
    severity: Literal["error", "warning", "note"] = "warning"
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a reader of `formats/` found: samples in a stable order, classes by name, and what it had to skip."""

    root: Path
    format: str
    task: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    skeleton: Skeleton | None = None  # of poses

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")

    def of(self, split: Split) -> tuple[Sample, ...]:
        return tuple(s for s in self.samples if s.split == split)

    @property
    def left_out(self) -> int:
        """How many rows, objects or files could not be used: what the problems that are errors name."""
        wrong = [problem for problem in self.problems if problem.severity == "error"]
        return sum(int(str(p.facts["count"])) if p.code == "table.more" else 1 for p in wrong)
