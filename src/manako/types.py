"""The few types that all rooms share: what a sample is, how pixels map back, what a task predicts.

Coordinates are original-image pixels, float, x before y. Truth and prediction have the same type, so one
function draws both and one function compares them. All are checked once, at birth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, Self

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

    def relabel(self, ids: NDArray[np.int64]) -> Labels:
        """The same with `ids[class_id]` as classes."""
        return replace(self, class_id=ids[self.class_id])


@dataclass(frozen=True, eq=False)
class Outline:
    """The region of one object in an image: its polygons, or COCO's run lengths where it is no polygon.

    polygons: each (K, 2) float32, x before y, K >= 3. runs: lengths of runs of 0 and 1 by turns, column by column,
    over an image of `size` (height, width).
    """

    polygons: tuple[NDArray[np.float32], ...] = ()
    runs: NDArray[np.int64] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects of one image. Truth has score 1. There may be none (a background).

    xyxy: (N, 4) float32, left, top, right, bottom. class_id: (N,) int64. score: (N,) float32, 0..1.
    crowd: (N,) bool, regions of many objects, neither hit nor missed; None: none are. outlines: N regions, None where
    unknown. track: (N,) int64, the same number for the same object in the pictures of a video. confidence: objects
    that score less are kept to be scored, but not shown (`shown`).
    """

    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    score: NDArray[np.float32]
    crowd: NDArray[np.bool_] | None = None
    outlines: tuple[Outline | None, ...] | None = None
    track: NDArray[np.int64] | None = None
    confidence: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.class_id)
        if self.xyxy.shape != (count, 4) or self.class_id.shape != (count,) or self.score.shape != (count,):
            found = (self.xyxy.shape, self.class_id.shape, self.score.shape)
            raise ValueError(f"xyxy, class_id and score must be (N, 4), (N,), (N,), not {found}")
        if (self.class_id < 0).any() or not np.isfinite(self.score).all() or not np.isfinite(self.xyxy).all():
            raise ValueError("class_id must be >= 0, score and xyxy finite")
        for name in ("crowd", "outlines", "track"):
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise ValueError(f"{name} has {len(value)} entries for {count} objects")

    def __len__(self) -> int:
        return len(self.class_id)

    @classmethod
    def truth(cls, xyxy: NDArray[np.float32], class_id: NDArray[np.int64]) -> Detections:
        """Known objects: score 1."""
        return cls(xyxy.reshape(-1, 4), class_id, np.ones(len(class_id), np.float32))

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """The objects at `index`, in its order."""
        rows = np.arange(len(self))[index]
        outlines = None if self.outlines is None else tuple(self.outlines[i] for i in rows)
        return replace(
            self,
            xyxy=self.xyxy[rows],
            class_id=self.class_id[rows],
            score=self.score[rows],
            crowd=None if self.crowd is None else self.crowd[rows],
            outlines=outlines,
            track=None if self.track is None else self.track[rows],
        )

    def shown(self) -> Self:
        """The objects that the model is sure enough of to name them."""
        return self.take(self.score >= self.confidence)

    def relabel(self, ids: NDArray[np.int64]) -> Self:
        return replace(self, class_id=ids[self.class_id])


UNKNOWN_CHARACTER = "\ufffd"  # shown for a character that an alphabet lacks
IGNORE = 255  # in a map of classes: pixels that are neither learnt from nor scored


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


@dataclass(frozen=True)
class Skeleton:
    """The points of a pose. limbs: pairs of indices to connect. flips: pairs that change places in a mirror image.

    sigmas: one number a point, how exactly people place it, as a part of the object's size (COCO).
    """

    points: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flips: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.points)
        pairs = (*self.limbs, *self.flips)
        if len(self.sigmas) != count or any(not 0 <= i < count for pair in pairs for i in pair):
            raise ValueError(f"limbs, flips and sigmas must fit {count} points")


@dataclass(frozen=True, eq=False)
class Poses:
    """The points of each subject in one image.

    xyxy: (N, 4) float32 boxes. xy: (N, K, 2) float32, NaN where a point is not there. score: (N, K) float32, 0..1;
    truth: 0 not labelled, 0.5 labelled but hidden, 1 seen. area: (N,) float32 in pixels, what OKS divides by.
    """

    xyxy: NDArray[np.float32]
    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    area: NDArray[np.float32]

    def __post_init__(self) -> None:
        count, points = self.score.shape
        if self.xyxy.shape != (count, 4) or self.xy.shape != (count, points, 2) or self.area.shape != (count,):
            found = (self.xyxy.shape, self.xy.shape, self.score.shape, self.area.shape)
            raise ValueError(f"xyxy, xy, score and area must be (N, 4), (N, K, 2), (N, K), (N,), not {found}")

    def __len__(self) -> int:
        return len(self.score)

    def relabel(self, ids: NDArray[np.int64]) -> Poses:
        """The classes of poses are points: point i becomes point `ids[i]`; those between are not there."""
        count = int(ids.max()) + 1
        xy = np.full((len(self), count, 2), np.nan, np.float32)
        score = np.zeros((len(self), count), np.float32)
        xy[:, ids], score[:, ids] = self.xy, self.score
        return replace(self, xy=xy, score=score)


