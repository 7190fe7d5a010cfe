"""The convolutional part that PP-OCRv6's small finder and reader have in common, written after their graphs.

Source: PaddleOCR (Apache-2.0). Blocks mix over places by a convolution of each channel alone, then over channels by
two 1 x 1 convolutions; every other block of a stage also weighs its channels by what the whole image shows (Hu et al.
2018, "Squeeze-and-Excitation Networks", arXiv 1709.01507). In the published weights normalisation is already folded
into the convolutions; to learn from nothing, blocks can have their own (`norms`).
Layers stand in the order in which the published graphs have them: that is how their weights find them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Stride = int | tuple[int, int]


class Excite(nn.Module):
    """(N, C, H, W) times a weight for each channel, 0..1, from the means of all. slope: of the hard sigmoid."""

    def __init__(self, channels: int, *, slope: float = 1 / 6) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        # One axis after the other: ONNX Runtime adds up long rows of both with sixteen times the error.
        seen = x.mean(3, keepdim=True).mean(2, keepdim=True)
        weight: Tensor = self.expand(self.reduce(seen).relu())
        return x * (weight * self.slope + 0.5).clamp(0, 1)


class Block(nn.Module):
    """Mixes over places, then over channels. Where size and width stay, the second is added to its input."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: Stride = 1, excited: bool = False, norms: bool = False
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.places = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs)
        self.norm = nn.BatchNorm2d(inputs) if norms else nn.Identity()
        self.excite = Excite(inputs) if excited else nn.Identity()
        self.widen = nn.Conv2d(inputs, 2 * inputs, 1)
        self.narrow = nn.Conv2d(2 * inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.excite(self.norm(self.places(x)))
        mixed: Tensor = self.narrow(functional.gelu(self.widen(x)))
        return x + mixed if self.residual else mixed


class Stem(nn.Module):
    """A quarter of the image's height and width: 3 x 3, then 2 x 2 convolutions beside a pooling, then 3 x 3 again.

    What is 2 x 2 wide is padded on the right and at the bottom only.
    """

    def __init__(self, channels: int, width: int, *, norms: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width // 2, 3, 2, 1)
        self.norm = nn.BatchNorm2d(width // 2) if norms else nn.Identity()
        self.small = nn.Conv2d(width // 2, width // 4, 2)
        self.large = nn.Conv2d(width // 4, width // 2, 2)
        self.join = nn.Conv2d(width, width // 2, 3, 2, 1)
        self.out = nn.Conv2d(width // 2, width, 1)

    def forward(self, images: Tensor) -> Tensor:
        corner = (0, 1, 0, 1)
        x = self.norm(self.first(images)).relu()
        side = self.small(functional.pad(x, corner)).relu()
        side = self.large(functional.pad(side, corner)).relu()
        # What is padded never wins: all values are at least 0.
        pooled = functional.max_pool2d(functional.pad(x, corner), 2, 1)
        x = self.join(torch.cat([pooled, side], 1)).relu()
        out: Tensor = self.out(x).relu()
        return out

    @torch.no_grad()
    def take_rgb(self, channels: int) -> None:
        """The published networks take blue, green, red; grey is the same in all three."""
        weight = self.first.weight.flip(1) if channels == 3 else self.first.weight.sum(1, keepdim=True)
        self.first.weight = nn.Parameter(weight.clone())
        self.first.in_channels = channels


class Backbone(nn.Module):
    """(N, C, H, W) -> the maps behind each stage, fine to coarse.

    widths, depths: channels and blocks of each stage. strides: of the step into each stage but the first. norms:
    whether layers normalise over the batch.
    """

    def __init__(
        self,
        channels: int,
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        strides: Sequence[Stride],
        norms: bool = False,
    ) -> None:
        super().__init__()
        self.stem = Stem(channels, widths[0], norms=norms)
        stages = []
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            step = [Block(widths[i - 1], width, stride=strides[i - 1], norms=norms)] if i else []
            excited = (k % 2 == 0 and k + 1 < depth for k in range(depth))  # every other block, never the last one
            stages.append(nn.Sequential(*step, *(Block(width, width, excited=e, norms=norms) for e in excited)))
        self.levels = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.stem(images), []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps


def start_randomly(network: nn.Module) -> None:
    """First values without learned weights: as there is no normalisation, each block begins by passing its input on."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, Block):
            with torch.no_grad():
                module.places.weight.mul_(0.1)[:, :, 1, 1] += 1
                if module.residual:
                    module.narrow.weight.mul_(0.2)
