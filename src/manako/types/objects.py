"""Objects and poses of an image: where they are, what they are, how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray


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
    crowd: (N,) bool, truth: regions of many subjects without points, any number of which may be found; None: none are.
    """

    xyxy: NDArray[np.float32]
    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    area: NDArray[np.float32]
    crowd: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        count, points = self.score.shape
        if self.xyxy.shape != (count, 4) or self.xy.shape != (count, points, 2) or self.area.shape != (count,):
            found = (self.xyxy.shape, self.xy.shape, self.score.shape, self.area.shape)
            raise ValueError(f"xyxy, xy, score and area must be (N, 4), (N, K, 2), (N, K), (N,), not {found}")
        if self.crowd is not None and self.crowd.shape != (count,):
            raise ValueError(f"crowd must be {(count,)}, not {self.crowd.shape}")

    def __len__(self) -> int:
        return len(self.score)

    def relabel(self, ids: NDArray[np.int64]) -> Poses:
        """The classes of poses are points: point i becomes point `ids[i]`; those between are not there."""
        count = int(ids.max()) + 1
        xy = np.full((len(self), count, 2), np.nan, np.float32)
        score = np.zeros((len(self), count), np.float32)
        xy[:, ids], score[:, ids] = self.xy, self.score
        return replace(self, xy=xy, score=score)
