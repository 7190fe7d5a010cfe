"""Convolutions with normalisation, and stages that send only half of their channels through the depth.

Paper: Wang et al. 2020, "CSPNet", arXiv 1911.11929; the form with every step's result kept is ELAN's (Wang et al.
2022, "Designing Network Design Strategies Through Gradient Path Analysis", arXiv 2211.04800).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from manako.blocks.layers import parameter_stages


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation, SiLU; the size stays but for the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
            nn.SiLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """Two 3 x 3 convolutions, with a way around them where `shortcut`."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(channels, channels, 3), ConvNorm(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return x + y if self.shortcut else y


class CspStage(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H, W): half of the channels pass `depth` bottlenecks; every result is kept."""

    def __init__(self, inputs: int, outputs: int, *, depth: int, shortcut: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.split = ConvNorm(inputs, 2 * half)
        self.steps = nn.ModuleList(Bottleneck(half, shortcut=shortcut) for _ in range(depth))
        self.join = ConvNorm((2 + depth) * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.split(x).chunk(2, 1))
        for step in self.steps:
            parts.append(step(parts[-1]))
        y: Tensor = self.join(torch.cat(parts, 1))
        return y


class PooledContext(nn.Module):
    """The map beside three ever wider maxima of itself: a glance at the whole image for little (He et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.join = ConvNorm(channels // 2 * 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.reduce(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        y: Tensor = self.join(torch.cat(parts, 1))
        return y


class CspEncoder(nn.Module):
    """A backbone for learning from nothing: maps at strides 8, 16 and 32, with 4, 8 and 16 times `width` channels."""

    strides = (8, 16, 32)

    def __init__(self, *, channels: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [width * 2**i for i in range(5)]
        self.stem = ConvNorm(channels, sizes[0], 3, 2)
        self.levels = nn.ModuleList(
            nn.Sequential(
                ConvNorm(inputs, outputs, 3, 2),
                CspStage(outputs, outputs, depth=depth * (2 if level in (1, 2) else 1)),
                *([PooledContext(outputs)] if level == 3 else []),
            )
            for level, (inputs, outputs) in enumerate(pairwise(sizes))
        )
        self.channels = tuple(sizes[2:])

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.stem(images), []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps[1:]

    def stages(self) -> list[list[nn.Parameter]]:
        return list(parameter_stages(self.stem, *self.levels))
