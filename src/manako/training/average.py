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
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.at = 0.0

    @torch.no_grad()
    def update(self, model: nn.Module, *, progress: float) -> None:
        """Take in the weights after the step that brought the run to `progress`."""
        window = min(self.span, WARM * progress)
        keep = math.exp(-(progress - self.at) / window) if window > 0 else 0.0
        self.at = progress
        state = model.state_dict()
        names = [name for name, value in self.tensors.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.tensors[n] for n in names], [state[n] for n in names], 1.0 - keep)
        for name in self.tensors.keys() - set(names):
            self.tensors[name].copy_(state[name])

    def load(self, tensors: Mapping[str, Tensor], *, at: float) -> None:
        """Take back `tensors`, averaged up to the progress `at`. Raises KeyError if one is missing."""
        for name, value in self.tensors.items():
            value.copy_(tensors[name])
        self.at = at
