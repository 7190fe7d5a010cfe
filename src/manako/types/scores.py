"""What an evaluation gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


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
