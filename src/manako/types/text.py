"""Text: what a line says, and where lines are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

UNKNOWN_CHARACTER = "\ufffd"  # shown for a character that an alphabet lacks


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
