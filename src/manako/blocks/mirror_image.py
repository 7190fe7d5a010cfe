"""Parts of networks that rebuild images: down to a small map and up again, blur, and how alike two images are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def shrinking(channels: int, widths: Sequence[int], *, norm: bool = True) -> nn.Sequential:
    """(N, channels, H, W) -> (N, widths[-1], H / 2^n, W / 2^n), n = len(widths)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers.append(nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers.append(nn.LeakyReLU(0.2))
        channels = width
    return nn.Sequential(*layers)


def growing(latent: int, widths: Sequence[int], channels: int) -> nn.Sequential:
    """(N, latent, h, w) -> (N, channels, h * 2^n, w * 2^n), n = len(widths), without bounds.

    Upsampling and a convolution in place of a transposed one, which leaves a chequered pattern (Odena et al. 2016).
    Normalised image by image: codes of images and random ones share no statistics. widths: multiples of 8.
    """
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Upsample(scale_factor=2.0), nn.Conv2d(latent, width, 3, padding=1, bias=False)]
        layers += [nn.GroupNorm(8, width), nn.LeakyReLU(0.2)]
        latent = width
    return nn.Sequential(*layers, nn.Conv2d(latent, channels, 3, padding=1))


class Blur(nn.Module):
    """A Gaussian blur of maps (N, C, h, w), edges repeated. spread: in cells; 0 leaves the maps alone."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.reach = round(2.5 * spread)
        steps = torch.arange(-self.reach, self.reach + 1).float()
        weights = torch.exp(-0.5 * (steps / max(spread, 1e-3)).square())
        self.register_buffer("weights", weights / weights.sum(), persistent=False)
        self.weights: Tensor

    def forward(self, maps: Tensor) -> Tensor:
        if not self.reach:
            return maps
        channels = maps.shape[1]
        across = functional.pad(maps, (self.reach, self.reach, 0, 0), mode="replicate")
        across = functional.conv2d(across, self.weights.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), groups=channels)
        down = functional.pad(across, (0, 0, self.reach, self.reach), mode="replicate")
        return functional.conv2d(down, self.weights.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), groups=channels)


class Unlikeness(nn.Module):
    """1 - SSIM of two images at every pixel, mean over channels, 0..2 (Wang et al. 2004).

    Images span -1..1; the window is a Gaussian with a spread of 1.5 pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blur = Blur(1.5)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
        mean1, mean2 = self.blur(first), self.blur(second)
        spread1 = self.blur(first * first) - mean1 * mean1
        spread2 = self.blur(second * second) - mean2 * mean2
        both = self.blur(first * second) - mean1 * mean2
        alike = (2 * mean1 * mean2 + c1) * (2 * both + c2)
        alike = alike / ((mean1.square() + mean2.square() + c1) * (spread1 + spread2 + c2))
        apart: Tensor = 1 - alike.mean(1)
        return apart


def mean_of_normal(errors: Tensor, defect: Tensor) -> Tensor:
    """The mean of `errors` (N,) over images that aren't defective: these alone are learnt from and judged by."""
    normal = 1 - defect
    return (errors * normal).sum() / normal.sum().clamp_min(1)
