"""The result of `manako cluster`: which image is in which cluster, and what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manako.learn.layer import Integers
from manako.messages import message
from manako.paths import printable


@dataclass(frozen=True, eq=False)
class Clustering:
    """`cluster` (N,) from 1, the largest cluster first. `skipped`: files that could not be read, and why."""

    paths: Sequence[Path]
    cluster: Integers
    features: str
    method: str
    silhouette: float | None
    skipped: Sequence[tuple[Path, str]]
    files: Sequence[Path]

    @property
    def sizes(self) -> list[int]:
        sizes: list[int] = np.bincount(self.cluster)[1:].tolist()
        return sizes

    def text(self) -> str:
        facts = {
            "images": len(self.paths),
            "clusters": len(self.sizes),
            "features": self.features,
            "method": self.method,
        }
        lines = [message("learn.cluster.done", **facts)]
        lines.append(message("learn.cluster.sizes", sizes=", ".join(map(str, self.sizes))))
        if self.silhouette is not None:
            lines.append(message("learn.cluster.silhouette", value=f"{self.silhouette:.3f}"))
        if self.skipped:
            lines.append(message("learn.cluster.skipped", count=len(self.skipped)))
            lines += [f"  {reason}" for _, reason in self.skipped[:10]]
        return "\n".join([*lines, *(message("learn.cluster.wrote", file=file) for file in self.files)])

    def as_json(self) -> dict[str, object]:
        return {
            "images": len(self.paths),
            "clusters": len(self.sizes),
            "sizes": self.sizes,
            "features": self.features,
            "method": self.method,
            "silhouette": self.silhouette,
            "skipped": [{"path": printable(str(path)), "reason": reason} for path, reason in self.skipped],
            "files": [str(file) for file in self.files],
        }
