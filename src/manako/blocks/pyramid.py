"""The neck of a detector: maps of several scales tell each other what they have seen.

Papers: Lin et al. 2017, "Feature Pyramid Networks", arXiv 1612.03144; Liu et al. 2018, "Path Aggregation Network",
arXiv 1803.01534.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.csp import ConvNorm, CspStage


class PathAggregation(nn.Module):
    """Maps (N, channels[i], H_i, W_i), fine to coarse, each half the size of the one before -> as many of `width`
    channels: first from coarse to fine, then back."""

    def __init__(self, channels: Sequence[int], *, width: int, depth: int) -> None:
        super().__init__()
        steps = len(channels) - 1
        self.lateral = nn.ModuleList(ConvNorm(inputs, width) for inputs in channels)
        self.finer, self.coarser = (
            nn.ModuleList(CspStage(2 * width, width, depth=depth, shortcut=False) for _ in range(steps))
            for _ in range(2)
        )
        self.down = nn.ModuleList(ConvNorm(width, width, 3, 2) for _ in range(steps))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sides = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for level in reversed(range(len(self.finer))):
            above = functional.interpolate(sides[level + 1], size=sides[level].shape[-2:], mode="nearest")
            sides[level] = self.finer[level](torch.cat([above, sides[level]], 1))
        found = [sides[0]]
        for level, (down, stage) in enumerate(zip(self.down, self.coarser, strict=True)):
            found.append(stage(torch.cat([down(found[-1]), sides[level + 1]], 1)))
        return found
