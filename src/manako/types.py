"""The few types that all rooms share: what a sample is, how pixels map back, what a task predicts.

Coordinates are original-image pixels, float, x before y. Truth and prediction have the same type, so one
function draws both and one function compares them. All are checked once, at birth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Labels:
    """Classes of one whole image, best first. Truth is one class with score 1.

    class_id: (K,) int64, indices into the classes. score: (K,) float32, 0..1, not increasing.
    """

    class_id: NDArray[np.int64]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.class_id.ndim != 1 or self.class_id.shape != self.score.shape or not len(self.class_id):
            raise ValueError(f"class_id {self.class_id.shape} and score {self.score.shape} must be equal, (K,), K >= 1")
        if (self.class_id < 0).any() or not np.isfinite(self.score).all():
            raise ValueError("class_id must be >= 0 and score finite")

    @classmethod
    def truth(cls, class_id: int) -> Labels:
        return cls(np.array([class_id], np.int64), np.ones(1, np.float32))

    @property
    def best(self) -> int:
        return int(self.class_id[0])


# Each new task adds its result type above and here.
Prediction = Labels


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and what is known of it.

    id: unique within the data set and stable when data grow (the path within the data folder, `#frame` added).
    frame: which picture of a file that holds several (IDX, TIFF pages, GIF, video); 0 else.
    group: samples of one group (one patient, one part, one burst) never lie in two splits.
    split: where the data set itself says so; None where it doesn't.
    """

    id: str
    image: Path
    target: Prediction | None = None
    frame: int = 0
    group: str | None = None
    split: Split | None = None


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

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")

    def of(self, split: Split) -> tuple[Sample, ...]:
        return tuple(s for s in self.samples if s.split == split)


@dataclass(frozen=True)
class Frame:
    """How the network's pixels map back to the original image's.

    x_original = (x_network - left) / scale_x, likewise y. height, width: the original image's size in pixels.
    """

    height: int
    width: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0

    def restore(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (..., 2) from network pixels to original pixels, clipped to the image."""
        points = (xy - np.array([self.left, self.top])) / np.array([self.scale_x, self.scale_y])
        inside: NDArray[np.float32] = np.clip(points, 0, [self.width, self.height]).astype(np.float32)
        return inside


@dataclass(frozen=True)
class Score:
    """A metric with its 95 % interval (bootstrap over images). Fractions are from 0 to 1."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a task's `evaluate` returns. worst: indices of the samples, most instructive mistake first."""

    main: Score
    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    count: int
    worst: tuple[int, ...] = ()
    tables: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # e.g. "confusion": (K, K)
