"""When to look at the validation images: often enough to see the curve, seldom enough to cost little."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from manako.training.budget import Budget

FEWEST, MOST = 12, 300  # looks in a run
SHARE = 0.08  # of the time, at most
LEARNING_COST = 3.0  # learning from an image against looking at one: forward and backward against forward


@dataclass
class LookPlan:
    """With a budget of steps the looks follow from counts alone, so a resumed run looks when an unbroken one would.
    With a budget of time they follow from the clock and what a look was seen to cost."""

    every: int | None
    seconds: float = 0.0
    cost: float = 0.0
    _last: float = field(default=0.0)

    @classmethod
    def of(cls, budget: Budget, steps_per_epoch: int, *, images: int, seen: int) -> LookPlan:
        """images: in an epoch; seen: in a look."""
        if budget.total_steps is None:
            return cls(None, budget.seconds or 0.0, _last=budget.elapsed)
        epochs = budget.total_steps / steps_per_epoch
        affordable = SHARE * epochs * images * LEARNING_COST / seen
        wanted = min(max(1.0, affordable), max(epochs, FEWEST), MOST)
        if wanted >= epochs:  # whole looks in an epoch, the last at its end
            return cls(max(1, math.ceil(steps_per_epoch / max(1, int(wanted / epochs)))))
        return cls(steps_per_epoch * math.ceil(epochs / wanted))

    def due(self, step: int, *, steps_per_epoch: int, elapsed: float) -> bool:
        """After `step` steps."""
        number = step % steps_per_epoch
        if self.every is not None:
            if self.every >= steps_per_epoch:
                return step % self.every == 0
            return number == 0 or number % self.every == 0
        since = elapsed - self._last
        least = self.cost / SHARE
        return since >= max(least, self.seconds / (MOST if number == 0 else FEWEST))

    def looked(self, *, began: float, ended: float) -> None:
        """A look took this long; both are seconds of the budget. The shortest counts: the first loads libraries."""
        cost = ended - began
        self.cost, self._last = min(cost, self.cost or cost), ended