@dataclass(frozen=True, eq=False)
class TextLine:
    """The text of one line: the classes are the characters of the alphabet. It may be empty.

    class_id: (L,) int64; -1 a character that the alphabet lacks (truth only). score: (L,) float32, 0..1.
    """

    class_id: NDArray[np.int64]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.class_id.ndim != 1 or self.class_id.shape != self.score.shape:
            raise ValueError(f"class_id {self.class_id.shape} and score {self.score.shape} must be equal, (L,)")
        if (self.class_id < -1).any() or not np.isfinite(self.score).all():
            raise ValueError("class_id must be >= -1 and score finite")

    @classmethod
    def truth(cls, class_id: NDArray[np.int64]) -> TextLine:
        return cls(class_id, np.ones(len(class_id), np.float32))

    @property
    def confidence(self) -> float:
        """The mean score of the characters; 0 where there are none."""
        return float(self.score.mean()) if len(self.score) else 0.0

    def text(self, alphabet: Sequence[str]) -> str:
        return "".join(alphabet[i] if i >= 0 else UNKNOWN_CHARACTER for i in self.class_id.tolist())

    def relabel(self, ids: NDArray[np.int64]) -> TextLine:
        """Characters without a place (-1 in `ids`) stay unknown."""
        return replace(self, class_id=np.where(self.class_id >= 0, ids[self.class_id], -1))


@dataclass(frozen=True, eq=False)
class TextRegions:
    """Lines of text (or words) in one image. Truth has score 1. There may be none (a blank page).

    polygons: each (K, 2) float32, x before y, K >= 3; a quadrilateral begins where its text begins (top left of upright
    text) and goes on clockwise. score: (N,) float32, 0..1. texts: what each says, None where unknown; None: all are.
    ignored: (N,) bool, text that can't be read ("###"), neither hit nor missed; None: none is. text_score: (N,)
    float32, 0..1, how sure the readings are; None: truth, or not read. The lines of a page that was read are in
    reading order.
    """

    polygons: tuple[NDArray[np.float32], ...]
    score: NDArray[np.float32]
    texts: tuple[str | None, ...] | None = None
    ignored: NDArray[np.bool_] | None = None
    text_score: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for polygon in self.polygons:
            if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3 or not np.isfinite(polygon).all():
                raise ValueError(f"a polygon must be finite, (K, 2), K >= 3, not {polygon.shape}")
        count = len(self.polygons)
        for name in ("score", "texts", "ignored", "text_score"):
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise ValueError(f"{name} has {len(value)} entries for {count} regions")
        if not np.isfinite(self.score).all():
            raise ValueError("score must be finite")

    def __len__(self) -> int:
        return len(self.polygons)

    @classmethod
    def truth(
        cls,
        polygons: Sequence[NDArray[np.float32]],
        texts: Sequence[str | None] | None = None,
        ignored: NDArray[np.bool_] | None = None,
    ) -> TextRegions:
        """Known regions: score 1."""
        known = None if texts is None else tuple(texts)
        return cls(tuple(polygons), np.ones(len(polygons), np.float32), known, ignored)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> TextRegions:
        """The regions at `index`, in its order."""
        rows = np.arange(len(self))[index].tolist()
        return TextRegions(
            tuple(self.polygons[i] for i in rows),
            self.score[rows],
            None if self.texts is None else tuple(self.texts[i] for i in rows),
            None if self.ignored is None else self.ignored[rows],
            None if self.text_score is None else self.text_score[rows],
        )

    def relabel(self, ids: NDArray[np.int64]) -> TextRegions:
        """There is one class, "text"."""
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


# Each new task adds its result type above and here.
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
class Window:
    """A part of a large image that the network sees by itself. Whole pixels; right and bottom are not included."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


@dataclass(frozen=True)
class Score:
    """A metric with its 95 % interval (bootstrap over images). Fractions are from 0 to 1."""

    name: str
    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, object]:
        """None where there is no number: normal images alone can't say whether anomalies are found."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {"name": self.name} | {key: v if np.isfinite(v) else None for key, v in numbers.items()}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a task's `evaluate` returns. worst: indices of the samples, most instructive mistake first."""

    main: Score
    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    count: int
    worst: tuple[int, ...] = ()
    tables: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # e.g. "confusion": (K, K)
