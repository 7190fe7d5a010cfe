"""What is known of every pixel, or of the image as a whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IGNORE = 255  # in a map of classes: pixels that are neither learnt from nor scored


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

    def relabel(self, ids: NDArray[np.int64]) -> Labels:
        """The same with `ids[class_id]` as classes."""
        return replace(self, class_id=ids[self.class_id])


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The class of every pixel. class_id: (H, W) uint8, IGNORE where unknown. score: (H, W) float32, 0..1, or None."""

    class_id: NDArray[np.uint8]
    score: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.class_id.ndim != 2 or self.class_id.dtype != np.uint8:
            raise ValueError(f"class_id must be (H, W) uint8, not {self.class_id.shape} {self.class_id.dtype}")
        if self.score is not None and self.score.shape != self.class_id.shape:
            raise ValueError(f"score {self.score.shape} must have the shape {self.class_id.shape}")

    def relabel(self, ids: NDArray[np.int64]) -> Segmentation:
        table = np.full(256, IGNORE, np.uint8)
        table[: len(ids)] = ids
        return replace(self, class_id=table[self.class_id])


@dataclass(frozen=True, eq=False)
class Anomaly:
    """How unusual an image is. Truth has score 0 or 1, and a heat map of 0 and 1 where the place is known.

    score: 0..1 (0.5 at the threshold that was measured). heatmap: (H, W) float32, on the same scale, or None. kind: the
    defect's name, known for truth only; "" for normal images. threshold: a score over it is called a defect.
    """

    score: float
    heatmap: NDArray[np.float32] | None = None
    kind: str = ""
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not np.isfinite(self.score) or (self.heatmap is not None and self.heatmap.ndim != 2):
            raise ValueError("score must be finite and heatmap (H, W)")

    @property
    def defective(self) -> bool:
        return self.score > self.threshold

    def relabel(self, ids: NDArray[np.int64]) -> Anomaly:
        return self


@dataclass(frozen=True, eq=False)
class Depth:
    """Distance of every pixel. depth: (H, W) float32, NaN where unknown. unit: "m", or "relative"."""

    depth: NDArray[np.float32]
    unit: Literal["m", "relative"] = "m"

    def __post_init__(self) -> None:
        if self.depth.ndim != 2:
            raise ValueError(f"depth must be (H, W), not {self.depth.shape}")

    def relabel(self, ids: NDArray[np.int64]) -> Depth:
        return self


@dataclass(frozen=True, eq=False)
class Generated:
    """An image that was made. Truth is a real one, cut to the middle square. image: (H, W, C) uint8, C 1 or 3."""

    image: NDArray[np.uint8]
    class_id: int = 0

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] not in (1, 3) or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 1 or 3) uint8, not {self.image.shape} {self.image.dtype}")
        if self.class_id < 0:
            raise ValueError("class_id must be >= 0")

    def relabel(self, ids: NDArray[np.int64]) -> Generated:
        return replace(self, class_id=int(ids[self.class_id]))
