"""How far the run is, 0..1: by steps, or by the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Either `total_steps`, or `seconds` of which `reserve` are kept for what follows the training.

    spent: seconds used before this process began to train (loading, and the earlier parts of a resumed run).
    reached: the progress of the earlier parts, for a budget of time.
    """

    total_steps: int | None = None
    seconds: float | None = None
    reserve: float = 0.0
    spent: float = 0.0
    reached: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if (self.total_steps is None) == (self.seconds is None):
            raise ValueError("give total_steps or seconds")

    @property
    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self._started

    def progress(self, step: int) -> float:
        """0..1, never falling, when `step` steps are done."""
        if self.total_steps is not None:
            return min(1.0, step / self.total_steps)
        assert self.seconds is not None
        usable = max(self.seconds - self.reserve, 1e-3)
        self.reached = max(self.reached, min(1.0, self.elapsed / usable))
        return self.reached
