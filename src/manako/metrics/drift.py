"""Whether the normal parts of today still look like those that the threshold was set from."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from manako.types import Anomaly

MEDIAN = 0.25  # of the scores of the held-out normal images, by the scale of tasks/anomaly.py
WINDOW = 200  # images looked back on
LEAST = 30
SIGNS = 4.0  # standard errors of a sign test
SHIFT = 0.25  # and this far from one half: the median itself comes from few images


@dataclass(eq=False)
class Drift:
    """A sign test on the latest images under the threshold: half of them should score above the median."""

    above: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def see(self, prediction: Anomaly) -> None:
        if prediction.score <= 0.5:
            self.above.append(prediction.score > MEDIAN)

    def note(self) -> tuple[str, dict[str, object]] | None:
        """What to say of it, as (message key, facts); None where nothing is to be said."""
        count = len(self.above)
        if count < LEAST:
            return None
        share = sum(self.above) / count
        if abs(share - 0.5) < max(SHIFT, SIGNS * math.sqrt(0.25 / count)):
            return None
        return "anomaly.drift", {"count": count, "share": 100 * share}
