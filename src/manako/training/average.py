"""The average of the weights along the run: usually better than the last ones, and smoother to judge."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

WARM = 0.2  # early on the average spans this part of what has been done, so that it follows quickly


class WeightAverage:
    """An exponential moving average of parameters and buffers (Polyak and Juditsky 1992), spanning `span` of the run.

    Its time constant is a part of the run, not a number of steps: the same setting suits any number of steps.
    Counters (integer buffers) are copied.
    """

    def __init__(self, model: nn.Module, *, span: float) -> None:
        self.span = span
        state = model.state_dict()
        self.tensors = {name: value.detach().clone() for name, value in state.items()}
        self.at = 0.0
        # The model's own tensors, which training changes in place: asking for them at every step would take longer.
        pairs = [(self.tensors[name], value) for name, value in state.items()]
        self._averaged, self._latest = _columns([p for p in pairs if p[0].is_floating_point()])
        self._copies, self._counters = _columns([p for p in pairs if not p[0].is_floating_point()])

    @torch.no_grad()
    def update(self, *, progress: float) -> None:
        """Take in the weights after the step that brought the run to `progress`."""
        window = min(self.span, WARM * progress)
        keep = math.exp(-(progress - self.at) / window) if window > 0 else 0.0
        self.at = progress
        torch._foreach_lerp_(self._averaged, self._latest, 1.0 - keep)
        if self._copies:
            torch._foreach_copy_(self._copies, self._counters)

    def load(self, tensors: Mapping[str, Tensor], *, at: float) -> None:
        """Take back `tensors`, averaged up to the progress `at`. Raises KeyError if one is missing."""
        for name, value in self.tensors.items():
            value.copy_(tensors[name])
        self.at = at


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [first for first, _ in pairs], [second for _, second in pairs]
